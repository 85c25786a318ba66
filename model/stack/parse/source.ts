/** A file and the way from an offset in it to a line and column. */
import type { Position } from '../../errors.ts';

export class Source {
  readonly path: string;
  readonly text: string;
  #lines: readonly number[] | undefined;

  constructor(path: string, text: string) {
    this.path = path;
    this.text = text;
  }

  /** Lines and columns from 1; columns count UTF-16 units, as editors do for everything but rare scripts. */
  position(offset: number): Position {
    const lines = (this.#lines ??= lineStarts(this.text));
    let low = 0;
    let high = lines.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((lines[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return { file: this.path, line: low + 1, column: offset - (lines[low] ?? 0) + 1 };
  }

  /** The text of a line without its end, cut to what fits a terminal's memory. */
  line(number: number): string {
    const lines = (this.#lines ??= lineStarts(this.text));
    const start = lines[number - 1] ?? this.text.length;
    const end = lines[number] ?? this.text.length;
    return this.text.slice(start, Math.min(end, start + 500)).replace(/[\r\n]+$/, '');
  }
}

function lineStarts(text: string): readonly number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}
