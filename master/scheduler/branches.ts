/** The values of spread labels as small numbers, one table per subject in use. */
import { valuesOf } from '../../model/constraint/match.ts';
import type { ConstraintSubject, ConstraintTarget } from '../../model/constraint/types.ts';

interface Table {
  readonly subject: ConstraintSubject;
  of: Int32Array;
  readonly values: string[];
  readonly numbers: Map<string, number>;
}

export class Branches {
  readonly #tables = new Map<string, Table>();

  /** A node's attributes are new. */
  set(node: number, target: ConstraintTarget): void {
    for (const table of this.#tables.values()) assign(table, node, target);
  }

  of(subject: ConstraintSubject, targets: readonly (ConstraintTarget | undefined)[]): { readonly of: Int32Array; readonly values: readonly string[] } {
    const key = JSON.stringify(subject);
    let table = this.#tables.get(key);
    if (!table) {
      table = { subject, of: new Int32Array(targets.length).fill(-1), values: [], numbers: new Map() };
      for (const [node, target] of targets.entries()) if (target) assign(table, node, target);
      this.#tables.set(key, table);
    }
    return table;
  }
}

/** A missing label is the empty value, a branch like any other. */
function assign(table: Table, node: number, target: ConstraintTarget): void {
  if (node >= table.of.length) {
    const grown = new Int32Array(Math.max(node + 1, table.of.length * 2)).fill(-1);
    grown.set(table.of);
    table.of = grown;
  }
  const value = valuesOf(table.subject, target)[0] ?? '';
  let number = table.numbers.get(value);
  if (number === undefined) {
    number = table.values.length;
    table.numbers.set(value, number);
    table.values.push(value);
  }
  table.of[node] = number;
}
