/** Collects what is wrong, so that one run tells the user everything. */
import { formatPath, type Path } from './path.ts';
import type { Mark } from './parse/tree.ts';
import type { Diagnostic } from './types.ts';

/** Messages quote what was written, and that may be anything. */
const longest = 500;

export class Diagnostics {
  readonly #limit: number;
  readonly #all: { readonly diagnostic: Diagnostic; readonly order: number }[] = [];
  readonly #seen = new Set<string>();
  readonly #files = new Map<string, number>();
  #errors = 0;
  #dropped = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  error(mark: Mark, path: Path | null, message: string, hint?: string): void {
    this.#errors += 1;
    this.#add('error', mark, path, message, hint);
  }

  warn(mark: Mark, path: Path | null, message: string, hint?: string): void {
    this.#add('warning', mark, path, message, hint);
  }

  get failed(): boolean {
    return this.#errors > 0;
  }

  /** Further errors are only counted: whoever makes them need not look for hints. */
  get full(): boolean {
    return this.#errors >= this.#limit;
  }

  get errors(): number {
    return this.#errors;
  }

  /** In the order of the files, and in each from top to bottom. */
  sorted(): readonly Diagnostic[] {
    const rank = (diagnostic: Diagnostic): number => this.#files.get(diagnostic.at.file) ?? 0;
    const sorted = this.#all.toSorted((a, b) =>
      rank(a.diagnostic) - rank(b.diagnostic) || a.diagnostic.at.line - b.diagnostic.at.line
      || a.diagnostic.at.column - b.diagnostic.at.column || a.order - b.order);
    const list = sorted.map((entry) => entry.diagnostic);
    const last = list.at(-1);
    return this.#dropped > 0 && last ? [...list, { ...last, message: `and ${this.#dropped} more`, path: '', severity: this.failed ? 'error' : 'warning' }] : list;
  }

  /** An anchor used ten times has its mistakes only once. */
  #add(severity: Diagnostic['severity'], mark: Mark, path: Path | null, message: string, hint: string | undefined): void {
    const id = `${severity} ${mark.source.path} ${mark.offset} ${message.slice(0, longest)}`;
    if (this.#seen.has(id)) return;
    // Errors are never crowded out by warnings: these give way first.
    if (this.#all.length >= this.#limit && severity === 'error') {
      const spare = this.#all.findLastIndex((entry) => entry.diagnostic.severity === 'warning');
      if (spare >= 0) {
        this.#all.splice(spare, 1);
        this.#dropped += 1;
      }
    }
    if (this.#all.length >= this.#limit) {
      this.#dropped += 1;
      return;
    }
    this.#seen.add(id);
    const at = mark.source.position(mark.offset);
    if (!this.#files.has(at.file)) this.#files.set(at.file, this.#files.size);
    const excerpt = mark.source.line(at.line);
    const diagnostic: Diagnostic = { severity, message: message.length > longest ? `${message.slice(0, longest - 200)}…${message.slice(-200)}` : message, at, path: formatPath(path), excerpt, ...(hint === undefined ? {} : { hint }) };
    this.#all.push({ diagnostic, order: this.#all.length });
  }
}
