/** One file → one tree in long syntax, its includes and extends taken in. */
import type { Source } from '../parse/source.ts';
import type { MapNode } from '../parse/tree.ts';
import type { FileContext } from './context.ts';
import { applyExtends } from './extends.ts';
import { applyIncludes } from './include.ts';
import { mergeFiles, parseFile } from './read.ts';

/** Null when nothing can be made of it. `path`: absolute, as cycles are told by it. */
export function loadFile(source: Source, path: string, context: FileContext): MapNode | null {
  let whole: MapNode | null = null;
  for (const tree of parseFile(source, context) ?? []) {
    const included = applyIncludes(tree, path, context, loadFile);
    const extended = applyExtends(included, path, context);
    whole = whole ? mergeFiles(whole, extended, context) : extended;
  }
  return whole;
}
