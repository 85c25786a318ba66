/**
 * The table of the host's own manifests, which its agent leaves in a file (see agent/manifests/table-file.ts), and the word back that
 * the kernel has it. Without such a file there is none.
 */
import { mkdirSync, readFileSync, watch } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { applyUpdate, emptyTable } from '../model/table.ts';
import type { ServiceTable, TableUpdate } from '../model/table.ts';
import { hasErrno } from '../lib/linux/libc.ts';
import type { Log } from '../lib/log.ts';
import { placeTable } from './rules/merge.ts';

export interface LocalTableOptions {
  /** Of the host, shared with its agent. */
  readonly directory: string;
  readonly nodeId: string;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly changed: () => void;
}

export class LocalTable {
  readonly #options: LocalTableOptions;
  #text = '';
  #current: { readonly revision: number; readonly table: ServiceTable } | undefined;
  #acknowledged = 0;

  constructor(options: LocalTableOptions) {
    this.#options = options;
    const { directory, log, signal, changed } = options;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.look();
    try {
      const watcher = watch(directory, { persistent: false }, (_, name) => {
        if (name === 'table.json' && this.look()) changed();
      });
      watcher.on('error', (error) => log.warn('changes of manifests are seen late', { error }));
      signal.addEventListener('abort', () => watcher.close(), { once: true });
    } catch (error) {
      log.warn('changes of manifests are seen late', { error });
    }
  }

  get current(): { readonly revision: number; readonly table: ServiceTable } | undefined {
    return this.#current;
  }

  /** Reads the file. Whether it says something new. */
  look(): boolean {
    const { directory, nodeId } = this.#options;
    const file = join(directory, 'table.json');
    try {
      const text = readFileSync(file, 'utf8');
      if (text === this.#text) return false;
      const update = JSON.parse(text) as TableUpdate;
      this.#current = { revision: update.revision, table: placeTable(applyUpdate(emptyTable, { ...update, full: true }), nodeId) };
      this.#text = text;
      return true;
    } catch (error) {
      if (!hasErrno(error, 'ENOENT')) this.#options.log.warn('cannot read the table of manifests', { file, error });
      return false;
    }
  }

  /** Says that the kernel has this revision. */
  async acknowledge(revision: number): Promise<void> {
    if (revision === this.#acknowledged) return;
    const file = join(this.#options.directory, 'applied.json');
    await writeFile(`${file}.new`, JSON.stringify({ revision }), { mode: 0o600 });
    await rename(`${file}.new`, file);
    this.#acknowledged = revision;
  }
}
