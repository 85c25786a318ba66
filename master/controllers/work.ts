/** Which services are to be looked at: a set that marks itself. */
export class Work {
  #services: Set<string> | 'all' = 'all';
  #unplaced = false;
  readonly #alarms = new Map<string, number>();
  readonly #listeners = new Set<() => void>();

  get idle(): boolean {
    return !this.#unplaced && this.#services !== 'all' && this.#services.size === 0;
  }

  service(id: string): void {
    if (this.#services !== 'all') this.#services.add(id);
  }

  /** Nothing of a service changed, but pods without a node may find one now. */
  unplaced(): void {
    this.#unplaced = true;
  }

  /** Everything is to be looked at, by a pass that is asked for right away. */
  all(): void {
    this.#services = 'all';
    for (const listener of this.#listeners) listener();
  }

  /** The service wants to be looked at again at a time, even if nothing changes; null takes that back. */
  alarm(service: string, at: number | null): void {
    if (at === null) this.#alarms.delete(service);
    else this.#alarms.set(service, at);
  }

  /** What is to be looked at now, services whose time has come among it. */
  take(now: number): { readonly services: ReadonlySet<string> | 'all' } {
    const services = this.#services;
    this.#services = new Set();
    this.#unplaced = false;
    for (const [id, at] of this.#alarms) {
      if (at > now) continue;
      this.#alarms.delete(id);
      if (services !== 'all') services.add(id);
    }
    return { services };
  }

  /** Milliseconds until the next alarm. */
  next(now: number): number | undefined {
    let first: number | undefined;
    for (const at of this.#alarms.values()) if (first === undefined || at < first) first = at;
    return first === undefined ? undefined : Math.max(0, first - now);
  }

  onWork(listener: () => void, signal: AbortSignal): void {
    this.#listeners.add(listener);
    signal.addEventListener('abort', () => this.#listeners.delete(listener), { once: true });
  }
}
