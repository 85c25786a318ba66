/**
 * Everything that containers of this host have printed and that is still kept.
 *
 * ```
 * <dir>/<pod>/pod.json                     whose it is, for when the pod is gone
 * <dir>/<pod>/<container>.<attempt>/       stdout, stderr and their sidecars .idx
 * ```
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { TsorchError } from '../../model/errors.ts';
import { keptAttempts as kept, type LogChunk } from '../../model/log-chunk.ts';
import type { ContainerSpec } from '../../model/spec.ts';
import { isMissing, isRecord, readJson } from '../state.ts';
import { safeName } from '../volumes/names.ts';
import { LiveFile } from './live.ts';
import { type Punch, punchHole } from './punch.ts';
import { type AttemptLog, type PodLogs, readPod, type ReadOptions } from './read.ts';

export interface LogStoreOptions {
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Bytes kept per container and attempt, where the container does not say; 20 MB unless told. */
  readonly limit?: number;
  readonly punch?: Punch;
}

/** Whose output it is; kept beside it. */
export interface LogOwner {
  readonly id: string;
  readonly service: string;
  readonly slot: string;
  readonly createdAt: number;
}

interface Live {
  readonly stdout: LiveFile;
  readonly stderr: LiveFile;
}

function pathsIn(directory: string): { readonly stdout: string; readonly stderr: string } {
  return { stdout: path.join(directory, 'stdout'), stderr: path.join(directory, 'stderr') };
}

const pollMs = 10;
const keptDays = 7;

export class LogStore {
  readonly #options: LogStoreOptions;
  readonly #live = new Map<string, Map<string, Live>>();
  /** Pods that may print more, now or in a later attempt. */
  readonly #open = new Set<string>();
  readonly #waiters = new Map<string, Set<() => void>>();
  readonly #busy = new Set<LiveFile>();
  /** By directory: two callers may begin the same attempt. */
  readonly #opening = new Map<string, Promise<Live>>();
  /** Directories that are being made: not live yet, and not over either. */
  readonly #beginning = new Set<string>();
  #polling = false;

