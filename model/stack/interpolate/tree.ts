/** Interpolation of a whole tree. Keys stay as they are; subtrees without a dollar are shared with the old tree. */
import type { Diagnostics } from '../diagnostics.ts';
import { inside, mapOf, type Entry, type Node, type ScalarNode } from '../parse/tree.ts';
import { step, type Path } from '../path.ts';
import { expand } from './template.ts';

export interface Variables {
  readonly lookup: (name: string) => string | undefined;
  /** Characters that may still be made; shared by all files of a load. */
  readonly budget: { left: number; readonly total: number };
  /** Names that were warned about, shared likewise. */
  readonly warned: Set<string>;
}

export function interpolate(node: Node, path: Path | null, variables: Variables, sink: Diagnostics): Node {
  if (isStill(node)) return node;
  switch (node.kind) {
    case 'scalar': return interpolateScalar(node, path, variables, sink);
    case 'seq': {
      let changed = false;
      if (node.items.every(isStill)) return node;
      const items = node.items.map((item, index) => {
        const made = interpolate(item, step(path, index), variables, sink);
        changed ||= made !== item;
        return made;
      });
      return changed ? { ...node, items, still: false } : node;
    }
    case 'map': {
      let changes: Map<string, Entry> | undefined;
      for (const [key, entry] of node.entries) {
        if (isStill(entry.value)) continue;
        const made = interpolate(entry.value, step(path, key), variables, sink);
        if (made !== entry.value) (changes ??= new Map(node.entries)).set(key, { key: entry.key, value: made });
      }
      return changes ? mapOf(node, changes, node.tag) : node;
    }
  }
}

/** Most values have nothing to interpolate; no path is made for them. */
function isStill(node: Node): boolean {
  return node.kind === 'scalar' ? typeof node.value !== 'string' || !node.value.includes('$') : node.still === true;
}

function interpolateScalar(node: ScalarNode, path: Path | null, variables: Variables, sink: Diagnostics): ScalarNode {
  // What is over the limit was said once.
  if (typeof node.value !== 'string' || variables.budget.left < 0) return node;
  const text = expand(node.value, {
    lookup: variables.lookup,
    unset: (name, offset) => {
      if (variables.warned.has(name)) return;
      variables.warned.add(name);
      sink.warn(inside(node, offset), path, `the variable ${name} is not set; it is taken as empty`, `set it, or give a default: \${${name}:-…}`);
    },
    fail: (issue) => {
      sink.error(inside(node, issue.offset), path, issue.message, issue.hint);
      if (issue.limit === true) variables.budget.left = -1;
    },
    limit: variables.budget.left,
    total: variables.budget.total,
  });
  variables.budget.left -= text.length;
  const { inset: _, ...rest } = node;
  // An empty result of a plain scalar is an empty string, not null; other results may still read as numbers and booleans.
  return { ...rest, value: text, text };
}
