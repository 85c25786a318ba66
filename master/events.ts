/**
 * What happened, for people: `tsorch events`. Kept in memory by the master that saw it, the last 1000; events explain, nothing
 * is decided by them, so they cost the store nothing.
 */
import type { Clock } from '../lib/clock.ts';
import type { EventItem } from '../model/api.ts';

const kept = 1000;

export class Events {
  readonly #clock: Clock;
  readonly #items: EventItem[] = [];
  readonly #listeners = new Set<(item: EventItem) => void>();
  #next = 1;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `subject` is `pod/…`, `node/…`, `service/…` or `stack/…`. */
  add(subject: string, message: string): void {
    const item: EventItem = { id: String(this.#next++), at: this.#clock.now(), subject, message };
    this.#items.push(item);
    if (this.#items.length > kept) this.#items.shift();
    for (const listener of this.#listeners) listener(item);
  }

  list(): readonly EventItem[] {
    return this.#items;
  }

  subscribe(listener: (item: EventItem) => void, signal: AbortSignal): void {
    this.#listeners.add(listener);
    signal.addEventListener('abort', () => this.#listeners.delete(listener), { once: true });
  }
}
