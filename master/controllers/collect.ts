/**
 * Garbage: records nothing refers to any more. Pods told to stop that have ended, but for the last of their slot; statuses of deleted pods;
 * revisions, secret and config versions, credentials for registries that no service, pod or rollback names.
 */
import { Loop } from '../../lib/loop.ts';
import { containersOf, type ServiceSpec } from '../../model/spec.ts';
import type { Maps } from '../world.ts';
import type { Entry, Op } from '../store/port.ts';
import { isFinal } from '../../model/pod.ts';
import { imagesOf, registryKey, registryOf } from '../../model/registry.ts';
import { reasons } from '../reconcile/plan.ts';
import { newestFirst } from '../reconcile/slots.ts';
import { commitAsLeader, type Context } from '../context.ts';
import { fileObjectKey } from '../../model/assign.ts';

/** Stopped pods kept per slot, for people to look at their end and their logs. */
const keptPerSlot = 4;

/** Pods told to stop that are gone from their hosts, or have ended and are not among the last of their slot. Pure. */
export function collectPods(maps: Maps): Op[] {
  const ops: Op[] = [];
  const ended = new Map<string, Entry<'pods'>[]>();
  for (const [id, entry] of maps.pods) {
    const pod = entry.value;
    if (pod.desired !== 'stopped') continue;
    const status = maps.podstatus.get(id)?.value;
    if (status && !isFinal(status.phase)) continue;
    const slot = `${pod.service}.${pod.slot}`;
    if (!status || !maps.services.has(pod.service) || pod.reason === reasons.scaledDown) ops.push(remove(entry));
    else ended.set(slot, [...(ended.get(slot) ?? []), entry]);
  }
  for (const entries of ended.values()) {
    for (const entry of entries.toSorted((a, b) => newestFirst(a.value, b.value)).slice(keptPerSlot)) ops.push(remove(entry));
  }
  for (const [id, entry] of maps.staticpods) if (!maps.nodes.has(entry.value.pod.node ?? '')) ops.push({ op: 'delete', kind: 'staticpods', id });
  for (const id of maps.podstatus.keys()) if (!maps.pods.has(id)) ops.push({ op: 'delete', kind: 'podstatus', id });
  return ops;
}

function remove(entry: Entry<'pods'>): Op {
  return { op: 'delete', kind: 'pods', id: entry.id, guard: entry.revision };
}

/** Keys of revisions that a service, a pod or a rollback names. */
function usedRevisions(maps: Maps): ReadonlySet<string> {
  const used = new Set<string>();
  for (const { value: service } of maps.services.values()) {
    used.add(`${service.id}.${service.revision}`);
    if (service.previous !== null) used.add(`${service.id}.${service.previous}`);
  }
  for (const { value: pod } of maps.pods.values()) used.add(`${pod.service}.${pod.revision}`);
  return used;
}

/** Keys of secrets and configs that a service, a pod or a rollback needs. Pure. */
export function usedFiles(maps: Maps): ReadonlySet<string> {
  const files = new Set<string>();
  const note = (spec: ServiceSpec) => {
    for (const container of containersOf(spec.template)) {
      for (const reference of [...container.secrets, ...container.configs]) files.add(fileObjectKey(reference.source, reference.digest ?? ''));
    }
  };
  for (const { value: service } of maps.services.values()) note(service.spec);
  for (const id of usedRevisions(maps)) {
    const revision = maps.revisions.get(id)?.value;
    if (revision) note(revision.spec);
  }
  return files;
}

/** Revisions and file versions out of use. Pure. */
export function collectRevisions(maps: Maps): Op[] {
  const [used, files] = [usedRevisions(maps), usedFiles(maps)];
  const ops: Op[] = [];
  for (const [id, entry] of maps.revisions) if (!used.has(id)) ops.push({ op: 'delete', kind: 'revisions', id, guard: entry.revision });
  for (const kind of ['secrets', 'configs'] as const) {
    for (const [id, entry] of maps[kind]) if (!files.has(id)) ops.push({ op: 'delete', kind, id, guard: entry.revision });
  }
  return ops;
}

