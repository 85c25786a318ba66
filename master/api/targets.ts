/** What people call things: a stack, a service, a slot, a pod, a container; a node by name or id. */
import { TsorchError } from '../../model/errors.ts';
import type { Node } from '../../model/node.ts';
import { isFinal, type Pod, type PodStatus } from '../../model/pod.ts';
import { serviceId } from '../../model/spec.ts';
import type { Maps } from '../world.ts';
import { allPods, findPod, podStatusOf } from '../pods.ts';
import { suggest } from './suggest.ts';

export interface Target {
  /** Newest first within a slot. */
  readonly pods: Pod[];
  /** The container that was meant, where the name or the caller said one. */
  readonly container?: string;
}

/**
 * The pods a name means: `stack`, `stack_service`, `stack_service.slot` (or `.node` for global services), or a pod id; newest
 * first within a slot. `not-found` with a suggestion when it means nothing.
 */
export function findPods(maps: Maps, target: string): Pod[] {
  return findTarget(maps, target).pods;
}

/**
 * The same, and which container: a service that joined the pods of another one (and any container of a pod) goes by its own name,
 * `stack_container`, besides. `container` is what the caller asked for; `not-found` when none of the pods has it.
 */
export function findTarget(maps: Maps, target: string, container?: string): Target {
  const found = named(maps, target) ?? joined(maps, target);
  if (!found) throw unknownTarget(maps, target);
  if (container === undefined) return found;
  const known = new Set(found.pods.flatMap((pod) => containersOf(maps, pod)));
  if (found.pods.length > 0 && !known.has(container)) {
    throw new TsorchError('not-found', `${target} has no container ${container}`, { hint: suggest(container, known) ?? `it has ${[...known].sort().join(', ')}` });
  }
  return { pods: found.pods.filter((pod) => containersOf(maps, pod).includes(container)), container };
}

/** Whether there is something of this name that has pods or may come to have some. */
export function isKnown(maps: Maps, target: string): boolean {
  if (findPod(maps, target) || maps.services.has(target) || maps.stacks.has(target)) return true;
  const dot = target.lastIndexOf('.');
  return (dot > 0 && maps.services.has(target.slice(0, dot))) || joined(maps, target) !== null;
}

/** What to say of a name that means nothing: with the one that was meant, if one is near. */
function unknownTarget(maps: Maps, target: string): TsorchError {
  const service = target.replace(/\.[^.]*$/, '');
  // A slot that the service does not have is no misspelling.
  if (service !== target && maps.services.has(service)) return new TsorchError('not-found', `${service} has no pod ${target}`, { hint: `see tsorch ps ${service}` });
  const names = [...maps.stacks.keys(), ...maps.services.keys(), ...new Set(Array.from(maps.staticpods.values(), ({ value: { pod } }) => [pod.stack, pod.service]).flat())];
  return new TsorchError('not-found', `there is no stack, service or pod ${target}`, { hint: suggest(service, names, target.slice(service.length)) ?? suggest(target, names) ?? 'see tsorch ps' });
}

/** Names of the pod's containers, the service's own first, init containers last. */
export function containersOf(maps: Maps, pod: Pod): readonly string[] {
  const own = maps.staticpods.get(pod.id)?.value.status.containers;
  if (own) return own.map(({ name }) => name);
  const template = maps.revisions.get(`${pod.service}.${pod.revision}`)?.value.spec.template;
  return [...(template?.containers ?? []), ...(template?.initContainers ?? [])].map(({ name }) => name);
}

function named(maps: Maps, target: string): Target | null {
  const exact = findPod(maps, target);
  if (exact) return { pods: [exact] };
  const pods = select(maps, target, (pod, name) => pod.service === name, (pod) => pod.stack === target);
  return pods.length > 0 || maps.services.has(target) || maps.stacks.has(target) ? { pods } : null;
}

function joined(maps: Maps, target: string): Target | null {
  let container: string | undefined;
  const pods = select(maps, target, (pod, name) => {
    const meant = containersOf(maps, pod).find((other) => serviceId(pod.stack, other) === name);
    container ??= meant;
    return meant !== undefined;
  });
  return container === undefined ? null : { pods, container };
}

/** Pods whose service goes by the target, or by what is before its last dot when their slot is what comes after. */
function select(maps: Maps, target: string, isCalled: (pod: Pod, name: string) => boolean, isPart: (pod: Pod) => boolean = () => false): Pod[] {
  const dot = target.lastIndexOf('.');
  const slotOf = (pod: Pod) => (typeof pod.slot === 'string' ? [pod.slot, maps.nodes.get(pod.slot)?.value.name ?? ''] : [String(pod.slot)]);
  return allPods(maps)
    .filter((pod) => isPart(pod) || isCalled(pod, target) || (dot > 0 && slotOf(pod).includes(target.slice(dot + 1)) && isCalled(pod, target.slice(0, dot))))
    .sort(byNewest);
}

/** Running before stopped, then newest. */
function byNewest(a: Pod, b: Pod): number {
  const live = Number(b.desired === 'running') - Number(a.desired === 'running');
  return live !== 0 ? live : b.createdAt - a.createdAt;
}

/** What to say of a stack or service that people want to change and that only a host's manifest can: undefined for others. */
export function manifestHint(maps: Maps, name: string): string | undefined {
  const found = Array.from(maps.staticpods.values(), (entry) => entry.value).find(({ pod }) => pod.stack === name || pod.service === name);
  return found && `${name} is in ${found.origin} on ${maps.nodes.get(found.pod.node ?? '')?.value.name ?? 'a node'}: change or remove that file`;
}

/** The pod in which something can be run, and the container where one is meant. `conflict` when none runs. */
export function runningPod(maps: Maps, target: string, wanted?: string): { readonly pod: Pod & { readonly node: string }; readonly container?: string } {
  const { pods, container } = findTarget(maps, target, wanted);
  const pod = pods.find((candidate) => candidate.node !== null && isRunning(podStatusOf(maps, candidate.id), container));
  if (pod?.node) return { pod: { ...pod, node: pod.node }, ...(container === undefined ? {} : { container }) };
  throw new TsorchError('conflict', `${container === undefined || wanted === undefined ? target : `container ${container} of ${target}`} has no running pod`, { hint: `see tsorch ps ${pods[0]?.service ?? target}` });
}

/** An init container, or the first of several, runs before its pod counts as running. */
function isRunning(status: PodStatus | undefined, container: string | undefined): boolean {
  if (!status || isFinal(status.phase)) return false;
  const meant = container === undefined ? status.containers[0] : status.containers.find(({ name }) => name === container);
  return meant?.state === undefined ? status.phase === 'running' : meant.state === 'running';
}

export function findNode(maps: Maps, target: string): Node {
  const node = maps.nodes.get(target)?.value ?? Array.from(maps.nodes.values(), (entry) => entry.value).find((value) => value.name === target);
  if (node) return node;
  throw new TsorchError('not-found', `there is no node ${target}`, { hint: suggest(target, Array.from(maps.nodes.values(), (entry) => entry.value.name)) ?? 'see tsorch nodes' });
}
