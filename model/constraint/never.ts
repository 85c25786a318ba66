/** Contradictions that hold on every node there could ever be, found before anything is placed. */
import { contains, parseBlock } from './address.ts';
import { compilePattern } from './match.ts';
import { describeSubject } from './subject.ts';
import type { Constraint } from './types.ts';

/**
 * Why no node can satisfy the hard expressions together, or null when one might. Sound, not complete: two regexes that
 * exclude each other go unnoticed. `node` is left out, since it has two values at a time.
 */
export function canNeverMatch(constraints: readonly Constraint[]): string | null {
  const hard = constraints.filter((constraint) => !constraint.soft && constraint.subject.kind !== 'node');
  for (const constraint of hard) {
    if (constraint.op === '!=' && constraint.pattern.kind === 'glob' && /^\*+$/.test(constraint.pattern.value)) {
      return `${constraint.source} can never hold: ${constraint.pattern.value} matches everything, a missing label too`;
    }
  }
  const bySubject = Map.groupBy(hard, (constraint) => subjectKey(constraint));
  for (const group of bySubject.values()) {
    for (const literal of group) {
      if (literal.op !== '==' || literal.pattern.kind !== 'literal') continue;
      const enemy = group.find((other) => other !== literal && excludes(literal, other));
      if (enemy) return `${literal.source} and ${enemy.source} exclude each other`;
    }
  }
  return null;
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
