/** What people call things: a stack, a service, a slot, a pod; a node by name or id. */
import { TsorchError } from '../../model/errors.ts';
import type { Node } from '../../model/node.ts';
import type { Pod } from '../../model/pod.ts';
import type { Maps } from '../world.ts';
import { suggest } from './suggest.ts';

/**
 * The pods a name means: `stack`, `stack_service`, `stack_service.slot` (or `.node` for global services), or a pod id; newest
 * first within a slot. `not-found` with a suggestion when it means nothing.
 */
export function findPods(maps: Maps, target: string): Pod[] {
  const exact = maps.pods.get(target)?.value;
  if (exact) return [exact];
  const pods = Array.from(maps.pods.values(), (entry) => entry.value);
  const dot = target.lastIndexOf('.');
  const slotOf = (pod: Pod) => (typeof pod.slot === 'string' ? [pod.slot, maps.nodes.get(pod.slot)?.value.name ?? ''] : [String(pod.slot)]);
  const found = pods.filter((pod) =>
    pod.stack === target || pod.service === target || (dot > 0 && pod.service === target.slice(0, dot) && slotOf(pod).includes(target.slice(dot + 1))));
  if (found.length > 0) return found.sort(byNewest);
  if (maps.services.has(target) || maps.stacks.has(target)) return [];
  const names = [...maps.stacks.keys(), ...maps.services.keys()];
  throw new TsorchError('not-found', `there is no stack, service or pod ${target}`, { hint: suggest(target, names) ?? 'see tsorch ps' });
}

/** Running before stopped, then newest. */
function byNewest(a: Pod, b: Pod): number {
  const live = Number(b.desired === 'running') - Number(a.desired === 'running');
  return live !== 0 ? live : b.createdAt - a.createdAt;
}

export function findNode(maps: Maps, target: string): Node {
  const node = maps.nodes.get(target)?.value ?? Array.from(maps.nodes.values(), (entry) => entry.value).find((value) => value.name === target);
  if (node) return node;
  throw new TsorchError('not-found', `there is no node ${target}`, { hint: suggest(target, Array.from(maps.nodes.values(), (entry) => entry.value.name)) ?? 'see tsorch nodes' });
}
