/** A manifest's stack → its services as they are on this host: which slots, which revision, on which networks. */
import { withDigests } from '../../../model/assign.ts';
import { explainConstraint } from '../../../model/constraint/explain.ts';
import { compile } from '../../../model/constraint/match.ts';
import { revisionOf } from '../../../model/revision.ts';
import type { Service } from '../../../model/service.ts';
import { serviceId, type ServiceSpec } from '../../../model/spec.ts';
import type { ManifestHost, ManifestStack } from './types.ts';

export interface LocalService {
  readonly stack: ManifestStack;
  /** Its spec with the names that its networks have on this host. */
  readonly service: Service;
  /** 1 to n; none when it may not run here. */
  readonly slots: readonly number[];
  /** Slots that may be under way at a time; for jobs. */
  readonly concurrency: number;
  /** Why it does not run here, or not as the file says. */
  readonly notes: readonly string[];
}

/** Digest of a text: `sha256:…`. */
export type Hash = (text: string) => string;

/**
 * Networks of manifests are of this host alone. A cluster's network of the same name is another one, and no cluster's name can have a
 * slash.
 */
export function localNetwork(name: string): string {
  return `manifest/${name}`;
}

export function expandStack(stack: ManifestStack, host: ManifestHost, hash: Hash): readonly LocalService[] {
  return Object.values(stack.spec.services).map((spec) => expandService(stack, spec, host, hash));
}

function expandService(stack: ManifestStack, written: ServiceSpec, host: ManifestHost, hash: Hash): LocalService {
  const { spec: whole } = stack;
  const digests = { secret: digestsOf(whole.secrets), config: digestsOf(whole.configs) };
  const filled = withDigests(written, (kind, name) => digests[kind].get(name));
  const spec: ServiceSpec = { ...filled, networks: filled.networks.map((attachment) => ({ ...attachment, network: localNetwork(attachment.network) })) };
  const service: Service = { id: serviceId(whole.name, spec.name), spec, revision: hash(revisionOf(spec)).replace(/^sha256:/, '').slice(0, 16), previous: null };
  const notes = [...misplacedOn(spec, host), ...withoutEffect(spec)];
  const { count, concurrency, cut } = slotsOf(spec);
  const runs = misplacedOn(spec, host).length === 0;
  return {
    stack, service, concurrency, notes: runs && cut !== null ? [...notes, cut] : notes,
    slots: runs ? Array.from({ length: count }, (_, index) => index + 1) : [],
  };
}

function digestsOf(objects: Readonly<Record<string, { readonly name: string; readonly digest?: string }>>): ReadonlyMap<string, string | undefined> {
  return new Map(Object.values(objects).map(({ name, digest }) => [name, digest]));
}

function misplacedOn({ placement }: ServiceSpec, { target }: ManifestHost): readonly string[] {
  return placement.constraints
    .filter((constraint) => !constraint.soft && !compile(constraint)(target))
    .map((constraint) => `does not run here: constraint ${constraint.source}: ${explainConstraint(constraint, [target])}`);
}

function slotsOf({ mode, placement }: ServiceSpec): { readonly count: number; readonly concurrency: number; readonly cut: string | null } {
  const wanted = mode.kind === 'replicated' ? mode.replicas : mode.kind === 'replicated-job' ? mode.completions : 1;
  const most = placement.maxPerNode > 0 ? placement.maxPerNode : Infinity;
  const job = mode.kind === 'replicated-job';
  // The runs of a job need not be there together.
  const count = job ? wanted : Math.min(wanted, most);
  return { count, concurrency: job ? Math.min(mode.concurrency, most) : Infinity, cut: count < wanted ? `runs ${count} of ${wanted}: max_replicas_per_node is ${most}` : null };
}

/** What makes sense only where somebody chooses among hosts, or keeps what was before. */
function withoutEffect({ update, placement }: ServiceSpec): readonly string[] {
  const found: string[] = [];
  if (update.order === 'start-first') found.push('update_config.order: start-first');
  if (update.failureAction === 'rollback') found.push('update_config.failure_action: rollback');
  if (update.delayMs > 0) found.push('update_config.delay');
  if ((placement.affinities ?? []).length > 0) found.push('affinities');
  if ((placement.operators ?? []).length > 0) found.push('x-constraints');
  return found.length === 0 ? [] : [`${found.join(', ')} ${found.length === 1 ? 'has' : 'have'} no effect in a manifest`];
}
