/** What holds a pod up after an action has failed, and when that is over. */
import type { Action, Timers } from './types.ts';

type Kind = Pick<Action, 'kind'>;

export function isEnding(action: Kind | undefined): boolean {
  return action?.kind === 'signal' || action?.kind === 'remove' || action?.kind === 'detach' || action?.kind === 'release' || action?.kind === 'forget';
}

/**
 * What is left of it once these actions have succeeded. A create that failed has the pod prepared anew before it is tried again:
 * that the preparation goes well says nothing about it, and must not begin the waiting from the start.
 */
export function afterSuccess(blocked: Timers['blocked'], actions: readonly Kind[]): Timers['blocked'] {
  if (blocked === null) return null;
  const over = actions.some((action) => {
    if (action.kind === 'check' || action.kind === 'hook') return false;
    if (blocked.by === 'create' && (action.kind === 'prepare' || action.kind === 'attach')) return false;
    return isEnding(action) === blocked.ends;
  });
  return over ? null : blocked;
}
