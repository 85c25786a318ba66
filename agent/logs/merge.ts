/** Merges sources of records by time. Within a source the order stays as it is. */
import type { LogRecord } from './source.ts';

interface Lane {
  readonly source: AsyncGenerator<readonly LogRecord[]>;
  batch: readonly LogRecord[];
  at: number;
}

/** Ends when all have ended; ends them when it is ended itself. */
export async function* mergeByTime(sources: readonly AsyncGenerator<readonly LogRecord[]>[]): AsyncGenerator<readonly LogRecord[]> {
  let lanes: Lane[] = sources.map((source) => ({ source, batch: [], at: 0 }));
  try {
    for (;;) {
      const filled = await Promise.all(lanes.map(fill));
      lanes = lanes.filter((_, i) => filled[i]);
      const [only] = lanes;
      if (!only) return;
      if (lanes.length === 1) {
        yield only.at === 0 ? only.batch : only.batch.slice(only.at);
        only.batch = [];
        continue;
      }
      yield drainUntilOneIsEmpty(lanes);
    }
  } finally {
    await Promise.all(lanes.map((lane) => lane.source.return(undefined)));
  }
}

async function fill(lane: Lane): Promise<boolean> {
  while (lane.at >= lane.batch.length) {
    const next = await lane.source.next();
    if (next.done) return false;
    lane.batch = next.value;
    lane.at = 0;
  }
  return true;
}

function drainUntilOneIsEmpty(lanes: readonly Lane[]): readonly LogRecord[] {
  const out: LogRecord[] = [];
  for (;;) {
    let best: Lane | undefined;
    let record: LogRecord | undefined;
    for (const lane of lanes) {
      const head = lane.batch[lane.at];
      if (!head) return out;
      if (!record || head.time < record.time) {
        best = lane;
        record = head;
      }
    }
    if (!best || !record) return out;
    out.push(record);
    best.at++;
  }
}
