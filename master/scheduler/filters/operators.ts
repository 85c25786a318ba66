/** Marathon's operators that count: UNIQUE, MAX_PER, GROUP_BY and CLUSTER. What one node alone can answer is constraints.ts'. */
import { countNodes } from '../../../model/constraint/explain.ts';
import { describeSubject } from '../../../model/constraint/subject.ts';
import type { PlacementOperator } from '../../../model/constraint/types.ts';
import type { PodGroup } from '../group.ts';
import type { Room } from '../room.ts';
import { availability } from './availability.ts';
import { constraints } from './constraints.ts';
import { namesOf, type Filter, type NodeTest } from './filter.ts';
import { health } from './health.ts';

export const operators: Filter = {
  scope: 'service',
  prepare(group, room) {
    const tests = counting(group).map((operator) => testOf(operator, group, room));
    const [first] = tests;
    if (first === undefined) return null;
    return tests.length === 1 ? first : (node) => tests.every((test) => test(node));
  },
  explain(group, room, nodes) {
    return counting(group).flatMap((operator) => {
      const test = testOf(operator, group, room);
      const failing = nodes.filter((node) => !test(node));
      return failing.length === 0 ? [] : [{ filter: `constraint ${operator.source}`, message: messageOf(operator, group, room, failing), nodes: namesOf(room, failing) }];
    });
  },
};

/** GROUP_BY opens values again as others fill up: its pods are placed one at a time, each with a fresh look. */
export function reopens(group: PodGroup): boolean {
  return counting(group).some(({ operator }) => operator === 'GROUP_BY');
}

function counting(group: PodGroup): readonly PlacementOperator[] {
  return (group.spec.placement.operators ?? []).filter(({ operator, value }) => operator === 'UNIQUE' || operator === 'MAX_PER' || operator === 'GROUP_BY' || (operator === 'CLUSTER' && value === undefined));
}

function testOf(operator: PlacementOperator, group: PodGroup, room: Room): NodeTest {
  const { of, counts } = room.branchCounts(group.limitKey, operator.subject);
  const at = (node: number) => counts.get(of[node]!) ?? 0;
  switch (operator.operator) {
    case 'UNIQUE': return (node) => at(node) === 0;
    case 'MAX_PER': return (node) => at(node) < (operator.count ?? 1);
    case 'CLUSTER': return (node) => counts.size === 0 || at(node) > 0;
    case 'GROUP_BY': {
      const least = leastOf(operator, group, room);
      return (node) => at(node) <= least;
    }
    case 'LIKE':
    case 'UNLIKE': return () => true;
  }
}

/** Of the values that pods could go to now; one that is expected and not there yet has none. */
function leastOf(operator: PlacementOperator, group: PodGroup, room: Room): number {
  const { of, counts } = room.branchCounts(group.limitKey, operator.subject);
  const tests = [constraints, health, availability].flatMap((filter) => filter.prepare(group, room) ?? []);
  const values = new Set<number>();
  for (const node of room.state.index.values()) if (tests.every((test) => test(node))) values.add(of[node]!);
  if (values.size < (operator.count ?? 0)) return 0;
  let least = Infinity;
  for (const value of values) least = Math.min(least, counts.get(value) ?? 0);
  return least;
}

function messageOf(operator: PlacementOperator, group: PodGroup, room: Room, failing: readonly number[]): string {
  const { of, values, counts } = room.branchCounts(group.limitKey, operator.subject);
  const field = describeSubject(operator.subject);
  const where = countNodes(namesOf(room, failing));
  const taken = [...counts].filter(([, count]) => count > 0).map(([value, count]) => ({ text: `${field}=${values[value] ?? ''}`, count })).sort((a, b) => (a.text < b.text ? -1 : 1));
  const here = [...new Set(failing.map((node) => of[node]!))].map((value) => `${field}=${values[value] ?? ''}`).sort().slice(0, 3).join(', ');
  switch (operator.operator) {
    case 'UNIQUE': return `${where}: ${here} already ${failing.length === 1 ? 'has' : 'have'} a pod of ${group.service}`;
    case 'MAX_PER': return `${where}: ${here} already ${failing.length === 1 ? 'has' : 'have'} ${operator.count ?? 1} of ${group.service}, the most per ${field}`;
    case 'CLUSTER': return `the pods of ${group.service} are on ${taken.map(({ text }) => text).slice(0, 3).join(', ')}`;
    case 'GROUP_BY': return `${where}: ${here} ${failing.length === 1 ? 'has' : 'have'} more pods of ${group.service} than other values of ${field}${operator.count ? `, of which ${operator.count} are expected` : ''}`;
    case 'LIKE':
    case 'UNLIKE': return '';
  }
}
