/** Tables for people: upper-case heads, columns as wide as their widest cell, nothing cut. */
import { plain, type Paint, type Style } from './color.ts';

export interface Column<T> {
  readonly head: string;
  readonly cell: (row: T) => string;
  readonly style?: (row: T) => Style | undefined;
  readonly align?: 'left' | 'right';
}

/** `gap` is what is between two columns. */
export function renderTable<T>(rows: readonly T[], columns: readonly Column<T>[], paint: Paint, gap = '   '): string {
  const cells = rows.map((row) => columns.map((column) => plain(column.cell(row)).replaceAll('\n', ' ')));
  const widths = columns.map((column, i) => Math.max(column.head.length, ...cells.map((row) => width(row[i] ?? ''))));
  const line = (texts: readonly string[], style: (i: number) => Style | undefined) =>
    columns
      .map((column, i) => {
        const text = texts[i] ?? '';
        const pad = ' '.repeat(Math.max(0, (widths[i] ?? 0) - width(text)));
        const painted = paint(text ? style(i) : undefined, text);
        return column.align === 'right' ? pad + painted : painted + pad;
      })
      .join(gap)
      .trimEnd();
  const head = line(columns.map((column) => column.head), () => 'bold');
  const body = rows.map((row, r) => line(cells[r] ?? [], (i) => columns[i]?.style?.(row)));
  return `${[head, ...body].join('\n')}\n`;
}

/** Terminal cells a text takes: wide East Asian characters take two, combining marks none. */
export function width(text: string): number {
  let total = 0;
  for (const { segment } of segmenter.segment(text)) total += /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Extended_Pictographic}/u.test(segment) ? 2 : 1;
  return total;
}

const segmenter = new Intl.Segmenter();
