/**
 * A directory of stack files. The kernel says that something has changed (inotify), and everything is looked at now and then anyway:
 * a watch sees nothing of other machines' writes to a network file system, nor of files that a stack names elsewhere.
 *
 * A file is taken once it has been left alone for a moment: one that is half-written may load, and say something else. For the
 * same reason one that is gone counts as there for that moment: many editors rename before they write.
 */
import fs from 'node:fs';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../../lib/clock.ts';
import { Loop } from '../../lib/loop.ts';
import type { Log } from '../../lib/log.ts';
import { fingerprintOf, loadUnit, type LoadedUnit } from './load.ts';
import type { SourceContent } from './plan/types.ts';
import { findArchives, findUnits, type Listing, type Unit } from './plan/units.ts';
import type { ManifestSource } from './source.ts';

export interface DirectoryOptions {
  /** Absolute. */
  readonly directory: string;
  /** Between two looks at everything. */
  readonly intervalMs: number;
  /** Variables that the files may use. */
  readonly env: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly settleMs?: number;
}

interface Known extends LoadedUnit {
  readonly unit: Unit;
  /** Since when its file is gone; monotonic. */
  missingSince?: number | undefined;
}

/** At first nothing is said until every file has come to rest, but no longer than this. */
const patienceMs = 1000;

export class DirectorySource implements ManifestSource {
  readonly name = 'directory';
  readonly #options: DirectoryOptions;
  readonly #settleMs: number;
  readonly #known = new Map<string, Known>();
  readonly #watchers = new Map<string, { readonly watcher: fs.FSWatcher; readonly inode: number }>();
  readonly #listeners: (() => void)[] = [];
  readonly #archiveListeners: ((archives: readonly string[]) => void)[] = [];
  readonly #loop: Loop;
  readonly #startedAt: number;
  #content: SourceContent | undefined;
  readonly done: Promise<void>;

  constructor(options: DirectoryOptions) {
    this.#options = options;
    this.#settleMs = options.settleMs ?? 100;
    const { clock, log, signal } = options;
    this.#startedAt = clock.monotonic();
    this.#loop = new Loop({ name: 'manifest directory', clock, log, signal, run: () => this.#scan(), share: 0.25 });
    this.done = this.#loop.done.then(() => this.#closeWatchers());
    this.#loop.mark();
  }

  get content(): SourceContent | undefined {
    return this.#content;
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Called back with the image archives that lie there, at every look, those still being written left out. */
  onArchives(listener: (archives: readonly string[]) => void): void {
    this.#archiveListeners.push(listener);
  }

  async #scan(): Promise<number> {
    const { directory, intervalMs, signal } = this.#options;
    let listing: Listing;
    try {
      listing = this.#list();
    } catch (error) {
      this.#closeWatchers();
      const { code, message } = error as NodeJS.ErrnoException;
      const problem = `${directory}: ${code === 'ENOENT' ? 'there is no such directory' : code === 'ENOTDIR' ? 'it is no directory' : `it cannot be read: ${message}`}`;
      this.#say({ source: this.name, entries: null, problem });
      return Math.min(intervalMs, 1000);
    }
    let again = intervalMs;
    let changed = (this.#content?.entries ?? null) === null;
    const units = findUnits(directory, listing);
    for (const unit of units) {
      const known = this.#known.get(unit.origin);
      if (known && isSame(known, unit)) {
        known.missingSince = undefined;
        continue;
      }
      const rest = this.#restOf(unit.files);
      if (rest > 0) {
        again = Math.min(again, rest);
        continue;
      }
      this.#known.set(unit.origin, { unit, ...(await loadUnit(unit, this.#options.env)) });
      changed = true;
      // Two hundred files must not hold up everything else.
      await turn();
      if (signal.aborted) return intervalMs;
    }
    const there = new Set(units.map(({ origin }) => origin));
    const now = this.#options.clock.monotonic();
    for (const [origin, known] of this.#known) {
      if (there.has(origin)) continue;
      known.missingSince ??= now;
      const left = known.missingSince + this.#settleMs - now;
      if (left > 0) again = Math.min(again, left);
      else changed = this.#known.delete(origin) || changed;
    }
    this.#sayArchives(listing, (rest) => {
      again = Math.min(again, rest);
    });
    const first = this.#content === undefined;
    if (first && again < intervalMs && now - this.#startedAt < patienceMs) return again;
    if (changed) this.#say({ source: this.name, entries: units.flatMap(({ origin }) => this.#known.get(origin)?.entry ?? []).concat(this.#missing(there)) });
    return again;
  }

  /** Entries of files that are gone, but not for long enough. */
  #missing(there: ReadonlySet<string>): readonly LoadedUnit['entry'][] {
    return [...this.#known].flatMap(([origin, { entry }]) => (there.has(origin) ? [] : [entry]));
  }

  #say(content: SourceContent): void {
    if (content.entries === null && this.#content?.problem === content.problem) return;
    this.#content = content;
    for (const listener of this.#listeners) listener();
  }

  #sayArchives(listing: Listing, wait: (ms: number) => void): void {
    if (this.#archiveListeners.length === 0) return;
    const archives = findArchives(this.#options.directory, listing).filter((file) => {
      const rest = this.#restOf([file]);
      if (rest > 0) wait(rest);
      return rest <= 0;
    });
    for (const listener of this.#archiveListeners) listener(archives);
  }

  /** Milliseconds until the files have been left alone for long enough. A clock that is wrong holds nothing up. */
  #restOf(files: readonly string[]): number {
    const now = this.#options.clock.now();
    const ages = files.map((file) => now - (fs.statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0));
    const youngest = Math.min(...ages);
    return youngest < 0 ? 0 : Math.ceil(Math.max(0, this.#settleMs - youngest));
  }

  /** Opens a watch on the directory and on each of its subdirectories before it looks, so that nothing falls between. */
  #list(): Listing {
    const { directory } = this.#options;
    const wanted = new Set([directory]);
    this.#watch(directory);
    const files: string[] = [];
    const directories = new Map<string, readonly string[]>();
    for (const name of fs.readdirSync(directory)) {
      const full = path.join(directory, name);
      // Links are followed: what matters is what they lead to.
      const found = name.startsWith('.') ? undefined : fs.statSync(full, { throwIfNoEntry: false });
      if (found?.isFile()) files.push(name);
      else if (found?.isDirectory()) {
        wanted.add(full);
        this.#watch(full);
        directories.set(name, fs.readdirSync(full));
      }
    }
    for (const [watched, { watcher }] of this.#watchers) {
      if (wanted.has(watched)) continue;
      watcher.close();
      this.#watchers.delete(watched);
    }
    return { files, directories };
  }

  #closeWatchers(): void {
    for (const { watcher } of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #watch(directory: string): void {
    const inode = fs.statSync(directory).ino;
    const known = this.#watchers.get(directory);
    if (known?.inode === inode) return;
    known?.watcher.close();
    this.#watchers.delete(directory);
    try {
      const watcher = fs.watch(directory, { persistent: false }, () => this.#loop.mark());
      watcher.on('error', () => {
        watcher.close();
        this.#watchers.delete(directory);
      });
      this.#watchers.set(directory, { watcher, inode });
    } catch (error) {
      // Without a watch (there may be too many) changes are seen at the next look.
      this.#options.log.debug('not watched', { directory, error });
    }
  }
}

function isSame(known: Known, unit: Unit): boolean {
  if (known.unit.files.join('\n') !== unit.files.join('\n')) return false;
  for (const [file, fingerprint] of known.read) if (fingerprintOf(file) !== fingerprint) return false;
  return true;
}
