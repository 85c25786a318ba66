/**
 * Which stacks count. A file that does not load, or collides with another, leaves what was made of it before: a stack ends only when
 * its file is gone or does not name it any more.
 */
import { allocatePorts, type PortOwner } from '../../../model/allocate/ports.ts';
import type { AllocatedPort } from '../../../model/service.ts';
import { serviceId, type StackSpec } from '../../../model/spec.ts';
import type { Given, ManifestStack, SourceContent } from './types.ts';

export interface AcceptInput {
  /** In the order of precedence. */
  readonly contents: readonly SourceContent[];
  /** What counted until now. */
  readonly before: readonly ManifestStack[];
  readonly ports: Given['ports'];
  /** Stacks of which a master has pods here. */
  readonly clusterStacks: ReadonlySet<string>;
}

export interface Accepted {
  readonly stacks: readonly ManifestStack[];
  readonly ports: Given['ports'];
  /** A line each, with its place. */
  readonly problems: readonly string[];
  /** Origins, and whole sources, of which pods are kept though no stack is known: they cannot be read. */
  readonly unreadable: { readonly origins: ReadonlySet<string>; readonly sources: ReadonlySet<string> };
}

export function acceptStacks({ contents, before, ports, clusterStacks }: AcceptInput): Accepted {
  const problems: string[] = [];
  const origins = new Set<string>();
  const sources = new Set<string>();
  const candidates: ManifestStack[] = [];
  for (const { source, entries, problem } of contents) {
    if (problem !== undefined) problems.push(problem);
    if (entries === null) {
      sources.add(source);
      candidates.push(...before.filter((stack) => stack.source === source));
      continue;
    }
    for (const entry of entries) {
      if ('specs' in entry) candidates.push(...entry.specs.map((spec) => ({ source, origin: entry.origin, spec })));
      else {
        problems.push(entry.problem);
        origins.add(keyOf({ source, origin: entry.origin }));
        candidates.push(...before.filter((stack) => stack.source === source && stack.origin === entry.origin));
      }
    }
  }
  const known = new Map(before.map((stack) => [stackKey(stack), stack]));
  // Who was there first stays.
  const ordered = [...candidates.filter((stack) => known.has(stackKey(stack))), ...candidates.filter((stack) => !known.has(stackKey(stack)))];
  const table = new Table(ports, clusterStacks);
  for (const stack of ordered) {
    const old = known.get(stackKey(stack));
    const problem = table.add(stack, old !== undefined);
    if (problem === null) continue;
    problems.push(problem);
    if (old && old !== stack) table.add(old, true);
  }
  return { stacks: table.stacks, ports: table.ports, problems, unreadable: { origins, sources } };
}

export function isUnreadable({ unreadable }: Pick<Accepted, 'unreadable'>, { source, origin }: { readonly source: string; readonly origin: string }): boolean {
  return unreadable.sources.has(source) || unreadable.origins.has(keyOf({ source, origin }));
}

function keyOf({ source, origin }: { readonly source: string; readonly origin: string }): string {
  return `${source}\n${origin}`;
}

function stackKey(stack: ManifestStack): string {
  return `${keyOf(stack)}\n${stack.spec.name}`;
}

/** The stacks that stand beside one another. */
class Table {
  readonly stacks: ManifestStack[] = [];
  readonly ports: Record<string, readonly AllocatedPort[]> = {};
  readonly #before: Given['ports'];
  readonly #byName = new Map<string, ManifestStack>();
  readonly #clusterStacks: ReadonlySet<string>;

  constructor(before: Given['ports'], clusterStacks: ReadonlySet<string>) {
    this.#before = before;
    this.#clusterStacks = clusterStacks;
  }

  /** Null when the stack has its place; otherwise why not, and nothing has happened. */
  add(stack: ManifestStack, wasThere: boolean): string | null {
    const { origin, spec } = stack;
    const other = this.#byName.get(spec.name);
    if (other) {
      return other.origin === origin
        ? `${origin}: two of its documents are the stack ${spec.name}; name them apart with name:`
        : `${origin}: the stack ${spec.name} is in ${other.origin} too; name one of them apart with name:`;
    }
    if (!wasThere && this.#clusterStacks.has(spec.name)) return `${origin}: the cluster has a stack ${spec.name} too; name this one apart with name:`;
    const external = externalOf(spec);
    if (external !== null) return `${origin}: ${external}`;
    const given = this.#portsOf(spec);
    if (typeof given === 'string') return `${origin}: ${given}`;
    Object.assign(this.ports, given);
    this.#byName.set(spec.name, stack);
    this.stacks.push(stack);
    return null;
  }

  #portsOf(spec: StackSpec): Record<string, readonly AllocatedPort[]> | string {
    const given: Record<string, readonly AllocatedPort[]> = {};
    for (const service of Object.values(spec.services)) {
      const id = serviceId(spec.name, service.name);
      const owners = Object.entries({ ...this.ports, ...given }).flatMap(([owner, list]) => list.map((port): PortOwner => ({ service: owner, port })));
      const result = allocatePorts(id, service.ports, this.#before[id] ?? [], owners, 'highest');
      if (!('ok' in result)) return `services.${service.name}.ports: ${'conflict' in result ? result.conflict : result.exhausted}`;
      given[id] = result.ok;
    }
    return given;
  }
}

/** What only a cluster could have. Volumes are of the host, so an external one is just one of that name. */
function externalOf(spec: StackSpec): string | null {
  for (const kind of ['networks', 'secrets', 'configs'] as const) {
    const found = Object.entries(spec[kind]).find(([, object]) => object.external);
    if (found) return `${kind}.${found[0]}: a manifest has no cluster to take an external ${kind.slice(0, -1)} from; define it in the file`;
  }
  return null;
}
