/**
 * The host's own service table on its way to the proxy, which may be another process, and the word back that the kernel has it:
 *
 * ```
 * <state>/local/table.json     a TableUpdate, whole; the agent writes it
 * <state>/local/applied.json   { revision }; the proxy writes it
 * ```
 * A file, because it must outlive both: a proxy that starts first goes on from it.
 */
import fs from 'node:fs';
import path from 'node:path';
import { emptyTable, type ServiceTable, type TableUpdate } from '../../model/table.ts';
import type { Log } from '../../lib/log.ts';
import { isRecord, readJson, writeWhole } from '../state.ts';

export class TableFile {
  readonly #directory: string;
  #revision: number;
  #text: string;
  #applied = 0;

  private constructor(directory: string, revision: number, text: string) {
    this.#directory = directory;
    this.#revision = revision;
    this.#text = text;
  }

  /** `changed` is called when the proxy has said something. */
  static async open(stateDir: string, { log, signal, changed }: { readonly log: Log; readonly signal: AbortSignal; readonly changed: () => void }): Promise<TableFile> {
    const directory = path.join(stateDir, 'local');
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    const known = await readJson(path.join(directory, 'table.json'));
    const revision = isRecord(known) && Number.isSafeInteger(known['revision']) ? Number(known['revision']) : 0;
    const file = new TableFile(directory, revision, isRecord(known) ? contentOf(known as unknown as TableUpdate) : contentOf(updateOf(emptyTable, 0)));
    await file.#readApplied();
    try {
      const watcher = fs.watch(directory, { persistent: false }, (_, name) => {
        if (name === 'applied.json') void file.#readApplied().then(changed, () => {});
      });
      watcher.on('error', (error) => log.warn('the proxy is not heard', { error }));
      signal.addEventListener('abort', () => watcher.close(), { once: true });
    } catch (error) {
      log.warn('the proxy is not heard', { error });
    }
    return file;
  }

  /** The last revision that the proxy has in the kernel. */
  get applied(): number {
    return this.#applied;
  }

  /** Resolves to the revision of the file that says this, an earlier one when nothing is new. */
  async publish(table: ServiceTable): Promise<number> {
    const update = updateOf(table, this.#revision + 1);
    const text = contentOf(update);
    if (text === this.#text) return this.#revision;
    await writeWhole(path.join(this.#directory, 'table.json'), JSON.stringify(update), { sync: false });
    this.#text = text;
    this.#revision = update.revision;
    return this.#revision;
  }

  async #readApplied(): Promise<void> {
    const value = await readJson(path.join(this.#directory, 'applied.json'));
    if (isRecord(value) && Number.isSafeInteger(value['revision'])) this.#applied = Number(value['revision']);
  }
}

function updateOf(table: ServiceTable, revision: number): TableUpdate {
  return {
    revision, full: true,
    services: Object.fromEntries(table.services), pods: Object.fromEntries(table.pods), nodes: Object.fromEntries(table.nodes), networks: Object.fromEntries(table.networks),
  };
}

function contentOf({ services, pods, nodes, networks }: TableUpdate): string {
  return JSON.stringify([services, pods, nodes, networks]);
}
