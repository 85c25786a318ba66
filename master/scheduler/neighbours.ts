/** Which pods match which affinities, node by node, kept up to date pod by pod; and which pods keep others away. */
import { compileAffinity, type AffinityMatcher, type AffinityTarget } from '../../model/constraint/affinity.ts';
import type { Affinity } from '../../model/constraint/types.ts';
import type { Neighbour } from './demand.ts';

/** A pod as it is matched. */
export interface Resident {
  readonly id: string;
  readonly slot: number | string;
  readonly neighbour: Neighbour;
}

export interface Column {
  readonly matcher: AffinityMatcher;
  /** Pods that match, by node number. */
  readonly counts: Map<number, number>;
}

/** The pods of one revision of a service that keeps others away; where they are, `counts(key)` says. */
export interface Repeller {
  /** `service.revision`. */
  readonly key: string;
  readonly service: string;
  readonly neighbour: Neighbour;
}

/** Columns kept; beyond it the oldest is dropped and counted again when it is asked for. */
const maxColumns = 256;

export class Neighbours {
  readonly #columns = new Map<string, Column>();
  readonly #repellers = new Map<string, { readonly repeller: Repeller; pods: number }>();

  /** A pod came to a node (1) or left it (-1). */
  account(resident: Resident, service: string, revision: string, node: number, sign: 1 | -1): void {
    for (const { matcher, counts } of this.#columns.values()) if (matchesPod(matcher, resident)) add(counts, node, sign);
    if (resident.neighbour.repels.length === 0) return;
    const key = `${service}.${revision}`;
    const known = this.#repellers.get(key) ?? { repeller: { key, service, neighbour: resident.neighbour }, pods: 0 };
    known.pods += sign;
    if (known.pods > 0) this.#repellers.set(key, known);
    else this.#repellers.delete(key);
  }

  /** `all`: the pods there are, to count them when the affinity is asked for the first time. */
  column(affinity: Affinity, stack: string, all: () => Iterable<readonly [Resident, number]>): Column {
    const key = columnKey(affinity, stack);
    const known = this.#columns.get(key);
    if (known) return known;
    const column: Column = { matcher: cached(compileAffinity(affinity, stack)), counts: new Map() };
    for (const [resident, node] of all()) if (matchesPod(column.matcher, resident)) add(column.counts, node, 1);
    const oldest = this.#columns.size >= maxColumns ? this.#columns.keys().next().value : undefined;
    if (oldest !== undefined) this.#columns.delete(oldest);
    this.#columns.set(key, column);
    return column;
  }

  repellers(): readonly Repeller[] {
    return this.#repellers.size === 0 ? nobody : Array.from(this.#repellers.values(), ({ repeller }) => repeller);
  }
}

const nobody: readonly Repeller[] = [];

/** Short names of services mean something in their own stack only. */
export function columnKey({ subject, pattern }: Affinity, stack: string): string {
  return JSON.stringify([subject, pattern, subject.kind === 'container' ? stack : '']);
}

export function matchesPod(matcher: AffinityMatcher, { id, slot, neighbour }: Resident): boolean {
  return matcher.service(neighbour.target) || matcher.pod(neighbour.target, slot, id);
}

export function add(counts: Map<number, number>, node: number, by: number): void {
  const count = (counts.get(node) ?? 0) + by;
  if (count === 0) counts.delete(node);
  else counts.set(node, count);
}

/** All pods of a revision share one target: it is matched once. */
function cached(matcher: AffinityMatcher): AffinityMatcher {
  const known = new WeakMap<AffinityTarget, boolean>();
  return {
    pod: matcher.pod,
    service: (target) => {
      let answer = known.get(target);
      if (answer === undefined) known.set(target, (answer = matcher.service(target)));
      return answer;
    },
  };
}
