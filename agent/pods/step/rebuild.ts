/** A pod's record made anew from what can be found, when none was kept or it was torn. */
import { type ContainerLocal, newContainer, newLocal, type Observed, type PodLocal } from './types.ts';

export interface Found {
  readonly podId: string;
  readonly observed: readonly Observed[];
  /** By container: the highest attempt that has left output behind. */
  readonly lastAttempts: Readonly<Record<string, number>>;
  readonly bootId: string;
  readonly wall: number;
}

/** Attempt numbers only go on: one that was ever given out is not given out again. */
export function rebuild(found: Found, names: readonly string[]): PodLocal {
  const containers: Record<string, ContainerLocal> = {};
  for (const name of names) {
    const prefix = `${found.podId}.${name}.`;
    const attempts = found.observed
      .filter((o) => o.id.startsWith(prefix) && /^\d+$/.test(o.id.slice(prefix.length)))
      .map((o) => ({ observed: o, attempt: Number(o.id.slice(prefix.length)) }))
      .sort((a, b) => b.attempt - a.attempt);
    const newest = attempts[0];
    const last = found.lastAttempts[name] ?? 0;
    if (newest && newest.attempt >= last) {
      const started = newest.observed.state !== 'created' && !(newest.observed.state === 'unknown' && newest.observed.pid === 0);
      containers[name] = { ...newContainer, attempt: newest.attempt, state: 'live', started, startedAt: started ? found.wall : null };
    } else if (last > 0) containers[name] = { ...newContainer, attempt: last };
  }
  const local = newLocal(found.bootId, found.wall);
  const running = found.observed.some((o) => o.state === 'running');
  return { ...local, containers, phase: running ? 'running' : 'assigned' };
}
