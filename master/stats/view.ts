/** What nodes said of their use, as people see it. Pure. */
import type { AgentStats, ContainerStats, NodeStats, Stats } from '../../model/stats.ts';
import { podName } from '../../model/pod.ts';
import { containersOf } from '../api/targets.ts';
import { nodeItems, type ViewInput } from '../api/views.ts';
import { findPod } from '../pods.ts';
import type { Wanted } from './wanted.ts';

/** What a node said last, or why it said nothing. */
export type NodeAnswer = { readonly stats: AgentStats } | { readonly failure: string };

export function statsView(input: ViewInput, wanted: Wanted, answers: ReadonlyMap<string, NodeAnswer>, at: number): Stats {
  const nodes = nodeItems(input).filter(({ id }) => wanted.nodes.has(id));
  return {
    at,
    nodes: nodes.map(({ id, name, state, capacity, allocated, pods }): NodeStats => {
      const answer = answers.get(id) ?? { failure: 'does not answer' };
      return { id, name, state, capacity, allocated, pods, used: 'stats' in answer ? answer.stats.host : null, message: 'stats' in answer ? '' : answer.failure };
    }),
    containers: nodes.flatMap((node) => {
      const answer = answers.get(node.id);
      return answer && 'stats' in answer ? containersOn(input, wanted, node, answer.stats) : [];
    }).sort((a, b) => order.compare(a.name, b.name) || order.compare(a.podId, b.podId)),
  };
}

const order = new Intl.Collator('en', { numeric: true });

function containersOn({ maps }: ViewInput, wanted: Wanted, node: { readonly id: string; readonly name: string; readonly capacity: { readonly memory: number } }, { containers }: AgentStats): ContainerStats[] {
  return containers.flatMap((usage): ContainerStats[] => {
    const pod = findPod(maps, usage.podId);
    // A node speaks for its own pods only, and of what the cluster has forgotten nobody wants to hear.
    if (!pod || pod.node !== node.id || !wanted.includes(pod, usage.container)) return [];
    const slot = typeof pod.slot === 'string' ? (maps.nodes.get(pod.slot)?.value.name ?? pod.slot) : pod.slot;
    const name = podName(pod.service, slot);
    const { used, limit } = usage.memory;
    const whole = limit ?? node.capacity.memory;
    return [{
      ...usage, name: containersOf(maps, pod).length > 1 ? `${name}/${usage.container}` : name, pod: name, stack: pod.stack, service: pod.service, slot: pod.slot, node: node.name,
      memory: { used, limit, percent: whole > 0 ? Math.round((used / whole) * 10_000) / 100 : 0 },
    }];
  });
}
