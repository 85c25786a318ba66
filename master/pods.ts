/** Pods as people see them: those that the cluster decides over, and those of hosts' own manifests. Pure. */
import type { Pod, PodStatus } from '../model/pod.ts';
import type { Maps } from './world.ts';

type PodMaps = Pick<Maps, 'pods' | 'podstatus' | 'staticpods'>;

export function allPods({ pods, staticpods }: PodMaps): Pod[] {
  return [...Array.from(pods.values(), (entry) => entry.value), ...Array.from(staticpods.values(), (entry) => entry.value.pod)];
}

export function findPod({ pods, staticpods }: PodMaps, id: string): Pod | undefined {
  return pods.get(id)?.value ?? staticpods.get(id)?.value.pod;
}

export function podStatusOf({ podstatus, staticpods }: PodMaps, id: string): PodStatus | undefined {
  return podstatus.get(id)?.value ?? staticpods.get(id)?.value.status;
}
