/** The store's maps as the API's lists: pure. */
import type { NodeListItem, PodListItem, ServiceListItem, StackListItem } from '../../model/api.ts';
import type { NodeState } from '../../model/node.ts';
import { isFinal, podName, type Pod, type PodStatus } from '../../model/pod.ts';
import type { Service } from '../../model/service.ts';
import { allPods, podStatusOf } from '../pods.ts';
import type { Maps } from '../world.ts';

export interface ViewInput {
  readonly maps: Maps;
  readonly stateOf: (node: string) => NodeState;
  /** Why pods without a node have none, by pod id, from the last scheduling pass. */
  readonly pending: ReadonlyMap<string, { readonly summary: string }>;
}

export function podItem(input: ViewInput, pod: Pod): PodListItem {
  const { maps } = input;
  const own = maps.staticpods.get(pod.id)?.value;
  const status = podStatusOf(maps, pod.id);
  const node = pod.node === null ? undefined : maps.nodes.get(pod.node)?.value;
  const lost = pod.node !== null && input.stateOf(pod.node) === 'down' && !(status && isFinal(status.phase));
  const spec = maps.revisions.get(`${pod.service}.${pod.revision}`)?.value.spec;
  const container = status?.containers[0];
  const state = lost ? 'lost' : status ? shownState(status) : pod.node === null ? 'pending' : 'assigned';
  const slot = typeof pod.slot === 'string' ? (maps.nodes.get(pod.slot)?.value.name ?? pod.slot) : pod.slot;
  return {
    id: pod.id, name: podName(pod.service, slot), stack: pod.stack, service: pod.service, slot: pod.slot, revision: pod.revision, node: node?.name ?? null, state, desired: pod.desired,
    ready: !lost && status?.ready === true, ...containerCount(status), ip: pod.ip, image: container?.image ?? spec?.template.containers[0]?.image ?? own?.image ?? '', restarts: status?.restarts ?? 0,
    since: status?.since ?? pod.createdAt,
    ...exitCodeOf(status), ...(own ? { origin: own.origin } : {}),
    message: lost ? (pod.desired === 'running' && spec?.template.onDisconnect ? 'its node is down: it stops by itself, and is replaced then' : 'its node is down') : pod.node === null ? (input.pending.get(pod.id)?.summary ?? 'waiting to be scheduled') : (status?.message ?? pod.reason),
  };
}

function shownState(status: PodStatus): PodListItem['state'] {
  return status.phase === 'running' && status.containers.some(({ state }) => state === 'restarting') ? 'restarting' : status.phase;
}

function containerCount(status: PodStatus | undefined): Pick<PodListItem, 'containers'> {
  const all = status?.containers.filter(({ init }) => !init) ?? [];
  // What has done its work is not missed.
  const own = all.filter(({ state }) => state !== 'succeeded');
  return all.length > 1 && own.length > 0 ? { containers: { ready: own.filter(({ ready }) => ready).length, total: own.length } } : {};
}

/** The service's own container's; of a pod that never came so far, that of the init container that failed. */
function exitCodeOf(status: PodStatus | undefined): Pick<PodListItem, 'exitCode'> {
  const code = status?.containers[0]?.exitCode ?? status?.containers.find(({ init, state }) => init && state === 'failed')?.exitCode;
  return code === undefined ? {} : { exitCode: code };
}

/** Pods of each service, in one pass. */
export function podsByService(maps: Maps): Map<string, Pod[]> {
  const result = new Map<string, Pod[]>();
  for (const { value: pod } of maps.pods.values()) {
    const list = result.get(pod.service);
    if (list) list.push(pod);
    else result.set(pod.service, [pod]);
  }
  return result;
}

export function serviceItem(input: ViewInput, service: Service, pods: readonly Pod[]): ServiceListItem {
  const { maps, stateOf } = input;
  const status = maps.servicestatus.get(service.id)?.value;
  const wanted = pods.filter((pod) => pod.desired === 'running');
  const here = wanted.filter((pod) => pod.node !== null && stateOf(pod.node) !== 'down');
  return {
    id: service.id, name: service.spec.name, stack: service.spec.stack, mode: service.spec.mode.kind, revision: service.revision, desired: desiredCount(service, wanted),
    running: here.filter((pod) => {
      const own = maps.podstatus.get(pod.id)?.value;
      return own !== undefined && shownState(own) === 'running';
    }).length,
    ready: here.filter((pod) => maps.podstatus.get(pod.id)?.value.ready === true).length,
    image: service.spec.template.containers[0]?.image ?? '', vips: status?.vips ?? [], ports: status?.ports ?? [],
    update: status?.update ?? { state: 'none', message: '' },
  };
}

function desiredCount(service: Service, wanted: readonly Pod[]): number {
  const { mode } = service.spec;
  switch (mode.kind) {
    case 'replicated':
      return mode.replicas;
    case 'replicated-job':
      return mode.completions;
    case 'global':
    case 'global-job':
      return wanted.length;
  }
}

export function stackItem(name: string, services: readonly ServiceListItem[]): StackListItem {
  const own = services.filter((service) => service.stack === name);
  const sum = (pick: (item: ServiceListItem) => number) => own.reduce((total, item) => total + pick(item), 0);
  return { name, services: own.length, desired: sum((item) => item.desired), running: sum((item) => item.running), ready: sum((item) => item.ready) };
}

export function nodeItems(input: ViewInput): NodeListItem[] {
  const { maps, stateOf } = input;
  const usage = new Map<string, { cpus: number; memory: number; pods: number; generic: Record<string, number> }>();
  for (const pod of allPods(maps)) {
    if (pod.node === null) continue;
    const status = podStatusOf(maps, pod.id);
    if (status && isFinal(status.phase)) continue;
    const reserved = maps.staticpods.get(pod.id)?.value.reservations ?? maps.revisions.get(`${pod.service}.${pod.revision}`)?.value.spec.template.reservations;
    const sum = usage.get(pod.node) ?? { cpus: 0, memory: 0, pods: 0, generic: {} };
    for (const [kind, amount] of Object.entries(reserved?.generic ?? {})) sum.generic[kind] = (sum.generic[kind] ?? 0) + amount;
    usage.set(pod.node, { cpus: sum.cpus + (reserved?.cpus ?? 0), memory: sum.memory + (reserved?.memory ?? 0), pods: sum.pods + 1, generic: sum.generic });
  }
  return Array.from(maps.nodes.values(), ({ value: node }) => {
    const status = maps.nodestatus.get(node.id)?.value;
    const used = usage.get(node.id) ?? { cpus: 0, memory: 0, pods: 0, generic: {} };
    // Of what it has none of nothing can be taken.
    const kinds = Object.keys(status?.capacity.generic ?? {});
    return {
      id: node.id, name: node.name, state: stateOf(node.id), availability: node.availability, labels: node.labels, address: status?.address ?? '', subnet: node.subnet,
      capacity: status?.capacity ?? { cpus: 0, memory: 0 }, allocated: { cpus: used.cpus, memory: used.memory, ...(kinds.length > 0 ? { generic: Object.fromEntries(kinds.map((kind) => [kind, used.generic[kind] ?? 0])) } : {}) }, pods: used.pods, version: status?.version ?? '',
      ...(status?.manifests ? { manifests: status.manifests } : {}),
      ...(status?.pressure === undefined ? {} : { pressure: status.pressure }),
    };
  }).sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
}
