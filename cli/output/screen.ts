/** A table that draws itself anew in its place on a terminal. */
import type { Output } from '../io.ts';
import { width } from './table.ts';

export class Screen {
  readonly #stream: Output;
  #drawn = 0;
  #columns = 0;

  constructor(stream: Output) {
    this.#stream = stream;
  }

  draw(text: string): void {
    const { columns = 80, rows = 24 } = this.#stream;
    const lines = fit(text, columns, rows);
    // After the terminal was made narrower nobody knows where the lines have gone.
    const back = this.#drawn === 0 ? '' : columns < this.#columns ? '\u001b[H\u001b[2J' : `\r\u001b[${this.#drawn}A`;
    this.#stream.write(`${back}${lines.map((line) => `${line}\u001b[K\n`).join('')}\u001b[J`);
    this.#drawn = lines.length;
    this.#columns = columns;
  }
}

/** As many lines as the terminal has rows but for the cursor's, none wider than it; the last one says how many are left out. */
export function fit(text: string, columns: number, rows: number): readonly string[] {
  const lines = text.replace(/\n+$/, '').split('\n');
  const room = Math.max(1, rows - 1);
  const shown = lines.length <= room ? lines : [...lines.slice(0, room - 1), `… ${lines.length - room + 1} more lines`];
  return shown.map((line) => cut(line, columns));
}

/** Colours take no room. */
function cut(line: string, columns: number): string {
  let room = columns;
  let result = '';
  for (const [at, part] of line.split(/(\u001b\[[\d;]*m)/).entries()) {
    if (at % 2 === 1) {
      result += part;
      continue;
    }
    for (const { segment } of segmenter.segment(part)) {
      room -= width(segment);
      // What was coloured is not any more.
      if (room < 0) return result.includes('\u001b') ? `${result}\u001b[0m` : result;
      result += segment;
    }
  }
  return result;
}

const segmenter = new Intl.Segmenter();
