/** What to tell people about an expression that some or all nodes fail. */
import { compile, valuesOf } from './match.ts';
import { describeSubject } from './subject.ts';
import type { Constraint, ConstraintTarget } from './types.ts';

const mostValues = 5;
const mostNames = 3;

/**
 * One line on how the nodes stand to the expression: `no node has type=frontend; labels seen: type=backend (node-3), none
 * (node-1)` when none passes, otherwise what those that fail have instead: `2 nodes (node-1, node-2) have type=backend`.
 * Empty when all pass.
 */
export function explainConstraint(constraint: Constraint, targets: readonly ConstraintTarget[]): string {
  const passes = compile(constraint);
  const failing = targets.filter((target) => !passes(target));
  if (targets.length === 0) return 'there are no nodes';
  if (failing.length === 0) return '';
  const seen = groupByValue(constraint, failing);
  if (failing.length === targets.length) {
    const claim = constraint.op === '==' ? `no node has ${wanted(constraint)}` : `every node has ${wanted(constraint)}`;
    const isLabel = constraint.subject.kind === 'label' || constraint.subject.kind === 'engine';
    return `${claim}; ${isLabel ? 'labels seen' : 'seen'}: ${limited(seen.map(([value, names]) => `${value} (${nameList(names)})`), mostValues)}`;
  }
  return limited(seen.map(([value, names]) => `${countNodes(names)} ${names.length === 1 ? 'has' : 'have'} ${value === 'none' ? `no ${describeSubject(constraint.subject)}` : value}`), mostValues);
}

/** `node-2`, `node-2 and node-3`, `node-1, node-2, node-3 and 4 more`. */
export function nameList(names: readonly string[]): string {
  return limited(names, mostNames);
}

/** `node-2`, `2 nodes (node-2, node-3)`. */
export function countNodes(names: readonly string[]): string {
  return names.length === 1 ? (names[0] ?? '') : `${names.length} nodes (${nameList(names)})`;
}

function limited(items: readonly string[], most: number): string {
  return items.length <= most ? items.join(', ') : `${items.slice(0, most).join(', ')} and ${items.length - most} more`;
}

function wanted({ subject, pattern }: Constraint): string {
  const name = describeSubject(subject);
  switch (pattern.kind) {
    case 'literal': return `${name}=${pattern.value}`;
    case 'glob': return `${name} like ${pattern.value}`;
    case 'regex': return `${name} matching /${pattern.value}/`;
  }
}

/** The values seen, the most frequent first, each with the names of its nodes. */
function groupByValue({ subject }: Constraint, targets: readonly ConstraintTarget[]): [string, readonly string[]][] {
  const groups = Map.groupBy(targets, (target) => {
    const values = valuesOf(subject, target).filter((value) => value !== '');
    if (values.length === 0) return 'none';
    return `${describeSubject(subject)}=${subject.kind === 'arch' ? target.arch : values.join('/')}`;
  });
  return [...groups]
    .map(([value, nodes]): [string, readonly string[]] => [value, nodes.map((node) => node.name)])
    .sort(([a, namesA], [b, namesB]) => namesB.length - namesA.length || (a < b ? -1 : 1));
}
