/** Reads a checked tree: absent and wrong values are undefined here, for the stages before have complained about them. */
import type { Diagnostics } from '../diagnostics.ts';
import { isNull, type Entry, type Mark, type Node, type ScalarNode } from '../parse/tree.ts';
import { step, type Path } from '../path.ts';
import { parseDuration } from '../values/duration.ts';

export class Reader {
  readonly node: Node | undefined;
  readonly path: Path | null;
  readonly sink: Diagnostics;
  /** Where to point when what should be here is not. */
  readonly mark: Mark;

  constructor(node: Node | undefined, path: Path | null, mark: Mark, sink: Diagnostics) {
    this.node = node;
    this.path = path;
    this.mark = mark;
    this.sink = sink;
  }

  get entries(): ReadonlyMap<string, Entry> {
    return this.node?.kind === 'map' ? this.node.entries : none;
  }

  has(key: string): boolean {
    return this.entries.has(key);
  }

  at(key: string): Reader {
    const entry = this.entries.get(key);
    const value = entry?.value;
    // A wrong scalar is shown itself, anything larger by its key.
    const mark = value?.kind === 'scalar' && !isNull(value) ? value : entry?.key ?? this.mark;
    return new Reader(value, step(this.path, key), mark, this.sink);
  }

  /** The entries of a mapping, each as a reader. */
  children(): readonly (readonly [string, Reader])[] {
    const made: (readonly [string, Reader])[] = [];
    for (const key of this.entries.keys()) made.push([key, this.at(key)]);
    return made;
  }

  items(): readonly Reader[] {
    if (this.node?.kind !== 'seq') return [];
    return this.node.items.flatMap((item, index) => (isNull(item) ? [] : [new Reader(item, step(this.path, index), item, this.sink)]));
  }

  scalar(key: string): ScalarNode | undefined {
    const value = this.entries.get(key)?.value;
    return value?.kind === 'scalar' && !isNull(value) ? value : undefined;
  }

  text(key: string): string | undefined {
    return this.scalar(key)?.text;
  }

  number(key: string): number | undefined {
    const value = this.scalar(key)?.value;
    return typeof value === 'number' ? value : undefined;
  }

  /** Sizes are digits in the tree, as Docker prints them. */
  bytes(key: string): number | undefined {
    const text = this.text(key);
    return text === undefined || !/^-?\d+$/.test(text) ? undefined : Number(text);
  }

  flag(key: string): boolean | undefined {
    const value = this.scalar(key)?.value;
    return typeof value === 'boolean' ? value : undefined;
  }

  ms(key: string): number | undefined {
    const text = this.text(key);
    return text === undefined ? undefined : parseDuration(text) ?? undefined;
  }

  /** Undefined when the key is absent, unlike an empty list. */
  strings(key: string): readonly string[] | undefined {
    const value = this.entries.get(key)?.value;
    return value?.kind === 'seq' ? value.items.flatMap((item) => (item.kind === 'scalar' && !isNull(item) ? [item.text] : [])) : undefined;
  }

  pairs(key: string): Readonly<Record<string, string>> {
    const value = this.entries.get(key)?.value;
    if (value?.kind !== 'map') return {};
    return Object.fromEntries([...value.entries].flatMap(([name, entry]) => (entry.value.kind === 'scalar' ? [[name, entry.value.text]] : [])));
  }

  error(message: string, hint?: string): void {
    this.sink.error(this.mark, this.path, message, hint);
  }

  warn(message: string, hint?: string): void {
    this.sink.warn(this.mark, this.path, message, hint);
  }
}

const none: ReadonlyMap<string, Entry> = new Map();

