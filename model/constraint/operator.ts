/**
 * Marathon's operators. A field names what of a node is looked at: `hostname`, or any key of a constraint (a bare one is a label
 * of the node). A node without the field takes no pods, except for UNLIKE, as in Marathon.
 *
 * | operator | value | |
 * |---|---|---|
 * | UNIQUE | | one pod of the service per value |
 * | CLUSTER | text, or none | all pods on this value; without one, all on the same |
 * | GROUP_BY | count, or none | no value has more than one pod above another; `count` values are expected, else those there are |
 * | MAX_PER | count | at most so many pods per value |
 * | LIKE, UNLIKE | regex | the whole value matches; does not |
 */
import { didYouMean } from '../stack/suggest.ts';
import { regexProblem } from './parse.ts';
import { parseSubject } from './subject.ts';
import type { Constraint, ConstraintSubject, PlacementOperator } from './types.ts';

/** `part` says which piece is wrong: 0 the field, 1 the operator, 2 the value. */
export interface OperatorError {
  readonly error: string;
  readonly part: 0 | 1 | 2;
  readonly hint?: string;
}

export type OperatorResult = { readonly ok: PlacementOperator } | OperatorError;

const operators = ['UNIQUE', 'CLUSTER', 'GROUP_BY', 'MAX_PER', 'LIKE', 'UNLIKE'] as const;
const maxLength = 1024;

/** From its pieces, `[field, operator, value]`. Never throws. */
export function parseOperator(pieces: readonly string[]): OperatorResult {
  const [field = '', written = '', value] = pieces.map((piece) => piece.trim());
  if (pieces.some((piece) => piece.length > maxLength)) return { error: `a constraint is at most ${maxLength} characters`, part: 0 };
  const subject = subjectOf(field);
  if ('error' in subject) return { error: subject.error, part: 0 };
  const operator = operators.find((name) => name === written.toUpperCase());
  if (written === '') return { error: `after ${field} must come an operator`, part: pieces.length > 1 ? 1 : 0, hint: 'write such as [hostname, UNIQUE] or rack:MAX_PER:2' };
  if (operator === undefined) return { error: `there is no operator ${JSON.stringify(written)}`, part: 1, hint: didYouMean(written, operators) ?? `the operators are ${operators.join(', ')}` };
  if (pieces.length > 3) return { error: `${operator} has at most one value`, part: 2 };
  const source = `${field}:${operator}${value === undefined ? '' : `:${value}`}`;
  const base = { subject: subject.ok, operator, source };
  switch (operator) {
    case 'UNIQUE': return value === undefined || value === '' ? { ok: { subject: subject.ok, operator, source: `${field}:UNIQUE` } } : { error: 'UNIQUE has no value', part: 2 };
    case 'CLUSTER': return { ok: value === undefined || value === '' ? { ...base, source: `${field}:CLUSTER` } : { ...base, value } };
    case 'GROUP_BY': return value === undefined || value === '' ? { ok: { ...base, source: `${field}:GROUP_BY`, count: 0 } } : counted(value);
    case 'MAX_PER': return value === undefined || value === '' ? { error: 'MAX_PER needs a number', part: 1, hint: `write such as ${field}:MAX_PER:2` } : counted(value);
    case 'LIKE':
    case 'UNLIKE': {
      if (value === undefined || value === '') return { error: `${operator} needs a regular expression`, part: 1, hint: `write such as ${field}:${operator}:rack-[1-3]` };
      const problem = regexProblem(value);
      return problem === null ? { ok: { ...base, value } } : { error: problem, part: 2 };
    }
  }

  function counted(text: string): OperatorResult {
    const count = /^\d{1,6}$/.test(text) ? Number(text) : 0;
    return count >= 1 ? { ok: { ...base, count } } : { error: `${operator} needs a number from 1, not ${JSON.stringify(text)}`, part: 2 };
  }
}

function subjectOf(field: string): { readonly ok: ConstraintSubject } | { readonly error: string } {
  if (/^@?hostname$/i.test(field)) return { ok: { kind: 'hostname' } };
  const key = field.replace(/^@/, '');
  if (!/^[a-z0-9_][a-z0-9\-_./]*$/i.test(key)) return { error: field === '' ? 'the field is missing' : `${JSON.stringify(field)} is no field of a node` };
  return parseSubject(key);
}

/** What of an operator one node alone can answer, as constraints. */
export function asConstraints({ subject, operator, value, source }: PlacementOperator): readonly Constraint[] {
  const base = { subject, soft: false, source } as const;
  const present: Constraint = { ...base, op: '==', pattern: { kind: 'regex', value: '.' } };
  const whole = { kind: 'regex', value: `^(?:${value ?? ''})$` } as const;
  switch (operator) {
    case 'UNIQUE':
    case 'GROUP_BY':
    case 'MAX_PER': return [present];
    case 'CLUSTER': return [value === undefined ? present : { ...base, op: '==', pattern: { kind: 'literal', value } }];
    case 'LIKE': return [present, { ...base, op: '==', pattern: whole }];
    case 'UNLIKE': return [{ ...base, op: '!=', pattern: whole }];
  }
}
