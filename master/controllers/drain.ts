/**
 * The drain handshake: a pod to be stopped first leaves every proxy's table; only then is it told to stop. A proxy that does
 * not acknowledge within the deadline (it is gone, or wedged) does not hold the others up.
 *
 * Turns `draining` into `stopped`; nothing else does.
 */
import { Loop } from '../../lib/loop.ts';
import type { Entry, Op } from '../store/port.ts';
import { commitAsLeader, type Context } from '../context.ts';
import type { TablePublisher } from '../table/publisher.ts';

const deadlineMs = 2_000;

export function startDrain(context: Context, tables: TablePublisher, signal: AbortSignal): Loop {
  const { world, clock, log, liveness } = context;
  /** Monotonic time at which each draining pod was first seen here: a new leader starts the wait anew. */
  const since = new Map<string, number>();

  const isOver = (entry: Entry<'pods'>): boolean => {
    const pod = entry.value;
    if (pod.node === null || liveness.state(pod.node) === 'down') return true;
    // A pod that never was an endpoint has nothing to be drained of.
    if (world.get('podstatus', pod.id)?.ready !== true) return true;
    const first = since.get(pod.id) ?? clock.monotonic();
    since.set(pod.id, first);
    if (tables.everyoneHas(entry.revision)) return true;
    tables.request(entry.revision);
    return clock.monotonic() - first >= deadlineMs;
  };

  const run = async (): Promise<number | undefined> => {
    const draining = Array.from(world.maps.pods.values()).filter((entry) => entry.value.desired === 'draining');
    for (const id of since.keys()) if (world.get('pods', id)?.desired !== 'draining') since.delete(id);
    if (draining.length === 0) return undefined;
    const ops: Op[] = draining.filter(isOver).map((entry) => ({
      op: 'put', kind: 'pods', id: entry.id, value: { ...entry.value, desired: 'stopped' }, guard: entry.revision,
    }));
    await commitAsLeader(context, ops);
    if (ops.length === draining.length) return undefined;
    const oldest = Math.min(...draining.map((entry) => since.get(entry.id) ?? Infinity));
    return Math.max(10, oldest + deadlineMs - clock.monotonic());
  };

  const loop = new Loop({ name: 'drain', clock, log, signal, run });
  world.subscribe((changes) => {
    if (changes.some((change) => change.kind === 'pods' && change.entry?.value.desired === 'draining')) loop.mark();
  }, signal);
  tables.onAck(() => {
    if (since.size > 0) loop.mark();
  }, signal);
  loop.mark();
  return loop;
}
