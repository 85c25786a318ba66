/** `--format`: a table for people, JSON and YAML for programs. The JSON is the API's, unchanged. */
import { stringify } from 'yaml';
import { print, wantsColor, type Io } from '../io.ts';
import { painter } from './color.ts';
import { renderTable, type Column } from './table.ts';

export type Format = 'table' | 'json' | 'yaml';

export function showList<T>(io: Io, format: Format, rows: readonly T[], columns: readonly Column<T>[]): void {
  if (format === 'table') print(io, renderTable(rows, columns, painter(wantsColor(io))));
  else showValue(io, format, rows);
}

/** A thing without a table of its own reads best as YAML. */
export function showValue(io: Io, format: Format, value: unknown): void {
  print(io, format === 'json' ? JSON.stringify(value, null, 2) : stringify(value, { lineWidth: 0, aliasDuplicateObjects: false }));
}
