/**
 * What is wanted of this host's manifests and what there is of them → what to do. Pure and level-triggered: applied, it has nothing
 * left to say. A pod's id follows from what it is made of, so a wanted pod either is there or is not.
 *
 * A pod goes in two steps: it is told to drain, which takes it out of the host's own table, and is removed once the kernel has that
 * table. Its successor comes when it is gone.
 */
import { AddressPool, allocateVips } from '../../../model/allocate/addresses.ts';
import { parseCidr, parseIp } from '../../../model/allocate/cidr.ts';
import { makeAssignment } from '../../../model/assign.ts';
import { gate } from '../../../model/gate.ts';
import { isFinal, type Pod, type PodStatus } from '../../../model/pod.ts';
import { GenericRoom, type Holder } from './generic.ts';
import { planSlots, type SlotView } from './slots.ts';
import type { Hash, LocalService } from './expand.ts';
import type { Given, LocalPod, ManifestHost } from './types.ts';

export interface DecideInput {
  readonly host: ManifestHost;
  readonly services: readonly LocalService[];
  readonly pods: readonly LocalPod[];
  readonly given: Given;
  /** Its manifest cannot be read and nothing else is known of it: it stays. */
  readonly keeps: (pod: LocalPod) => boolean;
  /** What pods of a cluster hold of this host's counted resources. */
  readonly holders?: readonly Holder[];
  /** Nobody is sent to the pod any more. */
  readonly drained: (pod: string) => boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly hash: Hash;
}

export interface WaitingPod {
  readonly service: LocalService;
  readonly pod: Pod;
  readonly message: string;
}

export interface Decision {
  readonly create: readonly LocalAssignment[];
  /** Pods that stay; what is said of them may have changed, and `assignmentOf` makes it. */
  readonly keep: readonly { readonly local: LocalService; readonly pod: Pod }[];
  readonly drain: readonly { readonly id: string; readonly reason: string }[];
  readonly remove: readonly string[];
  /** Wanted, but not to be made yet. */
  readonly waiting: readonly WaitingPod[];
  readonly given: Given;
}

export type LocalAssignment = LocalPod['assignment'];

export function decide(input: DecideInput): Decision {
  const { host, services, pods } = input;
  const given = giveVips(input);
  const addresses = new AddressPool(host.podCidr, pods.flatMap(({ assignment }) => assignment.pod.ip ?? []), input.given.lastIp);
  const generic = new GenericRoom(host.generic, [...(input.holders ?? []), ...pods.flatMap(holderOf)]);
  let { lastIp } = input.given;
  const create: LocalAssignment[] = [];
  const keep: Decision['keep'][number][] = [];
  const drain: { id: string; reason: string }[] = [];
  const remove: string[] = [];
  const waiting: WaitingPod[] = [];
  const bySlot = Map.groupBy(pods, ({ assignment: { pod } }) => `${pod.service}.${pod.slot}`);
  const wanted = new Set<string>();
  const held = new Set<string>();
  const world = gateWorld(input);

  for (const local of services) {
    const reasons = gate(local.service, world);
    const slots = local.slots.map((slot): SlotView => {
      const id = podIdOf(host, local, slot, input.hash);
      const there = bySlot.get(`${local.service.id}.${slot}`) ?? [];
      const own = there.find(({ assignment, removed }) => assignment.pod.id === id && assignment.pod.desired === 'running' && !removed);
      // One with an address that is no longer this host's to give is made anew.
      return { slot, id, current: own && hasPlace(own, host) ? own : undefined, others: there.filter((pod) => pod !== own || !hasPlace(pod, host)) };
    });
    const plan = planSlots(slots, { parallelism: local.service.spec.update.parallelism, concurrency: local.concurrency, blocked: reasons.length > 0 });
    for (const { current, id } of slots) if (current) {
      wanted.add(id);
      keep.push({ local, pod: current.assignment.pod });
    }
    for (const { slot, id } of plan.create) {
      const room = generic.take(local.service.spec.template.reservations.generic ?? {});
      const pod = { ...newPod(local, slot, id, input), ...('ok' in room && Object.keys(room.ok).length > 0 ? { generic: room.ok } : {}) };
      if ('waiting' in room) {
        waiting.push({ service: local, pod, message: room.waiting });
        continue;
      }
      const ip = local.service.spec.template.networkMode === 'pod' ? addresses.next() : { ok: null };
      if ('ok' in ip) lastIp = ip.ok ?? lastIp;
      const assignment = 'ok' in ip ? assignmentOf(local, { ...pod, ip: ip.ok }, given, host) : null;
      if (assignment) create.push(assignment);
      else waiting.push({ service: local, pod, message: 'exhausted' in ip ? ip.exhausted : 'waiting for the content of its secrets, which only its manifest has' });
    }
    for (const { slot, id } of plan.wait) waiting.push({ service: local, pod: newPod(local, slot, id, input), message: reasons.join(', ') });
    for (const pod of plan.hold) held.add(pod);
  }
  const ids = new Set(services.map(({ service }) => service.id));
  const slotsOf = new Map(services.map((local) => [local.service.id, local.slots]));
  for (const pod of pods) {
    const { id, desired, service, slot } = pod.assignment.pod;
    if (pod.removed || wanted.has(id) || held.has(id) || input.keeps(pod)) continue;
    const reason = !ids.has(service) ? 'its manifest does not have it any more' : slotsOf.get(service)?.includes(Number(slot)) === true ? 'updated' : 'scaled down';
    // What serves nobody needs no draining.
    if (!pod.status.ready || (desired !== 'running' && input.drained(id))) remove.push(id);
    else if (desired === 'running') drain.push({ id, reason });
  }
  return { create, keep, drain, remove, waiting, given: lastIp === undefined ? given : { ...given, lastIp } };
}