/** Credentials for registries that their stack has no image of any more, not even one to roll back to. Pure. */
export function collectRegistries(maps: Maps): Op[] {
  const used = new Set<string>();
  const note = (spec: ServiceSpec) => {
    for (const { image } of imagesOf(spec)) used.add(registryKey(spec.stack, registryOf(image)));
  };
  for (const { value: service } of maps.services.values()) note(service.spec);
  for (const id of usedRevisions(maps)) {
    const revision = maps.revisions.get(id)?.value;
    if (revision) note(revision.spec);
  }
  return Array.from(maps.registries).flatMap(([id, entry]): Op[] => (used.has(id) ? [] : [{ op: 'delete', kind: 'registries', id, guard: entry.revision }]));
}

/** Networks of stacks that do not have them any more, once no pod is on them. Pure. */
export function collectNetworks(maps: Maps): Op[] {
  const used = new Set<string>();
  const note = (spec: ServiceSpec) => {
    for (const { network } of spec.networks) used.add(network);
  };
  for (const { value: service } of maps.services.values()) note(service.spec);
  for (const { value: pod } of maps.pods.values()) {
    const spec = maps.revisions.get(`${pod.service}.${pod.revision}`)?.value.spec;
    if (spec) note(spec);
  }
  return Array.from(maps.networks, ([id, entry]): Op[] => {
    const { stack } = entry.value;
    const listed = stack !== null && maps.stacks.get(stack)?.value.networks.includes(id) === true;
    return stack === null || listed || used.has(id) ? [] : [{ op: 'delete', kind: 'networks', id, guard: entry.revision }];
  }).flat();
}

/** Tokens that expired. Pure. */
export function collectTokens(maps: Maps, now: number): Op[] {
  return Array.from(maps.tokens.values()).flatMap((entry): Op[] =>
    (entry.value.expiresAt !== null && entry.value.expiresAt <= now ? [{ op: 'delete', kind: 'tokens', id: entry.id, guard: entry.revision }] : []));
}

/**
 * A large apply takes several transactions, and what the first ones bring is named only by the last: records are let go once they have
 * been out of use for this long.
 */
const unusedMs = 60_000;

/** A record that was written again begins its time anew: somebody is about to use it. */
function keyOf(op: Op): string {
  return `${op.kind}/${op.id}@${op.guard}`;
}

export function startCollect(context: Context, signal: AbortSignal, graceMs = unusedMs): Loop {
  const { world, clock, log } = context;
  const since = new Map<string, number>();
  const loop = new Loop({
    name: 'collect', clock, log, signal,
    run: async () => {
      const now = clock.monotonic();
      const unused = [...collectRevisions(world.maps), ...collectNetworks(world.maps), ...collectRegistries(world.maps), ...collectTokens(world.maps, clock.now())];
      const keys = new Set(unused.map((op) => keyOf(op)));
      for (const key of since.keys()) if (!keys.has(key)) since.delete(key);
      const ripe = unused.filter((op) => {
        const key = keyOf(op);
        const first = since.get(key) ?? now;
        since.set(key, first);
        return now - first >= graceMs;
      });
      await commitAsLeader(context, [...collectPods(world.maps), ...ripe]);
      const left = unused.filter((op) => !ripe.includes(op)).map((op) => (since.get(keyOf(op)) ?? now) + graceMs - now);
      return left.length === 0 ? undefined : Math.max(10, Math.min(...left));
    },
  });
  world.subscribe((changes) => {
    if (changes.some((change) => (change.kind === 'podstatus' && (change.entry === null || isFinal(change.entry.value.phase) || !world.maps.pods.has(change.id))) || (change.kind === 'pods' && (change.entry === null || change.entry.value.desired === 'stopped')) || change.kind === 'services' || (change.kind === 'nodes' && change.entry === null))) loop.mark();
  }, signal);
  loop.mark();
  return loop;
}
