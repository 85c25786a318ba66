/** Reads a pod's output: tail, since, until, follow, over all its containers and kept attempts. */
import type { Clock } from '../../lib/clock.ts';
import { type LogChunk, streamKey } from '../../model/log-chunk.ts';
import type { LogPlaces } from '../../model/api.ts';
import type { LiveFile } from './live.ts';
import { mergeByTime } from './merge.ts';
import { Source } from './source.ts';

export interface ReadOptions {
  /** One container alone; absent: all. */
  readonly container?: string;
  /** One attempt of it alone; absent: all that are kept. */
  readonly attempt?: number;
  readonly follow: boolean;
  /** Lines from the end; absent: all. */
  readonly tail?: number;
  /** Milliseconds since the epoch, both inclusive. */
  readonly since?: number;
  readonly until?: number;
  /** One stream alone; absent: both. */
  readonly stream?: 'stdout' | 'stderr';
  /** Where the reader is already, by `streamKey`: then `tail` says nothing, and other streams are read from their beginning. */
  readonly places?: LogPlaces;
}

/** One attempt's folder. */
export interface AttemptLog {
  readonly container: string;
  readonly attempt: number;
  readonly directory: string;
  /** While its container may still write. */
  readonly live: { readonly stdout: LiveFile; readonly stderr: LiveFile } | undefined;
}

/** What a reader needs to know of a pod's logs. */
export interface PodLogs {
  attempts(): Promise<readonly AttemptLog[]>;
  /** More may come: from live attempts or from ones that begin later. */
  isOpen(): boolean;
  /** Resolves at the next growth, new attempt or end after the call. */
  changed(signal: AbortSignal): Promise<void>;
}

interface Reading {
  readonly key: string;
  readonly attempt: AttemptLog;
  readonly stream: 'stdout' | 'stderr';
  readonly source: Source;
}

/** Chunks in batches, by time; the first batch says where each stream is taken up. Ends with the output, with `until`, or with the signal. */
export async function* readPod(logs: PodLogs, options: ReadOptions, clock: Clock, signal: AbortSignal): AsyncGenerator<readonly LogChunk[]> {
  const readings = new Map<string, Reading>();
  const finished = new Set<string>();
  const until = options.until ?? Infinity;
  const waiting = new AbortController();
  const stop = () => waiting.abort();
  signal.addEventListener('abort', stop, { once: true });
  if (options.follow && until !== Infinity) clock.sleep(Math.max(0, until - clock.now()), waiting.signal).then(stop, () => {});
  try {
    for (let first = true; !signal.aborted; first = false) {
      const changed = options.follow ? logs.changed(waiting.signal) : undefined;
      // Asked before reading: what is written after the last look is not missed.
      const open = logs.isOpen();
      const attempts = await logs.attempts();
      await openNew(attempts, options, readings, finished, clock);
      const current = [...readings.values()].map((reading) => ({ ...reading, live: attempts.find((a) => a.directory === reading.attempt.directory)?.live !== undefined }));
      const sizes = await Promise.all(current.map(({ source }) => sizeOf(source, options)));
      if (first) {
        await position(current, sizes, options);
        if (current.length > 0) yield current.map(({ source }) => source.place());
      }
      for await (const batch of mergeByTime(current.map(({ source, live }, i) => source.round(sizes[i] ?? 0, !options.follow || !live)))) {
        const wanted = options.since === undefined && until === Infinity ? batch : batch.filter((chunk) => chunk.time >= (options.since ?? 0) && chunk.time <= until);
        if (wanted.length > 0) yield wanted;
        if (signal.aborted || (batch[0]?.time ?? 0) > until) return;
      }
      for (const { key, live, source } of current) {
        if (live) continue;
        readings.delete(key);
        finished.add(key);
        await source.close();
      }
      if (!changed || !open || waiting.signal.aborted) return;
      await changed;
    }
  } finally {
    signal.removeEventListener('abort', stop);
    waiting.abort();
    await Promise.all([...readings.values()].map(({ source }) => source.close()));
  }
}

/** Until where to read: a flood that goes on meanwhile is for the next round. */
async function sizeOf(source: Source, { follow, until }: ReadOptions): Promise<number> {
  const size = await source.size();
  return until === undefined || follow ? size : source.sizeAt(until, size);
}

async function openNew(attempts: readonly AttemptLog[], wanted: Pick<ReadOptions, 'stream'>, readings: Map<string, Reading>, finished: ReadonlySet<string>, clock: Clock): Promise<void> {
  for (const attempt of attempts) {
    for (const stream of ['stdout', 'stderr'] as const) {
      if (wanted.stream !== undefined && wanted.stream !== stream) continue;
      const key = `${attempt.directory}/${stream}`;
      if (readings.has(key) || finished.has(key)) continue;
      const live = attempt.live?.[stream];
      const source = await Source.open({ file: key, container: attempt.container, attempt: attempt.attempt, stream, live, now: () => clock.now() }).catch(
        // Given up between the listing and now.
        (error: unknown) => ((error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : Promise.reject(error as Error)),
      );
      if (source) readings.set(key, { key, attempt, stream, source });
    }
  }
}

/** Moves every source to its first wanted line: where the reader is, or of all the sources' lines the last `tail`, none before `since`. */
async function position(readings: readonly Reading[], sizes: readonly number[], options: ReadOptions): Promise<void> {
  const sources = readings.map(({ source }) => source);
  if (options.since !== undefined) for (const source of sources) await source.seekTime(options.since);
  if (options.places) {
    for (const [i, { attempt, stream, source }] of readings.entries()) {
      const place = options.places[streamKey({ ...attempt, stream })];
      if (place !== undefined) source.resume(place, sizes[i] ?? 0);
    }
    return;
  }
  if (options.tail === undefined) return;
  const tails = await Promise.all(sources.map((source, i) => source.tail(options.tail ?? 0, sizes[i] ?? 0)));
  const left = tails.map((lines) => lines.length);
  for (let taken = 0; taken < options.tail; taken++) {
    let newest = -1;
    let time = -Infinity;
    tails.forEach((lines, i) => {
      const candidate = lines[(left[i] ?? 0) - 1];
      // Of lines of one time the later source is taken: it comes later when they are merged.
      if (candidate && candidate.time >= time) {
        newest = i;
        time = candidate.time;
      }
    });
    if (newest < 0) break;
    left[newest] = (left[newest] ?? 0) - 1;
  }
  sources.forEach((source, i) => source.seek(tails[i]?.[left[i] ?? 0]?.start ?? sizes[i] ?? 0));
}
