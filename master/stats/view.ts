/** What nodes said of their use, as people see it. Pure. */
import type { AgentStats, ContainerStats, NodeStats, Stats } from '../../model/stats.ts';
import { type Pod, podName } from '../../model/pod.ts';
import { containersOf } from '../api/targets.ts';
import { nodeItems, type ViewInput } from '../api/views.ts';
import { allPods, findPod, podStatusOf } from '../pods.ts';
import type { Maps } from '../world.ts';
import type { Wanted } from './wanted.ts';

/** What a node said last, or why it said nothing. */
export type NodeAnswer = { readonly stats: AgentStats } | { readonly failure: string };

/** With `all` containers that do not run are there as well. */
export function statsView(input: ViewInput, wanted: Wanted, answers: ReadonlyMap<string, NodeAnswer>, at: number, all = false): Stats {
  const nodes = nodeItems(input).filter(({ id }) => wanted.nodes.has(id));
  const running = nodes.flatMap((node) => {
    const answer = answers.get(node.id);
    return answer && 'stats' in answer ? containersOn(input, wanted, node, answer.stats) : [];
  });
  return {
    at,
    nodes: nodes.map(({ id, name, state, capacity, allocated, pods }): NodeStats => {
      const answer = answers.get(id) ?? { failure: 'does not answer' };
      return { id, name, state, capacity, allocated, pods, used: 'stats' in answer ? answer.stats.host : null, message: 'stats' in answer ? '' : answer.failure };
    }),
    containers: [...running, ...(all ? idle(input.maps, wanted, running) : [])].sort((a, b) => order.compare(a.name, b.name) || order.compare(a.podId, b.podId)),
  };
}

const order = new Intl.Collator('en', { numeric: true });

function containersOn({ maps }: ViewInput, wanted: Wanted, node: { readonly id: string; readonly name: string; readonly capacity: { readonly memory: number } }, { containers }: AgentStats): ContainerStats[] {
  return containers.flatMap((usage): ContainerStats[] => {
    const pod = findPod(maps, usage.podId);
    // A node speaks for its own pods only, and of what the cluster has forgotten nobody wants to hear.
    if (!pod || pod.node !== node.id || !wanted.includes(pod, usage.container)) return [];
    const { used, limit } = usage.memory;
    const whole = limit ?? node.capacity.memory;
    return [{
      ...usage, ...identify(maps, pod, usage.container), node: node.name,
      memory: { used, limit, percent: whole > 0 ? Math.round((used / whole) * 10_000) / 100 : 0 },
    }];
  });
}

function identify(maps: Maps, pod: Pod, container: string): Pick<ContainerStats, 'name' | 'pod' | 'stack' | 'service' | 'slot'> {
  const slot = typeof pod.slot === 'string' ? (maps.nodes.get(pod.slot)?.value.name ?? pod.slot) : pod.slot;
  const name = podName(pod.service, slot);
  return { name: containersOf(maps, pod).length > 1 ? `${name}/${container}` : name, pod: name, stack: pod.stack, service: pod.service, slot: pod.slot };
}

/** What does not run: it waits, is to be restarted, or is over. What runs and whose node says nothing of it is not among them. */
function idle(maps: Maps, wanted: Wanted, running: readonly ContainerStats[]): ContainerStats[] {
  const seen = new Set(running.map(({ podId, container }) => `${podId} ${container}`));
  return allPods(maps).flatMap((pod) => {
    const status = podStatusOf(maps, pod.id);
    return containersOf(maps, pod).flatMap((container): ContainerStats[] => {
      const own = status?.containers.find(({ name }) => name === container);
      const state = own?.state ?? status?.phase ?? 'pending';
      if (state === 'running' || seen.has(`${pod.id} ${container}`) || !wanted.includes(pod, container)) return [];
      return [{
        ...identify(maps, pod, container), podId: pod.id, container, attempt: own?.attempt ?? 0, node: pod.node === null ? '' : (maps.nodes.get(pod.node)?.value.name ?? pod.node), state,
        cpu: { percent: null, seconds: 0 }, memory: { used: 0, limit: null, percent: 0 }, pids: { current: 0, limit: null }, block: { read: 0, written: 0 }, network: null,
      }];
    });
  });
}
