/** The last table on disk: a proxy that starts while no master answers goes on from it. */
import { readFileSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { applyUpdate, emptyTable } from '../model/table.ts';
import type { ServiceTable, TableUpdate } from '../model/table.ts';
import { hasErrno } from '../lib/linux/libc.ts';
import type { Log } from '../lib/log.ts';

export interface SavedTable {
  readonly revision: number;
  readonly table: ServiceTable;
}

const fileName = 'table.json';

/** undefined when there is none that can be read. */
export function loadTable(stateDir: string, log: Log): SavedTable | undefined {
  const file = join(stateDir, fileName);
  try {
    const update = JSON.parse(readFileSync(file, 'utf8')) as TableUpdate;
    return { revision: update.revision, table: applyUpdate(emptyTable, { ...update, full: true }) };
  } catch (error) {
    if (!hasErrno(error, 'ENOENT')) log.warn('cannot read the saved table, starting without', { file, error });
    return undefined;
  }
}

/** Does not hold the process up while the disk is busy; one at a time. */
export async function saveTable(stateDir: string, { revision, table }: SavedTable): Promise<void> {
  const update: TableUpdate = {
    revision, full: true,
    services: Object.fromEntries(table.services), pods: Object.fromEntries(table.pods),
    nodes: Object.fromEntries(table.nodes), networks: Object.fromEntries(table.networks),
  };
  await mkdir(stateDir, { recursive: true });
  const file = join(stateDir, fileName);
  // Whole or not at all, also when the power goes: half a table would be worse than yesterday's.
  await writeFile(`${file}.new`, JSON.stringify(update), { flush: true, mode: 0o600 });
  await rename(`${file}.new`, file);
}
