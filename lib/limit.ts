/** At most `width` of the given tasks at a time, in the order they came, the urgent ones first. */
export class Limit {
  readonly #width: number;
  #running = 0;
  readonly #waiting: (() => void)[] = [];
  readonly #urgent: (() => void)[] = [];

  constructor(width: number) {
    this.#width = width;
  }

  async run<T>(task: () => Promise<T>, options: { readonly urgent?: boolean } = {}): Promise<T> {
    const line = options.urgent ? this.#urgent : this.#waiting;
    if (this.#running >= this.#width) await new Promise<void>((resolve) => void line.push(resolve));
    else this.#running++;
    try {
      return await task();
    } finally {
      // The place goes straight to the next in line.
      const next = this.#urgent.shift() ?? this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }
}
