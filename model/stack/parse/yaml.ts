/**
 * YAML text → trees. The `yaml` package reads the syntax; anchors, merge keys, duplicate keys and tags are handled here, with
 * positions and limits: its own check for duplicates is quadratic, and its aliases may make cycles.
 */
import { isAlias, isMap, isScalar, isSeq, parseAllDocuments, type Document, type Pair, type Scalar as YamlScalar, type YAMLMap, type YAMLSeq } from 'yaml';
import type { Diagnostics } from '../diagnostics.ts';
import { nameOf, step, type Path } from '../path.ts';
import type { Limits } from './limits.ts';
import { parseQuick } from './quick.ts';
import { scan, scanDepth } from './scan.ts';
import type { Source } from './source.ts';
import { scalar, type Entry, type MapNode, type MergeTag, type Node, type ScalarNode } from './tree.ts';

/** One tree for each document of the file, null for an empty one; null when the text cannot be read, with the reasons in `sink`. */
export function parseYaml(source: Source, limits: Limits, sink: Diagnostics): readonly Node[] | null {
  if (!scan(source, limits, sink)) return null;
  const quick = parseQuick(source, limits);
  return quick ? [quick] : parseFull(source, limits, sink);
}

/** By the `yaml` package: all of YAML, and everything that is wrong. */
export function parseFull(source: Source, limits: Limits, sink: Diagnostics): readonly Node[] | null {
  if (!scanDepth(source, limits, sink)) return null;
  const documents = parseAllDocuments(source.text, { uniqueKeys: false, merge: false, logLevel: 'silent', prettyErrors: false, keepSourceTokens: false });
  if (!Array.isArray(documents)) return [];
  let broken = false;
  const trees: Node[] = [];
  for (const document of documents) {
    for (const error of document.errors) {
      broken = true;
      sink.error({ source, offset: error.pos[0] }, null, describe(error.message), hintFor(error.code, source, error.pos[0]));
    }
    if (document.errors.length > 0) continue;
    const builder = new Builder(source, limits, sink);
    const tree = builder.document(document);
    if (tree) trees.push(tree);
    broken ||= builder.broken;
  }
  return broken ? null : trees;
}

type YamlNode = YAMLMap | YAMLSeq | YamlScalar | null;

interface Anchor {
  readonly node: Node | null;
  /** Values in it, aliases unfolded. */
  readonly size: number;
}

class Builder {
  readonly #source: Source;
  readonly #limits: Limits;
  readonly #sink: Diagnostics;
  readonly #anchors = new Map<string, Anchor>();
  #nodes = 0;
  #aliases = 0;
  /** A limit was passed: the tree is not whole. */
  broken = false;

  constructor(source: Source, limits: Limits, sink: Diagnostics) {
    this.#source = source;
    this.#limits = limits;
    this.#sink = sink;
  }

  document(document: Document): Node | null {
    const contents = document.contents as YamlNode;
    return contents === null ? null : this.#node(contents, null, 0);
  }

  #node(node: unknown, path: Path | null, fallback: number): Node | null {
    if (isAlias(node)) return this.#alias(node.source, node.range?.[0] ?? fallback, path);
    const typed = node as YamlNode;
    const before = this.#nodes;
    if (++this.#nodes > this.#limits.nodes) return this.#tooMany(fallback, path);
    const anchor = typed?.anchor;
    if (anchor !== undefined) this.#anchors.set(anchor, { node: null, size: 0 });
    const made = this.#collectionOrScalar(typed, path, fallback);
    if (anchor !== undefined && made) this.#anchors.set(anchor, { node: made, size: this.#nodes - before });
    return made;
  }

