/** A source that says what it is told to. */
import type { ManifestEntry, SourceContent } from './plan/types.ts';
import type { ManifestSource } from './source.ts';

export class FakeSource implements ManifestSource {
  readonly name: string;
  readonly done = Promise.resolve();
  #content: SourceContent | undefined;
  readonly #listeners: (() => void)[] = [];

  constructor(name = 'directory') {
    this.name = name;
  }

  get content(): SourceContent | undefined {
    return this.#content;
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  set(entries: readonly ManifestEntry[] | null, problem?: string): void {
    this.#content = { source: this.name, entries, ...(problem === undefined ? {} : { problem }) };
    for (const listener of this.#listeners) listener();
  }
}