/** A pod that is on its way out holds what it has until it has ended. */
function holderOf({ assignment: { pod, template }, status }: LocalPod): readonly Holder[] {
  const amounts = template.reservations.generic;
  return amounts === undefined || isFinal(status.phase) ? [] : [{ amounts, ...(pod.generic ? { names: pod.generic } : {}) }];
}

function hasPlace({ assignment: { pod } }: LocalPod, { podCidr }: ManifestHost): boolean {
  if (pod.ip === null) return true;
  const block = parseCidr(podCidr);
  const ip = parseIp(pod.ip);
  return block !== null && ip !== null && ip > block.base && ip < block.base + block.size - 1;
}

function newPod({ stack, service }: LocalService, slot: number, id: string, { host, now }: DecideInput): Pod {
  return { id, service: service.id, stack: stack.spec.name, slot, revision: service.revision, desired: 'running', reason: '', node: host.nodeId, ip: null, createdAt: now };
}

/** Null while the content of a secret is not known. */
export function assignmentOf({ stack, service }: LocalService, pod: Pod, given: Given, host: ManifestHost): LocalAssignment | null {
  const { secrets, configs, volumes } = stack.spec;
  const contents = { secret: contentsOf(secrets), config: contentsOf(configs) };
  const templates = { secret: templatesOf(secrets), config: templatesOf(configs) };
  const byName = new Map(Object.values(volumes).map((volume) => [volume.name, volume]));
  const assignment = makeAssignment(pod, service.spec, {
    content: (kind, { source }) => contents[kind].get(source),
    volume: (name) => {
      const volume = byName.get(name);
      return volume && { driver: volume.driver, driverOpts: volume.driverOpts };
    },
    isTemplate: (kind, { source }) => templates[kind].has(source),
    node: { hostname: host.name, os: host.target.os, arch: host.target.arch },
    ports: given.ports[service.id] ?? [],
  });
  return assignment && { ...assignment, manifest: { source: stack.source, origin: stack.origin } };
}

function contentsOf(objects: Readonly<Record<string, { readonly name: string; readonly content?: string }>>): ReadonlyMap<string, string | undefined> {
  return new Map(Object.values(objects).map(({ name, content }) => [name, content]));
}

function templatesOf(objects: Readonly<Record<string, { readonly name: string; readonly template?: 'golang' }>>): ReadonlySet<string> {
  return new Set(Object.values(objects).flatMap(({ name, template }) => (template === undefined ? [] : [name])));
}

function giveVips({ host, services, given }: DecideInput): Given {
  const pool = new AddressPool(host.vipCidr, Object.values(given.vips).flatMap((list) => list.map(({ ip }) => ip)));
  const vips: Record<string, Given['vips'][string]> = {};
  const ports: Record<string, Given['ports'][string]> = {};
  for (const { service: { id, spec } } of services) {
    const networks = spec.endpointMode === 'vip' ? spec.networks.map(({ network }) => network) : [];
    const existing = (given.vips[id] ?? []).filter(({ ip }) => pool.has(ip));
    const result = allocateVips(networks, existing, pool);
    // Without a virtual address the name still leads to the endpoints.
    vips[id] = 'ok' in result ? result.ok : existing;
    ports[id] = given.ports[id] ?? [];
  }
  return { vips, ports };
}

function gateWorld({ services, pods }: DecideInput): Parameters<typeof gate>[1] {
  const byId = new Map(services.map(({ service }) => [service.id, service]));
  const byService = Map.groupBy(pods.filter(({ removed }) => !removed), ({ assignment }) => assignment.pod.service);
  const statuses = new Map<string, PodStatus>(pods.map(({ assignment, status }) => [assignment.pod.id, status]));
  return {
    service: (id) => byId.get(id),
    pods: (id) => byService.get(id)?.map(({ assignment }) => assignment.pod) ?? [],
    status: (id) => statuses.get(id),
  };
}

const letters = '0123456789abcdefghjkmnpqrstvwxyz';

/** Twelve letters, `s` first: it is a host name too. The ids that a master gives have ten. */
export function podIdOf({ hostId }: Pick<ManifestHost, 'hostId'>, { stack, service }: LocalService, slot: number, hash: Hash): string {
  const digest = hash(JSON.stringify([hostId, stack.source, service.id, slot, service.revision])).replace(/^sha256:/, '');
  return `s${Array.from({ length: 11 }, (_, i) => letters[Number.parseInt(digest.slice(2 * i, 2 * i + 2), 16) % letters.length]).join('')}`;
}
