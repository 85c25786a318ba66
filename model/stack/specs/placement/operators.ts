/** `x-constraints`: Marathon's operators, each a list of two or three words by now. */
import { parseOperator } from '../../../constraint/operator.ts';
import type { PlacementOperator } from '../../../constraint/types.ts';
import type { Reader } from '../reader.ts';

export function makeOperators(service: Reader): readonly PlacementOperator[] {
  return service.at('x-constraints').items().flatMap((item) => {
    const pieces = item.items();
    const result = parseOperator(pieces.map((piece) => (piece.node?.kind === 'scalar' ? piece.node.text : '')));
    if ('ok' in result) return [result.ok];
    (pieces[result.part] ?? pieces.at(-1) ?? item).error(`constraint ${pieces.map((piece) => (piece.node?.kind === 'scalar' ? piece.node.text : '')).join(':')}: ${result.error}`, result.hint);
    return [];
  });
}
