/** Measurements as Markdown tables: minimum, median, 99th percentile, count. */

export interface Section {
  readonly title: string;
  readonly about: string;
  readonly rows: string[];
}

export class Report {
  readonly #sections: Section[] = [];

  section(title: string, about = ''): void {
    this.#sections.push({ title, about, rows: [] });
    process.stderr.write(`\n${title}\n`);
  }

  /** Milliseconds, unless another unit is told. `NaN`s are left out: what was not seen was not measured. */
  row(what: string, values: readonly number[], note = '', unit = 'ms'): void {
    const sorted = values.filter((value) => !Number.isNaN(value)).toSorted((a, b) => a - b);
    const cell = (q: number) => (sorted.length === 0 ? '–' : `${digits(quantile(sorted, q))} ${unit}`);
    this.#add(`| ${what} | ${cell(0)} | ${cell(0.5)} | ${cell(0.99)} | ${sorted.length} | ${note} |`);
  }

  /** What somebody else has measured. */
  reference(what: string, text: string): void {
    this.#add(`| ${what} | | ${text} | | | published reference |`);
  }

  markdown(): string {
    return this.#sections.map(({ title, about, rows }) => `## ${title}\n${about === '' ? '' : `${about}\n`}\n| what | min | median | p99 | n | note |\n|---|---|---|---|---|---|\n${rows.join('\n')}\n`).join('\n');
  }

  #add(row: string): void {
    this.#sections.at(-1)?.rows.push(row);
    process.stderr.write(`${row}\n`);
  }
}

export function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return quantile(values.toSorted((a, b) => a - b), 0.5);
}

function digits(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
