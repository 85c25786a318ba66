/** Image archives beside the manifests: loaded once each, for hosts that have no registry. */
import fs from 'node:fs';
import type { Log } from '../../lib/log.ts';
import { describeError } from '../../model/errors.ts';
import type { Images } from '../runtime/port.ts';
import { fingerprintOf } from './load.ts';
import type { ManifestStateFile } from './state.ts';

export interface ArchivesOptions {
  readonly images: Pick<Images, 'get' | 'load'>;
  readonly state: ManifestStateFile;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Images have come. */
  readonly loaded: () => void;
}

export class Archives {
  readonly #options: ArchivesOptions;
  /** As they were when they were last looked at, also those that could not be loaded. */
  readonly #seen = new Map<string, string>();
  #working: Promise<void> = Promise.resolve();

  constructor(options: ArchivesOptions) {
    this.#options = options;
  }

  get done(): Promise<void> {
    return this.#working;
  }

  /** All that lie there; one after another is loaded. */
  set(files: readonly string[]): void {
    for (const file of files) {
      const print = fingerprintOf(file);
      if (print === null || this.#seen.get(file) === print) continue;
      this.#seen.set(file, print);
      this.#working = this.#working.then(() => this.#load(file, print)).catch((error: unknown) => {
        if (!this.#options.signal.aborted) this.#options.log.error('an image archive was not loaded', { file, error: describeError(error) });
      });
    }
  }

  async #load(file: string, print: string): Promise<void> {
    const { images, state, log, signal, loaded } = this.#options;
    if (signal.aborted || (await this.#isThere(file, print))) return;
    const references = await images.load(fs.createReadStream(file, { highWaterMark: 1 << 20, signal }));
    log.info('images loaded', { file, images: references.join(', ') });
    await state.change({ archives: { ...state.value.archives, [file]: { file: print, references } } });
    loaded();
  }

  /** What was loaded before may have been removed since. */
  async #isThere(file: string, print: string): Promise<boolean> {
    const known = this.#options.state.value.archives[file];
    if (known?.file !== print) return false;
    for (const reference of known.references) {
      const found = await this.#options.images.get(reference).then(() => true, () => false);
      if (!found) return false;
    }
    return true;
  }
}
