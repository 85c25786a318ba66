/** Whether a node is there, from its session alone. */
import type { NodeState } from '../../model/node.ts';

export interface NodeSession {
  readonly hasSession: boolean;
  /** When the session was lost; null when there was none since this master began to watch. */
  readonly lostSince: number | null;
  readonly now: number;
  /** How long a lost session may take to come back before the node's pods are replaced. */
  readonly graceMs: number;
}

/** A node without a session and without a known loss is given the grace from the start of the watch: pass that as `lostSince`. */
export function nodeState({ hasSession, lostSince, now, graceMs }: NodeSession): NodeState {
  if (hasSession) return 'ready';
  if (lostSince === null) return 'unknown';
  return now - lostSince < graceMs ? 'unknown' : 'down';
}