  #collectionOrScalar(node: YamlNode, path: Path | null, fallback: number): Node | null {
    const offset = node?.range?.[0] ?? fallback;
    if (node === null) return scalar({ source: this.#source, offset }, null);
    const tag = this.#tag(node.tag, offset, path);
    if (tag === null) return null;
    if (isMap(node)) return this.#map(node, offset, path, tag);
    if (isSeq(node)) {
      const items: Node[] = [];
      for (const [index, item] of node.items.entries()) {
        const made = this.#node(item, step(path, index), offset);
        if (made) items.push(made);
      }
      return { kind: 'seq', items, source: this.#source, offset, ...(tag === undefined ? {} : { tag }) };
    }
    return isScalar(node) ? this.#scalar(node, offset, path, tag) : null;
  }

  #scalar(node: YamlScalar, offset: number, path: Path | null, tag: MergeTag | undefined): ScalarNode | null {
    const plain = node.type === 'PLAIN' || node.type === undefined;
    const quoted = node.type === 'QUOTE_DOUBLE' || node.type === 'QUOTE_SINGLE';
    const value = typeof node.value === 'bigint' ? Number(node.value) : node.value as ScalarNode['value'];
    const text = plain ? (node.source ?? '') : String(node.value as string);
    if (text.includes('\0')) return this.#fail(offset, path, 'the character U+0000 is not allowed');
    const inset = quoted ? 1 : plain ? 0 : -1;
    const literal = inset >= 0 && this.#source.text.startsWith(text, offset + inset);
    return {
      kind: 'scalar', value, text, plain: plain && !node.tag, source: this.#source, offset,
      ...(literal ? { inset } : {}), ...(tag === undefined ? {} : { tag }),
    };
  }

  #map(node: YAMLMap, offset: number, path: Path | null, tag: MergeTag | undefined): MapNode {
    const entries = new Map<string, Entry>();
    const merges: { readonly pair: Pair; readonly offset: number }[] = [];
    for (const pair of node.items) {
      const at = keyOffset(pair) ?? offset;
      if (!isScalar(pair.key)) {
        this.#fail(at, path, 'a key must be a plain word', isAlias(pair.key) ? 'write the key out' : 'quote values that begin with { or [');
        continue;
      }
      const plain = pair.key.type === 'PLAIN';
      const key = plain ? (pair.key.source ?? '') : String(pair.key.value);
      if (plain && key === '<<') {
        merges.push({ pair, offset: at });
        continue;
      }
      if (key === '' && plain) {
        this.#fail(at, path, 'the key is missing before the colon');
        continue;
      }
      const value = this.#node(pair.value, step(path, key), at);
      const earlier = entries.get(key);
      if (earlier) {
        const first = this.#source.position(earlier.key.offset);
        this.#fail(at, step(path, key), `the key ${nameOf(step(path, key))} is given twice`, `the first one is on line ${first.line}`);
      } else if (value) entries.set(key, { key: { source: this.#source, offset: at }, value });
    }
    for (const merge of merges) this.#merge(entries, merge.pair.value, merge.offset, path);
    return { kind: 'map', entries, source: this.#source, offset, ...(tag === undefined ? {} : { tag }) };
  }

  /** `<<: *base` and `<<: [*a, *b]`: own keys win, then the earlier of the merged ones. */
  #merge(entries: Map<string, Entry>, value: unknown, offset: number, path: Path | null): void {
    const node = this.#node(value, step(path, '<<'), offset);
    if (!node) return;
    for (const source of node.kind === 'seq' ? node.items : [node]) {
      if (source.kind !== 'map') {
        this.#fail(offset, step(path, '<<'), `<< merges mappings only, and ${path ? `in ${nameOf(path)} ` : ''}there is something else`);
        return;
      }
      this.#nodes += source.entries.size;
      for (const [key, entry] of source.entries) if (!entries.has(key)) entries.set(key, entry);
    }
  }

  #alias(name: string, offset: number, path: Path | null): Node | null {
    if (++this.#aliases > this.#limits.aliases) {
      this.broken = true;
      if (this.#aliases === this.#limits.aliases + 1) this.#fail(offset, path, `more than ${this.#limits.aliases} aliases, the limit`);
      return null;
    }
    const anchor = this.#anchors.get(name);
    if (!anchor) return this.#fail(offset, path, `no anchor &${name} before this alias`);
    if (!anchor.node) return this.#fail(offset, path, `*${name} stands inside what &${name} names`);
    this.#nodes += anchor.size;
    return this.#nodes > this.#limits.nodes ? this.#tooMany(offset, path) : anchor.node;
  }

  /** undefined: none that matters; null: refused. */
  #tag(tag: string | undefined, offset: number, path: Path | null): MergeTag | undefined | null {
    if (tag === undefined || tag === '!') return undefined;
    if (tag === '!reset' || tag === '!override') return tag === '!reset' ? 'reset' : 'override';
    if (/^tag:yaml\.org,2002:(str|int|float|bool|null|map|seq)$/.test(tag)) return undefined;
    this.#fail(offset, path, `the tag ${tag.replace('tag:yaml.org,2002:', '!!')} has no meaning here`, 'the tags are !reset and !override');
    return null;
  }

  #tooMany(offset: number, path: Path | null): null {
    if (this.#nodes < Number.MAX_SAFE_INTEGER) this.#fail(offset, path, `more than ${this.#limits.nodes} values with aliases unfolded, the limit`);
    this.#nodes = Number.MAX_SAFE_INTEGER;
    this.broken = true;
    return null;
  }

  #fail(offset: number, path: Path | null, message: string, hint?: string): null {
    this.#sink.error({ source: this.#source, offset }, path, message, hint);
    return null;
  }
}

function keyOffset(pair: Pair): number | undefined {
  const key = pair.key;
  return isScalar(key) || isMap(key) || isSeq(key) || isAlias(key) ? key.range?.[0] : undefined;
}

/** The library's sentences, without its trailing advice about API options. */
function describe(message: string): string {
  const first = message.split('\n')[0] ?? message;
  return first.charAt(0).toLowerCase() + first.slice(1).replace(/:$/, '');
}

function hintFor(code: string, source: Source, offset: number): string | undefined {
  const { line } = source.position(offset);
  if (code === 'TAB_AS_INDENT' || source.line(line).startsWith('\t')) return 'YAML indents with spaces, not tabs';
  if (code === 'BAD_INDENT') return 'check the indentation of this line and the one above';
  if (code === 'MULTILINE_IMPLICIT_KEY' || code === 'BLOCK_AS_IMPLICIT_KEY') return 'a colon is missing on the line above, or a value needs quotes';
  if (code === 'MISSING_CHAR') return 'a bracket, quote or colon is not closed or missing';
  return undefined;
}
