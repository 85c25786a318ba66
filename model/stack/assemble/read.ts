/** One file → its documents in long syntax; and the merging of whole files. */
import { conform } from '../conform/conform.ts';
import { interpolate } from '../interpolate/tree.ts';
import { merge } from '../merge/merge.ts';
import type { Source } from '../parse/source.ts';
import type { MapNode, Node } from '../parse/tree.ts';
import { parseYaml } from '../parse/yaml.ts';
import { top } from '../schema/top.ts';
import type { FileContext } from './context.ts';

export function mergeFiles(earlier: MapNode, later: MapNode, { session }: FileContext): MapNode {
  const merged = merge(earlier, later, top, null, { sink: session.sink, budget: session.budget, keepTags: false });
  return merged?.kind === 'map' ? merged : later;
}

/** Its documents, conformed, before includes and extends. */
export function parseFile(source: Source, { session, variables, baseDir }: FileContext): readonly MapNode[] | null {
  const trees = parseYaml(source, session.limits, session.sink);
  if (!trees) return null;
  session.marks.tags ||= /!(?:reset|override)/.test(source.text);
  const start = { source, offset: 0 };
  const made: MapNode[] = [];
  for (const tree of trees) {
    const checked = topLevel(interpolate(tree, null, variables, session.sink));
    if (checked) made.push(checked);
  }
  if (trees.length === 0) session.sink.error(start, null, 'the file is empty', 'a stack needs services:');
  return made;

  function topLevel(tree: Node): MapNode | null {
    if (tree.kind !== 'map') {
      if (tree.kind !== 'scalar' || tree.value !== null) session.sink.error(tree, null, 'a stack file must be a mapping', 'it begins with services:');
      else session.sink.error(tree, null, 'the file is empty', 'a stack needs services:');
      return null;
    }
    if (tree.tag !== undefined) {
      session.sink.error(tree, null, `!${tree.tag} stands before a key's value, not before the whole file`);
      return null;
    }
    const shaped = conform(tree, top, null, { baseDir, home: session.home, sink: session.sink });
    return shaped?.kind === 'map' ? shaped : null;
  }
}
