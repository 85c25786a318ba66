/** Blobs that are under way to this host: each once, however many images have it, and not all at the same time. */
import { TsorchError } from '../../model/errors.ts';
import { Limit } from '../../lib/limit.ts';

export class Downloads {
  readonly #limit: Limit;
  readonly #underWay = new Map<string, Promise<void>>();

  /** So many at a time. */
  constructor(width: number) {
    this.#limit = new Limit(width);
  }

  /** It will be here soon, if nothing goes wrong. */
  coming(digest: string): boolean {
    return this.#underWay.has(digest);
  }

  /** Runs the download, after another one of the same blob: then it finds that nothing is left to be done. */
  async run(digest: string, signal: AbortSignal, download: () => Promise<void>): Promise<void> {
    for (;;) {
      const other = this.#underWay.get(digest);
      if (!other) break;
      await other.catch(() => {});
      if (signal.aborted) throw signal.reason instanceof TsorchError ? signal.reason : new TsorchError('aborted', 'given up', { cause: signal.reason });
    }
    const own = this.#limit.run(download);
    this.#underWay.set(digest, own);
    try {
      await own;
    } finally {
      this.#underWay.delete(digest);
    }
  }
}
