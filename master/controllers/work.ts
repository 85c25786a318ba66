/** Which services are to be looked at: a set that marks itself. */
export class Work {
  #services: Set<string> | 'all' = 'all';
  #unplaced = false;
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

  take(): { readonly services: ReadonlySet<string> | 'all' } {
    const services = this.#services;
    this.#services = new Set();
    this.#unplaced = false;
    return { services };
  }

  onWork(listener: () => void, signal: AbortSignal): void {
    this.#listeners.add(listener);
    signal.addEventListener('abort', () => this.#listeners.delete(listener), { once: true });
  }
}
