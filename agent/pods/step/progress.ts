/** What a part of a step leaves to the next. */
import type { Action, ContainerLocal, Timers } from './types.ts';

export interface Progress {
  readonly containers: Readonly<Record<string, ContainerLocal>>;
  readonly timers: Timers;
  readonly actions: readonly Action[];
  readonly wakeIn: number | undefined;
}

export function least(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.max(0, Math.min(...known));
}

/** One part after the other: what the first began, the second sees. */
export function inTurn(before: Pick<Progress, 'containers' | 'timers'>, ...parts: readonly ((before: Pick<Progress, 'containers' | 'timers'>) => Progress)[]): Progress {
  return parts.reduce<Progress>(
    (so, part) => {
      const next = part(so);
      return { ...next, actions: [...so.actions, ...next.actions], wakeIn: least([so.wakeIn, next.wakeIn]) };
    },
    { ...before, actions: [], wakeIn: undefined },
  );
}
