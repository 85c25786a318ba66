/** Merges sources of chunks by time. Within a source the order stays as it is. */
import type { LogChunk } from '../../model/log-chunk.ts';

interface Lane {
  readonly source: AsyncGenerator<readonly LogChunk[]>;
  batch: readonly LogChunk[];
  at: number;
}

/** Ends when all have ended; ends them when it is ended itself. */
export async function* mergeByTime(sources: readonly AsyncGenerator<readonly LogChunk[]>[]): AsyncGenerator<readonly LogChunk[]> {
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

function drainUntilOneIsEmpty(lanes: readonly Lane[]): readonly LogChunk[] {
  const out: LogChunk[] = [];
  for (;;) {
    let best: Lane | undefined;
    let chunk: LogChunk | undefined;
    for (const lane of lanes) {
      const head = lane.batch[lane.at];
      if (!head) return out;
      if (!chunk || head.time < chunk.time) {
        best = lane;
        chunk = head;
      }
    }
    if (!best || !chunk) return out;
    out.push(chunk);
    best.at++;
  }
}
