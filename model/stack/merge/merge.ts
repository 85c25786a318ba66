/**
 * Two trees in long syntax → one, by Compose's rules: mappings key by key, lists appended (commands replaced, ports, volumes,
 * secrets and configs by what they are mounted at), values replaced; `!reset` takes away, `!override` replaces.
 */
import { step, type Path } from '../path.ts';
import { get, mapOf, type Entry, type MapNode, type Node, type SeqNode } from '../parse/tree.ts';
import type { Field, ListMerge, Shape } from '../schema/shape.ts';
import type { Diagnostics } from '../diagnostics.ts';

export interface MergeContext {
  readonly sink: Diagnostics;
  /** Entries that may still be copied: `extends` of a large service a thousand times has its price. */
  readonly budget: { left: number };
  /** `extends`: tags go on to what earlier files say. */
  readonly keepTags: boolean;
}

export const appended: ListMerge = { kind: 'append' };

/** Null when `later` resets the value. */
export function merge(earlier: Node, later: Node, shape: Shape, path: Path | null, context: MergeContext): Node | null {
  if (later.tag === 'reset') return context.keepTags ? later : null;
  if (later.tag === 'override') return context.keepTags ? later : bare(later);
  if (shape.kind === 'short') return merge(earlier, later, shape.of, path, context);
  if (earlier.kind === 'map' && later.kind === 'map' && shape.kind !== 'any') return mergeMaps(earlier, later, shape, path, context);
  if (earlier.kind === 'seq' && later.kind === 'seq') {
    if (shape.kind === 'words' || shape.kind === 'test' || shape.kind === 'tuple') return later;
    return mergeLists(earlier, later, shape.kind === 'list' ? shape.merge ?? appended : appended, context);
  }
  if (earlier.kind === 'map' && later.kind === 'map') return mergeMaps(earlier, later, shape, path, context);
  return later;
}

function mergeMaps(earlier: MapNode, later: MapNode, shape: Shape, path: Path | null, context: MergeContext): MapNode {
  if (shape.kind === 'object' && shape.unlessDiffers !== undefined && differ(earlier, later, shape.unlessDiffers)) return later;
  if (!spend(context, earlier.entries.size + later.entries.size, later, path)) return later;
  const entries = new Map<string, Entry>(earlier.entries);
  if (shape.kind === 'object' && shape.choice?.some((key) => later.entries.has(key)) === true) for (const key of shape.choice) if (!later.entries.has(key)) entries.delete(key);
  for (const [key, entry] of later.entries) {
    const old = entries.get(key);
    const below = shapeBelow(shape, key);
    // Keys of the user's own are values to us: the later one stands alone.
    const made = old && !(key.startsWith('x-') && below === anything) ? merge(old.value, entry.value, below, step(path, key), context)
      : entry.value.tag === 'reset' && !context.keepTags ? null : entry.value;
    if (made) entries.set(key, { key: entry.key, value: made });
    else entries.delete(key);
  }
  return mapOf(later, entries, context.keepTags ? later.tag : undefined);
}

function mergeLists(earlier: SeqNode, later: SeqNode, how: ListMerge, context: MergeContext): SeqNode {
  if (how.kind === 'replace' || !spend(context, earlier.items.length + later.items.length, later, null)) return later;
  const all = [...earlier.items, ...later.items];
  if (how.kind === 'append') {
    const seen = new Set<string>();
    const fresh = (item: Node): boolean => item.kind !== 'scalar' || (!seen.has(item.text) && seen.add(item.text).size > 0);
    return { ...later, items: all.filter(fresh) };
  }
  const byKey = new Map<string, Node>();
  for (const item of all) byKey.set(how.key(item), item);
  return { ...later, items: [...byKey.values()] };
}

const anything: Shape = { kind: 'any' };

function shapeBelow(shape: Shape, key: string): Shape {
  if (shape.kind === 'map') return shape.of;
  if (shape.kind !== 'object' || !Object.hasOwn(shape.keys, key)) return anything;
  return (shape.keys[key] as Field).shape;
}

function differ(earlier: Node, later: Node, key: string): boolean {
  const a = get(earlier, key);
  const b = get(later, key);
  return a?.kind === 'scalar' && b?.kind === 'scalar' && a.value !== b.value;
}

function spend(context: MergeContext, size: number, at: Node, path: Path | null): boolean {
  const before = context.budget.left;
  context.budget.left -= size;
  if (context.budget.left >= 0) return true;
  if (before >= 0) context.sink.error(at, path, 'the merged stack has too many values', 'extend fewer or smaller services');
  return false;
}

function bare(node: Node): Node {
  const { tag: _, ...rest } = node;
  return rest;
}

/** After the last merge: what is still marked `!reset` goes, marks of `!override` are taken off. */
export function settle(node: Node): Node | null {
  if (node.tag === 'reset') return null;
  const clean = node.tag === undefined ? node : bare(node);
  if (clean.kind === 'scalar') return clean;
  if (clean.kind === 'seq') {
    let items: Node[] | undefined;
    for (const [index, item] of clean.items.entries()) {
      const made = settle(item);
      if (made !== item) items ??= clean.items.slice(0, index);
      if (items && made) items.push(made);
    }
    return items ? { ...clean, items } : clean;
  }
  let changes: Map<string, Entry> | undefined;
  for (const [key, entry] of clean.entries) {
    const made = settle(entry.value);
    if (made === entry.value) continue;
    changes ??= new Map(clean.entries);
    if (made) changes.set(key, { key: entry.key, value: made });
    else changes.delete(key);
  }
  return changes ? mapOf(clean, changes) : clean;
}
