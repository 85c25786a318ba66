/** Contradictions that hold on every node there could ever be, found before anything is placed. */
import { contains, parseBlock } from './address.ts';
import { compilePattern } from './match.ts';
import { asConstraints } from './operator.ts';
import { describeSubject } from './subject.ts';
import type { Constraint, PlacementOperator } from './types.ts';

export interface Contradiction {
  readonly message: string;
  /** The expression that makes it: the later one of two. */
  readonly source: string;
}

/** What `canNeverMatch` says, over constraints and operators together. */
export function neverPlaced({ constraints, operators = [] }: { readonly constraints: readonly Constraint[]; readonly operators?: readonly PlacementOperator[] }): Contradiction | null {
  return findContradiction([...constraints, ...operators.flatMap(asConstraints)]);
}

/**
 * Why no node can satisfy the hard expressions together, or null when one might. Sound, not complete: two regexes that
 * exclude each other go unnoticed. `node` is left out, since it has two values at a time.
 */
export function canNeverMatch(constraints: readonly Constraint[]): string | null {
  return findContradiction(constraints)?.message ?? null;
}

function findContradiction(constraints: readonly Constraint[]): Contradiction | null {
  const hard = constraints.filter((constraint) => !constraint.soft && constraint.subject.kind !== 'node');
  for (const constraint of hard) {
    if (constraint.op === '!=' && constraint.pattern.kind === 'glob' && /^\*+$/.test(constraint.pattern.value)) {
      return { message: `${constraint.source} can never hold: ${constraint.pattern.value} matches everything, a missing label too`, source: constraint.source };
    }
    const values = known(constraint);
    if (values !== null && constraint.op === '==' && !values.some(compilePattern(constraint))) {
      return { message: `${constraint.source} can never hold: ${describeSubject(constraint.subject)} is ${values.join(' or ')}`, source: constraint.source };
    }
    if (values !== null && constraint.op === '!=' && values.every(compilePattern(constraint))) {
      return { message: `${constraint.source} can never hold: every node's ${describeSubject(constraint.subject)} is ${values.join(' or ')}`, source: constraint.source };
    }
  }
  const bySubject = Map.groupBy(hard, (constraint) => subjectKey(constraint));
  for (const group of bySubject.values()) {
    for (const literal of group) {
      if (literal.op !== '==' || literal.pattern.kind !== 'literal') continue;
      const enemy = group.find((other) => other !== literal && excludes(literal, other));
      if (!enemy) continue;
      const later = constraints.indexOf(enemy) > constraints.indexOf(literal) ? enemy : literal;
      return { message: `${literal.source} and ${enemy.source} exclude each other`, source: later.source };
    }
  }
  return null;
}

/** All values that a subject can have in any cluster. */
function known({ subject }: Constraint): readonly string[] | null {
  return subject.kind === 'role' ? ['manager', 'worker'] : subject.kind === 'os' ? ['linux'] : null;
}

function subjectKey({ subject }: Constraint): string {
  return subject.kind === 'label' || subject.kind === 'engine' ? `${subject.kind} ${subject.key}` : describeSubject(subject);
}

/** Whether `other` fails on every node where the `==` of a literal holds. */
function excludes(literal: Constraint, other: Constraint): boolean {
  const { value } = literal.pattern;
  if (literal.subject.kind === 'ip') return excludesBlock(value, other);
  // One name of a machine excludes another only when they are not names of the same one: left to the filter.
  if (literal.subject.kind === 'arch') return false;
  // The value may come in any case, about which a regex can say anything.
  if (other.pattern.kind === 'regex' && value.toLowerCase() !== value.toUpperCase()) return false;
  return compilePattern(other)(value) !== (other.op === '==');
}

function excludesBlock(value: string, other: Constraint): boolean {
  const mine = parseBlock(value);
  const theirs = other.pattern.kind === 'literal' ? parseBlock(other.pattern.value) : null;
  if (mine === null || theirs === null) return false;
  return other.op === '!=' ? contains(theirs, mine) : !contains(theirs, mine) && !contains(mine, theirs);
}
