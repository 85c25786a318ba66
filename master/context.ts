/** What the parts of a master share. Built once in main.ts; nothing here is global. */
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import type { NodeState, NodeView } from '../model/node.ts';
import { TsorchError } from '../model/errors.ts';
import type { Events } from './events.ts';
import type { ImageInventory } from './images/inventory.ts';
import type { DigestResolver } from './images/resolve.ts';
import type { Liveness } from './nodes/liveness.ts';
import type { Sessions } from './nodes/sessions.ts';
import { commitAll } from './store/commit.ts';
import type { Epoch, Op, Store } from './store/port.ts';
import type { World } from './world.ts';

export interface Context {
  readonly store: Store;
  readonly world: World;
  readonly liveness: Liveness;
  readonly sessions: Sessions;
  readonly images: ImageInventory;
  /** null: registries are not asked what a tag names. */
  readonly resolver: DigestResolver | null;
  readonly events: Events;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** The term of this master's leadership; null while another master leads. */
  readonly leadership: { current: Epoch | null };
}

export function nodeState(context: Pick<Context, 'liveness'>, id: string): NodeState {
  return context.liveness.state(id);
}

export function nodeViews(context: Pick<Context, 'world' | 'liveness'>): NodeView[] {
  return context.world.values('nodes').map((node) => ({
    node, status: context.world.get('nodestatus', node.id) ?? null, state: context.liveness.state(node.id),
  }));
}

/** Writes as the leader and waits until this process sees what it wrote. `unavailable` when it does not lead. */
export async function commitAsLeader(context: Context, ops: readonly Op[]): Promise<void> {
  const epoch = context.leadership.current;
  if (!epoch) throw new TsorchError('unavailable', 'this master does not lead', { hint: 'try again in a second' });
  if (ops.length === 0) return;
  const { revision } = await commitAll(context.store, ops, epoch);
  await context.world.waitFor(revision, context.signal);
}