  constructor(options: LogStoreOptions) {
    this.#options = options;
    options.signal.addEventListener('abort', () => void this.#closeAll(), { once: true });
  }

  /**
   * Makes the attempt's files, or takes up those that are there, and watches them. Resolves to the paths that the runtime
   * appends to. Attempts before the last five are deleted. `logging`: how much is kept of both
   * streams together.
   */
  async begin(owner: LogOwner, container: string, attempt: number, logging?: ContainerSpec['logging']): Promise<{ readonly stdout: string; readonly stderr: string }> {
    const pod = this.#pod(owner.id);
    const directory = path.join(pod, `${safeName('container', container)}.${attempt}`);
    if (!this.#live.get(owner.id)?.has(directory)) this.#beginning.add(directory);
    try {
      await this.#make(owner, pod, directory, keptBytes(logging) ?? this.#options.limit ?? 20_000_000);
    } finally {
      this.#beginning.delete(directory);
    }
    if (attempt > kept) {
      for (const old of await this.attempts(owner.id)) {
        if (old.container === container && old.attempt <= attempt - kept) await fs.rm(old.directory, { recursive: true, force: true });
      }
    }
    this.#wake(owner.id);
    return pathsIn(directory);
  }

  async #make(owner: LogOwner, pod: string, directory: string, limit: number): Promise<void> {
    const made = await fs.mkdir(directory, { recursive: true, mode: 0o700 });
    const description = path.join(pod, 'pod.json');
    // Whose output it is, is not worth a second file to be safe: a torn one is written anew by the next attempt.
    const described = (made === undefined || made === directory) && isRecord(await readJson(description));
    const paths = pathsIn(directory);
    await Promise.all([
      ...(described ? [] : [fs.writeFile(description, JSON.stringify(owner), { mode: 0o600 })]),
      ...Object.values(paths).map(async (file) => await (await fs.open(file, 'a', 0o600)).close()),
    ]);
    this.#open.add(owner.id);
    const live = this.#live.get(owner.id) ?? new Map<string, Live>();
    this.#live.set(owner.id, live);
    if (live.has(directory)) return;
    const opening = this.#opening.get(directory) ?? this.#openLive(owner.id, paths, limit, made !== undefined);
    this.#opening.set(directory, opening);
    live.set(directory, await opening.finally(() => this.#opening.delete(directory)));
  }

  /** The attempt's container has ended. */
  async end(podId: string, container: string, attempt: number): Promise<void> {
    const directory = path.join(this.#pod(podId), `${container}.${attempt}`);
    const live = this.#live.get(podId)?.get(directory);
    if (!live) return;
    await Promise.all([live.stdout.close(), live.stderr.close()]);
    this.#live.get(podId)?.delete(directory);
    this.#wake(podId);
  }

  /** The pod will print no more. */
  async close(podId: string): Promise<void> {
    const live = [...(this.#live.get(podId)?.values() ?? [])];
    this.#live.delete(podId);
    await Promise.all(live.flatMap((l) => [l.stdout.close(), l.stderr.close()]));
    if (this.#open.delete(podId)) this.#wake(podId);
  }

  /** A pod that is going to print. */
  expect(podId: string): void {
    this.#open.add(podId);
  }

  /** The files of an attempt that may still grow; undefined when it has ended. */
  live(podId: string, container: string, attempt: number): { readonly stdout: LiveFile; readonly stderr: LiveFile } | undefined {
    return this.#live.get(podId)?.get(path.join(this.#pod(podId), `${container}.${attempt}`));
  }

  /** The highest attempt that has a folder: what a lost record must not give out again. */
  async lastAttempt(podId: string, container: string): Promise<number> {
    return Math.max(0, ...(await this.attempts(podId)).filter((a) => a.container === container).map((a) => a.attempt));
  }

  /** Batches of chunks, oldest first; their bytes are good until the next batch is asked for. `not-found` when nothing is known of the pod. */
  async *read(podId: string, options: ReadOptions, signal: AbortSignal): AsyncGenerator<readonly LogChunk[]> {
    if (!this.#open.has(podId) && (await this.attempts(podId)).length === 0) throw new TsorchError('not-found', `this node has no output of pod ${podId}`);
    const logs: PodLogs = { attempts: async () => (await this.#listed(podId)).filter((log) => !log.beginning && isWanted(log, options)), isOpen: () => this.#open.has(podId), changed: (until) => this.#changed(podId, until) };
    yield* readPod(logs, options, this.#options.clock, signal);
  }

  /** By container, then attempt. */
  async attempts(podId: string): Promise<readonly AttemptLog[]> {
    return this.#listed(podId);
  }

  async #listed(podId: string): Promise<readonly (AttemptLog & { readonly beginning: boolean })[]> {
    const pod = this.#pod(podId);
    const found = await list(pod);
    const attempts = found.flatMap((name) => {
      const parts = /^(.+)\.(\d+)$/.exec(name);
      if (!parts?.[1]) return [];
      const directory = path.join(pod, name);
      return [{ container: parts[1], attempt: Number(parts[2]), directory, live: this.#live.get(podId)?.get(directory), beginning: this.#beginning.has(directory) }];
    });
    return attempts.sort((a, b) => a.container.localeCompare(b.container) || a.attempt - b.attempt);
  }

  /**
   * Deletes what is no longer kept of pods that are gone: all but the last five attempts of their slot, and what is a week
   * old. `isKnown` says which pods are not gone.
   */
  async prune(isKnown: (podId: string) => boolean): Promise<void> {
    const slots = new Map<string, { id: string; owner: LogOwner; attempts: readonly AttemptLog[] }[]>();
    for (const id of await list(this.#options.directory)) {
      const owner = parseOwner(await readJson(path.join(this.#pod(id), 'pod.json'))) ?? { id, service: '', slot: id, createdAt: 0 };
      const key = `${owner.service}/${owner.slot}`;
      slots.set(key, [...(slots.get(key) ?? []), { id, owner, attempts: await this.attempts(id) }]);
    }
    const oldest = this.#options.clock.now() - keptDays * 24 * 3600_000;
    for (const pods of slots.values()) {
      pods.sort((a, b) => Number(isKnown(b.id)) - Number(isKnown(a.id)) || b.owner.createdAt - a.owner.createdAt);
      const seen = new Map<string, number>();
      for (const { id, attempts } of pods) {
        if (!isKnown(id)) {
          const room = attempts.some((a) => (seen.get(a.container) ?? 0) < kept);
          const stat = await fs.stat(this.#pod(id)).catch(() => null);
          if (!room || (stat && stat.mtimeMs < oldest)) await fs.rm(this.#pod(id), { recursive: true, force: true });
        }
        for (const { container } of attempts) seen.set(container, (seen.get(container) ?? 0) + 1);
      }
    }
  }

  /**
   * What one stream does not need the other may have, and each has half when both want it. Files exceed their limit by a
   * quarter before they are cut, so the limit given them is that much lower.
   */
  async #openLive(podId: string, paths: Record<'stdout' | 'stderr', string>, limit: number, fresh: boolean): Promise<Live> {
    const total = limit * 0.8;
    const open: { stdout?: LiveFile; stderr?: LiveFile } = {};
    const share = (other: LiveFile | undefined) => (other ? Math.max(total / 2, total - other.kept) : total / 2);
    [open.stdout, open.stderr] = await Promise.all([this.#watch(podId, paths.stdout, () => share(open.stderr), fresh), this.#watch(podId, paths.stderr, () => share(open.stdout), fresh)]);
    const { stdout, stderr } = open;
    stdout.subscribe(() => stderr.rotateIfDue());
    stderr.subscribe(() => stdout.rotateIfDue());
    return { stdout, stderr };
  }

  async #watch(podId: string, file: string, limit: () => number, fresh: boolean): Promise<LiveFile> {
    const { clock, log, punch = punchHole } = this.#options;
    const live = await LiveFile.open({ file, now: () => clock.now(), log, limit, punch, fresh, busy: (busy) => this.#poll(busy) });
    live.subscribe(() => this.#wake(podId));
    return live;
  }

  /** Files that grow are looked at together, all in one turn of one timer. */
  #poll(live: LiveFile): void {
    this.#busy.add(live);
    if (this.#polling) return;
    this.#polling = true;
    void this.#pollBusy().finally(() => {
      this.#polling = false;
    });
  }

  async #pollBusy(): Promise<void> {
    const { clock, signal } = this.#options;
    while (this.#busy.size > 0 && !signal.aborted) {
      await clock.sleep(pollMs, signal).catch(() => {});
      if (signal.aborted) return;
      for (const live of this.#busy) if (!live.check()) this.#busy.delete(live);
    }
  }

  #changed(podId: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const waiters = this.#waiters.get(podId) ?? new Set();
      this.#waiters.set(podId, waiters);
      const finish = () => {
        waiters.delete(finish);
        signal.removeEventListener('abort', finish);
        resolve();
      };
      if (signal.aborted) return finish();
      waiters.add(finish);
      signal.addEventListener('abort', finish, { once: true });
    });
  }

  #wake(podId: string): void {
    this.#waiters.get(podId)?.forEach((waiter) => waiter());
    if (this.#waiters.get(podId)?.size === 0) this.#waiters.delete(podId);
  }

  async #closeAll(): Promise<void> {
    for (const podId of this.#live.keys()) await this.close(podId);
  }

  #pod(podId: string): string {
    return path.join(this.#options.directory, safeName('pod', podId));
  }
}

function keptBytes(logging: ContainerSpec['logging']): number | undefined {
  if (logging === undefined) return undefined;
  return logging.maxSize < 0 ? Infinity : logging.maxSize * logging.maxFile;
}

function isWanted(log: AttemptLog, { container, attempt }: ReadOptions): boolean {
  return (container === undefined || log.container === container) && (attempt === undefined || log.attempt === attempt);
}

async function list(directory: string): Promise<readonly string[]> {
  try {
    return await fs.readdir(directory);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

function parseOwner(value: unknown): LogOwner | null {
  if (!isRecord(value) || typeof value['id'] !== 'string') return null;
  return { id: value['id'], service: String(value['service']), slot: String(value['slot']), createdAt: Number(value['createdAt']) || 0 };
}
