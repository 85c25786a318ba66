/**
 * One master leads at a time, and its writes say in whose term they were decided.
 *
 * The leader is who wrote the leader key, on a lease of its own. The revision of that one write is the term's epoch; every
 * commit compares it, so a leader that was replaced without noticing can write nothing. It does notice: when it could not
 * renew its lease for 6 of 10 seconds, or when the key is not its own any more, its term's signal fires.
 */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { isCode, TsorchError } from '../model/errors.ts';
import type { Entry, Epoch, Guard, LeaderRecord, Store } from './store/port.ts';

export interface LeaderOptions {
  readonly store: Store;
  /** This master's id, the same after a restart; see leader-id.ts. */
  readonly id: string;
  readonly log: Log;
  readonly clock: Clock;
  /** Ends the term and the wish to lead. */
  readonly signal: AbortSignal;
  /** For the others: where this master is reached. */
  readonly address?: string;
  readonly ttlMs?: number;
  /** The leader's work. It ends when its signal fires; a return before that gives the lead up, an error does too. */
  readonly lead: (epoch: Epoch, signal: AbortSignal) => Promise<void>;
  /** Who leads now, also while it is somebody else; null when nobody does. */
  readonly observed?: (leader: LeaderRecord | null) => void;
}

interface Term {
  readonly epoch: Epoch;
  /** Ends the lease, too. */
  readonly ended: AbortController;
  readonly lost: AbortSignal;
}

const kind = 'leader';
const key = 'leader';
/** After an attempt or a term that failed. */
const firstBackoff = 50;
const maxBackoff = 2000;

/** Campaigns, leads, campaigns again. Resolves when the signal has fired and the lead is given back. Never rejects. */
export async function runLeader(options: LeaderOptions): Promise<void> {
  await new Election(options).run();
}

class Election {
  readonly #options: LeaderOptions;
  readonly #log: Log;
  #current: Entry<'leader'> | null = null;
  /** Up to where `#current` is true; null until the store was read. */
  #seen: number | null = null;
  #term: Term | null = null;
  #wake: (() => void) | undefined;
  /** Whether a leader key with our id may be a leftover of an earlier life; after the first term it is another process. */
  #heir = true;

  constructor(options: LeaderOptions) {
    this.#options = options;
    this.#log = options.log;
  }

  async run(): Promise<void> {
    const { signal, clock } = this.#options;
    this.#observe();
    let backoff = firstBackoff;
    while (!signal.aborted) {
      const guard = this.#opening();
      if (guard === null) {
        await this.#change();
        continue;
      }
      let failed = true;
      try {
        failed = !(await this.#campaign(guard));
      } catch (error) {
        if (!signal.aborted) this.#log.warn('could not campaign for the lead', { error });
      }
      backoff = failed ? Math.min(backoff * 2, maxBackoff) : firstBackoff;
      if (failed) await clock.sleep(backoff * (0.5 + Math.random() / 2), signal).catch(() => {});
    }
  }

  #observe(): void {
    this.#options.store.watch([kind], {
      changes: (changes, revision) => {
        for (const change of changes) {
          if (change.kind !== kind) continue;
          this.#current = change.entry;
          this.#options.observed?.(change.entry?.value ?? null);
        }
        this.#seen = revision;
        this.#verify();
        this.#wake?.();
      },
    }, this.#options.signal);
  }

  /** Ends the term when the key is not the one that it began with. */
  #verify(): void {
    const term = this.#term;
    // News older than our own success may still be on its way.
    if (!term || term.ended.signal.aborted || (this.#seen ?? 0) < term.epoch.createRevision) return;
    if (this.#current?.revision === term.epoch.createRevision) return;
    this.#log.warn('the lead was taken away', { by: this.#current?.value.master });
    term.ended.abort(new TsorchError('fenced', 'the leader key is not ours any more'));
  }

  /** The guard to write the leader key with; null when somebody else leads. */
  #opening(): Guard | null {
    if (this.#seen === null) return null;
    if (this.#current === null) return 0;
    // Rather than wait for the lease of an earlier life of this master to run out.
    return this.#heir && this.#current.value.master === this.#options.id ? this.#current.revision : null;
  }

  /** One attempt and, if it succeeds, one term. Returns whether the term went well. */
  async #campaign(guard: Guard): Promise<boolean> {
    const { store, id, clock, address } = this.#options;
    const term = randomBytes(8).toString('hex');
    const record: LeaderRecord = { master: id, term, since: clock.now(), ...(address === undefined ? {} : { address }) };
    // Not tied to the options' signal: the key is kept until the work has wound up.
    const ended = new AbortController();
    try {
      const lease = await store.lease(this.#options.ttlMs ?? 10_000, ended.signal);
      const epoch = await this.#write(record, guard, lease.id);
      if (!epoch) return false;
      if (guard !== 0) this.#log.info('took over from an earlier run of this master');
      this.#heir = false;
      return await this.#lead({ epoch, ended, lost: lease.lost });
    } finally {
      ended.abort(new TsorchError('aborted', 'the term is over'));
    }
  }

  /** Null: somebody else was first. */
  async #write(record: LeaderRecord, guard: Guard, lease: string): Promise<Epoch | null> {
    const { store } = this.#options;
    const epoch = (createRevision: number): Epoch => ({ key: `${kind}/${key}`, createRevision });
    try {
      const { revision } = await store.commit([{ op: 'put', kind, id: key, value: record, guard, lease }]);
      return epoch(revision);
    } catch (error) {
      if (isCode(error, 'conflict')) return null;
      if (!isCode(error, 'unknown-outcome')) throw error;
      const found = await store.get(kind, key);
      return found?.value.term === record.term ? epoch(found.revision) : null;
    }
  }

  async #lead(term: Term): Promise<boolean> {
    const { lead, store } = this.#options;
    const { epoch } = term;
    const signal = AbortSignal.any([this.#options.signal, term.ended.signal, term.lost]);
    this.#term = term;
    this.#verify();
    let well = true;
    try {
      signal.throwIfAborted();
      this.#log.info('leading', { epoch: epoch.createRevision });
      await lead(epoch, signal);
      if (!signal.aborted) this.#log.info('gives up the lead');
    } catch (error) {
      // Work that is cut short by its signal may well throw.
      if (!signal.aborted) {
        well = false;
        this.#log.error('the leader failed and gives up the lead', { error });
      }
    } finally {
      this.#term = null;
    }
    // Lets the next one begin at once. If this fails, the lease runs out.
    if (!term.ended.signal.aborted && !term.lost.aborted) {
      await store.commit([{ op: 'delete', kind, id: key, guard: epoch.createRevision }], epoch).catch((error: unknown) => this.#log.debug('could not give the lead back', { error }));
      if (this.#current?.revision === epoch.createRevision) this.#current = null;
    }
    this.#log.info('not leading any more', { epoch: epoch.createRevision });
    return well && !term.ended.signal.aborted;
  }

  #change(): Promise<void> {
    const { signal } = this.#options;
    return new Promise((resolve) => {
      const wake = () => {
        this.#wake = undefined;
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#wake = wake;
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}
