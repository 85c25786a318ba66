/** A pod's record made anew from what can be found, when none was kept or it was torn. */
import { containerId, type ContainerLocal, newContainer, newLocal, type Observed, type Plan, type PodLocal } from './types.ts';

export interface Found {
  readonly podId: string;
  readonly observed: readonly Observed[];
  /** By container: the highest attempt that has left output behind. */
  readonly lastAttempts: Readonly<Record<string, number>>;
  readonly bootId: string;
  readonly wall: number;
}

/**
 * Attempt numbers only go on: one that was ever given out is not given out again. Where one of the pod's own containers is there, its
 * init containers have been through.
 */
export function rebuild(found: Found, plan: Pick<Plan, 'containers' | 'initContainers'> | null): PodLocal {
  const containers: Record<string, ContainerLocal> = {};
  const own = plan?.containers ?? [];
  // A record without a process may be of before a reboot, after which init containers run again.
  const through = own.some(({ name }) => attemptsOf(found, name).some(({ observed }) => observed.state !== 'unknown' || observed.pid > 0));
  for (const { name } of plan?.initContainers ?? []) containers[name] = through ? { ...again(found, name), state: 'done' } : rebuilt(found, name);
  for (const { name } of own) containers[name] = rebuilt(found, name);
  const local = newLocal(found.bootId, found.wall);
  const running = found.observed.some((o) => o.state === 'running');
  return { ...local, containers, phase: running ? 'running' : 'assigned' };
}

function rebuilt(found: Found, name: string): ContainerLocal {
  const [newest] = attemptsOf(found, name);
  const last = found.lastAttempts[name] ?? 0;
  if (!newest || newest.attempt < last) return again(found, name);
  const started = newest.observed.state !== 'created' && !(newest.observed.state === 'unknown' && newest.observed.pid === 0);
  return { ...newContainer, attempt: newest.attempt, state: 'live', started, startedAt: started ? found.wall : null };
}

function again(found: Found, name: string): ContainerLocal {
  return { ...newContainer, attempt: Math.max(found.lastAttempts[name] ?? 0, attemptsOf(found, name)[0]?.attempt ?? 0) };
}

/** Newest first. */
function attemptsOf({ podId, observed }: Found, name: string): readonly { readonly observed: Observed; readonly attempt: number }[] {
  const prefix = containerId(podId, name, 0).slice(0, -1);
  return observed
    .filter((o) => o.id.startsWith(prefix) && /^\d+$/.test(o.id.slice(prefix.length)))
    .map((o) => ({ observed: o, attempt: Number(o.id.slice(prefix.length)) }))
    .sort((a, b) => b.attempt - a.attempt);
}
