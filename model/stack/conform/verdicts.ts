/** After merging: keys that cannot be honoured are errors, keys without effect are passed over or warned about. */
import type { Diagnostics } from '../diagnostics.ts';
import { step, type Path } from '../path.ts';
import { fieldsOf } from './conform.ts';
import type { Mark, Node } from '../parse/tree.ts';
import type { Shape, Verdict } from '../schema/shape.ts';

export function checkVerdicts(node: Node, shape: Shape, path: Path | null, sink: Diagnostics): void {
  if (shape.kind === 'short') return checkVerdicts(node, shape.of, path, sink);
  if (shape.kind === 'list' && node.kind === 'seq') {
    for (const [index, item] of node.items.entries()) checkVerdicts(item, shape.of, step(path, index), sink);
  } else if (shape.kind === 'map' && node.kind === 'map') {
    for (const [key, entry] of node.entries) checkVerdicts(entry.value, shape.of, step(path, key), sink);
  } else if (shape.kind === 'object' && node.kind === 'map') {
    const fields = fieldsOf(shape);
    for (const [key, entry] of node.entries) {
      const field = fields.get(key);
      if (!field) continue;
      // Most keys work, with all that can be below them.
      if (field.verdict.kind === 'works' && (entry.value.kind === 'scalar' || isCalm(field.shape))) continue;
      const below = step(path, key);
      judge(key, field.verdict, entry.value, entry.key, below, sink);
      if (field.verdict.kind === 'works') checkVerdicts(entry.value, field.shape, below, sink);
    }
  }
  return undefined;
}

/** Whether everything in the shape works, so that nothing needs to be looked at. */
function isCalm(shape: Shape): boolean {
  let answer = calm.get(shape);
  if (answer === undefined) calm.set(shape, (answer = lookForCalm(shape)));
  return answer;
}

const calm = new WeakMap<Shape, boolean>();

function lookForCalm(shape: Shape): boolean {
  if (shape.kind === 'list' || shape.kind === 'map' || shape.kind === 'short') return isCalm(shape.of);
  return shape.kind !== 'object' || Object.values(shape.keys).every(({ verdict, shape: below }) => verdict.kind === 'works' && isCalm(below));
}

function judge(key: string, verdict: Verdict, value: Node, at: Mark, path: Path, sink: Diagnostics): void {
  switch (verdict.kind) {
    case 'works': return;
    case 'harmless':
      if (verdict.warn === true && !asksNothing(value)) sink.warn(at, path, `${key} has no effect: ${verdict.why}`);
      return;
    case 'refused': {
      if (asksNothing(value)) return;
      const text = value.kind === 'scalar' ? String(value.value) : undefined;
      if (text !== undefined && verdict.except?.includes(text)) return;
      const what = text !== undefined && verdict.except !== undefined && verdict.except.length > 0 ? `${key}: ${text}` : key;
      sink.error(at, path, verdict.why === 'not supported yet' ? `${what} is not supported yet` : `${what} is refused: ${verdict.why}`, verdict.instead);
    }
  }
}

function asksNothing(node: Node): boolean {
  switch (node.kind) {
    case 'scalar': return node.value === null || node.value === false || node.value === '' || node.value === 0;
    case 'seq': return node.items.length === 0;
    case 'map': return node.entries.size === 0;
  }
}
