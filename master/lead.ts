/**
 * What only the leader does, in one place: this function is the map. Every loop starts from the store's maps and ends with the
 * leader's term; nothing it knows outlives the term.
 */
import type { Context } from './context.ts';
import { startCollect } from './controllers/collect.ts';
import { startDrain } from './controllers/drain.ts';
import type { Planner } from './controllers/planner.ts';
import { startPlanner } from './controllers/pass.ts';
import type { Epoch } from './store/port.ts';
import type { TablePublisher } from './table/publisher.ts';
import type { VolumeWork } from './volumes/work.ts';

export async function lead(context: Context, planner: Planner, work: VolumeWork, tables: TablePublisher, epoch: Epoch, signal: AbortSignal): Promise<void> {
  const { world, leadership, log } = context;
  await world.waitFor(epoch.createRevision, signal);
  leadership.current = epoch;
  log.info('leading', { epoch: epoch.createRevision });
  try {
    const loops = [startPlanner(context, planner, signal), startDrain(context, tables, signal), startCollect(context, signal), work.start(signal)];
    await Promise.all(loops.map((loop) => loop.done));
  } finally {
    leadership.current = null;
    log.info('not leading any more', { epoch: epoch.createRevision });
  }
}
