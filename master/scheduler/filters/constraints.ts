/** The hard expressions of `placement.constraints`, and of operators what one node alone can answer: all of them must hold. */
import { explainConstraint } from '../../../model/constraint/explain.ts';
import { neverPlaced } from '../../../model/constraint/never.ts';
import { asConstraints } from '../../../model/constraint/operator.ts';
import type { Constraint, ConstraintTarget } from '../../../model/constraint/types.ts';
import type { PodGroup } from '../group.ts';
import type { Room } from '../room.ts';
import { namesOf, type Filter } from './filter.ts';

export const constraints: Filter = {
  scope: 'node',
  prepare(group, room) {
    const columns = hard(group).map((constraint) => room.state.bits(constraint));
    const [only] = columns;
    if (only === undefined) return null;
    return columns.length === 1 ? (node) => only[node] === 1 : (node) => columns.every((bits) => bits[node] === 1);
  },
  // One reason per expression, each about all nodes: whether any node has the label at all is what people need to know.
  explain(group, room, nodes, everyone) {
    const never = neverPlaced(group.spec.placement);
    if (never !== null) return [{ filter: 'constraint', message: never.message, nodes: namesOf(room, nodes) }];
    const targets = targetsOf(room, everyone);
    return hard(group).flatMap((constraint) => {
      const bits = room.state.bits(constraint);
      const failing = everyone.filter((node) => bits[node] !== 1);
      if (failing.length === 0) return [];
      return [{ filter: `constraint ${constraint.source}`, message: explainConstraint(constraint, targets), nodes: namesOf(room, failing) }];
    });
  },
};

function hard(group: PodGroup): readonly Constraint[] {
  const { constraints: own, operators = [] } = group.spec.placement;
  return [...own.filter((constraint) => !constraint.soft), ...operators.flatMap(asConstraints)];
}

function targetsOf(room: Room, nodes: readonly number[]): readonly ConstraintTarget[] {
  return nodes.flatMap((node) => room.state.target(node) ?? []);
}
