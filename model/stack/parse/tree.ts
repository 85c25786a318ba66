/**
 * The tree that every stage of the loader passes on: YAML without its syntax. Each node knows the place it came from, also
 * after interpolation, merging and the turning of short syntax into long; nodes are never changed, so aliases share them.
 */
import type { Source } from './source.ts';
import type { Json } from '../types.ts';

export type Scalar = string | number | boolean | null;

export interface Mark {
  readonly source: Source;
  readonly offset: number;
}

/** `!reset` takes away what earlier files said, `!override` replaces it instead of merging. */
export type MergeTag = 'reset' | 'override';

export interface ScalarNode extends Mark {
  readonly kind: 'scalar';
  readonly value: Scalar;
  /** What was written, without quotes: `1.10` stays `1.10`, `0644` stays `0644`. */
  readonly text: string;
  /** Written without quotes, so that YAML's own types apply. */
  readonly plain: boolean;
  /** `text` begins at `offset + inset` and is in the file exactly as it is here; absent when it is not (escapes, folding, interpolation). */
  readonly inset?: number;
  readonly tag?: MergeTag;
}

export interface Entry {
  /** Offset of the key, in the same source as the map. */
  readonly key: Mark;
  readonly value: Node;
}

export interface MapNode extends Mark {
  readonly kind: 'map';
  readonly entries: ReadonlyMap<string, Entry>;
  readonly tag?: MergeTag;
  /** Known to have no dollar in it: there is nothing to interpolate. */
  readonly still?: boolean;
}

export interface SeqNode extends Mark {
  readonly kind: 'seq';
  readonly items: readonly Node[];
  readonly tag?: MergeTag;
  readonly still?: boolean;
}

export type Node = ScalarNode | MapNode | SeqNode;

/** A scalar that stands where `mark` is, for values that the loader makes. */
export function scalar(mark: Mark, value: Scalar): ScalarNode {
  return { kind: 'scalar', value, text: value === null ? '' : String(value), plain: typeof value !== 'string', source: mark.source, offset: mark.offset };
}

export function map(mark: Mark, entries: Iterable<readonly [string, Node]>, tag?: MergeTag): MapNode {
  const made = new Map<string, Entry>();
  for (const [key, value] of entries) made.set(key, { key: value, value });
  return mapOf(mark, made, tag);
}

export function mapOf(mark: Mark, entries: ReadonlyMap<string, Entry>, tag?: MergeTag): MapNode {
  const node: MapNode = { kind: 'map', entries, source: mark.source, offset: mark.offset };
  return tag === undefined ? node : { ...node, tag };
}

export function seq(mark: Mark, items: readonly Node[], tag?: MergeTag): SeqNode {
  const node: SeqNode = { kind: 'seq', items, source: mark.source, offset: mark.offset };
  return tag === undefined ? node : { ...node, tag };
}

export function get(node: Node | undefined, key: string): Node | undefined {
  return node?.kind === 'map' ? node.entries.get(key)?.value : undefined;
}

export function isNull(node: Node): boolean {
  return node.kind === 'scalar' && node.value === null;
}

/** Plain JSON. Keys such as `__proto__` become ordinary properties. */
export function toJson(node: Node): Json {
  switch (node.kind) {
    case 'scalar': return node.value;
    case 'seq': return node.items.map(toJson);
    case 'map': {
      const made: Record<string, Json> = {};
      for (const [key, entry] of node.entries) {
        // An assignment to `__proto__` would set the prototype.
        if (key === '__proto__') Object.defineProperty(made, key, { value: toJson(entry.value), enumerable: true, writable: true, configurable: true });
        else made[key] = toJson(entry.value);
      }
      return made;
    }
  }
}

/** The place of character `index` of a scalar's text, or of the scalar where that is not known. */
export function inside(node: Node, index: number): Mark {
  return node.kind === 'scalar' && node.inset !== undefined ? { source: node.source, offset: node.offset + node.inset + index } : node;
}
