/**
 * A reader for the YAML that stack files are mostly made of: block mappings and lists, one-line scalars and flow collections,
 * literal blocks, comments. Everything else (anchors, tags, folded and multi-line scalars, documents, tabs) and everything that
 * might be wrong makes it give up, and the `yaml` package reads the file. It takes a tenth of the time; that both make the
 * same trees is tested on generated and on real files.
 */
import type { Limits } from './limits.ts';
import { plainValue } from './plain.ts';
import type { Source } from './source.ts';
import type { Entry, MapNode, Node, ScalarNode, SeqNode } from './tree.ts';

/** The only document of the file; null when this reader gives up. */
export function parseQuick(source: Source, limits: Limits): Node | null {
  if (/[\t\r\u0085\u2028\u2029\ufeff]/.test(source.text)) return null;
  try {
    return new QuickReader(source, limits).document();
  } catch (error) {
    if (error === gaveUp) return null;
    throw error;
  }
}

/** Thrown and caught here alone: it unwinds the recursion at no cost for the files that are read. */
const gaveUp = new Error('not for this reader');

const space = 0x20;
const newline = 0x0a;
const hash = 0x23;
const colon = 0x3a;
const dash = 0x2d;
const comma = 0x2c;
const doubleQuote = 0x22;
const singleQuote = 0x27;
const openList = 0x5b;
const closeList = 0x5d;
const openMap = 0x7b;
const closeMap = 0x7d;

/** Characters that no plain scalar begins with. */
const indicators = new Set(Array.from(',[]{}#&*!|>\'"%@`', (character) => character.charCodeAt(0)));

/** Only spaces: YAML keeps other blanks. */
function trimSpaces(text: string): string {
  let end = text.length;
  while (end > 0 && text.charCodeAt(end - 1) === space) end -= 1;
  return end === text.length ? text : text.slice(0, end);
}

class QuickReader {
  readonly #source: Source;
  readonly #text: string;
  readonly #limits: Limits;
  #nodes = 0;
  #depth = 0;
  /** Scalars with a dollar so far. */
  #dollars = 0;
  readonly #keys = new Map<string, string>();
  /** The line that is read next: where it starts, how far its content is indented, where the content is. -1: the end. */
  #lineStart = 0;
  #indent = 0;
  #at = 0;

  constructor(source: Source, limits: Limits) {
    this.#source = source;
    this.#text = source.text;
    this.#limits = limits;
  }

  document(): Node {
    this.#nextLine(0);
    if (this.#indent !== 0 || this.#isDash(this.#at)) throw gaveUp;
    const node = this.#map(0);
    if (this.#indent >= 0) throw gaveUp;
    return node;
  }

  /** To the next line with content, from `start`, the beginning of one. */
  #nextLine(start: number): void {
    const text = this.#text;
    for (let at = start; ;) {
      let content = at;
      while (text.charCodeAt(content) === space) content += 1;
      const code = text.charCodeAt(content);
      if (content >= text.length) {
        this.#indent = -1;
        this.#at = content;
        return;
      }
      if (code !== newline && code !== hash) {
        this.#lineStart = at;
        this.#indent = content - at;
        this.#at = content;
        // Directives and the marks between documents.
        if (content === at && (code === 0x25 || text.startsWith('---', at) || text.startsWith('...', at))) throw gaveUp;
        return;
      }
      at = this.#lineEnd(content) + 1;
    }
  }

  #lineEnd(from: number): number {
    const end = this.#text.indexOf('\n', from);
    return end < 0 ? this.#text.length : end;
  }

  #isDash(at: number): boolean {
    return this.#text.charCodeAt(at) === dash && this.#isBreak(at + 1);
  }

  /** A space, a line's end or the text's. */
  #isBreak(at: number): boolean {
    const code = this.#text.charCodeAt(at);
    return code === space || code === newline || at >= this.#text.length;
  }

  #block(): Node {
    return this.#isDash(this.#at) ? this.#list(this.#indent) : this.#map(this.#indent);
  }

  #enter(): void {
    this.#depth += 1;
    this.#nodes += 1;
    if (this.#depth > this.#limits.depth || this.#nodes > this.#limits.nodes) throw gaveUp;
  }

  #map(indent: number): MapNode {
    this.#enter();
    const offset = this.#at;
    const dollars = this.#dollars;
    const entries = new Map<string, Entry>();
    while (this.#indent === indent && !this.#isDash(this.#at)) {
      const at = this.#at;
      const key = this.#key();
      if (entries.has(key)) throw gaveUp;
      const value = this.#valueAfter(this.#at, indent, true);
      entries.set(key, { key: { source: this.#source, offset: at }, value });
    }
    if (this.#indent >= indent) throw gaveUp;
    this.#depth -= 1;
    return { kind: 'map', entries, source: this.#source, offset, still: dollars === this.#dollars };
  }

  #list(indent: number): SeqNode {
    this.#enter();
    const offset = this.#at;
    const dollars = this.#dollars;
    const items: Node[] = [];
    while (this.#indent === indent && this.#isDash(this.#at)) {
      let at = this.#at + 1;
      while (this.#text.charCodeAt(at) === space) at += 1;
      if (this.#isDash(at) || this.#startsKey(at)) {
        // `- a: 1` and `- - x`: what follows is a block that begins in this line.
        this.#indent = at - this.#lineStart;
        this.#at = at;
        items.push(this.#block());
      } else items.push(this.#valueAfter(this.#at + 1, indent, false));
    }
    if (this.#indent > indent) throw gaveUp;
    this.#depth -= 1;
    return { kind: 'seq', items, source: this.#source, offset, still: dollars === this.#dollars };
  }

  /** Whether `KEY:` stands at `at`. */
  #startsKey(at: number): boolean {
    const code = this.#text.charCodeAt(at);
    if (code === newline || at >= this.#text.length || code === hash) return false;
    if (code === doubleQuote || code === singleQuote) {
      let end = this.#quoteEnd(at) + 1;
      while (this.#text.charCodeAt(end) === space) end += 1;
      return this.#text.charCodeAt(end) === colon && this.#isBreak(end + 1);
    }
    return !indicators.has(code) && this.#keyEnd(at) >= 0;
  }

  /** Where the colon of a plain key is, -1 when the line has none. */
  #keyEnd(from: number): number {
    // Searches stay in the line: one that runs to the end of the file for every line would be quadratic.
    const line = this.#text.slice(from, this.#lineEnd(from));
    for (let at = line.indexOf(':'); at >= 0; at = line.indexOf(':', at + 1)) {
      if (at + 1 < line.length && line.charCodeAt(at + 1) !== space) continue;
      const remark = line.indexOf(' #');
      return remark >= 0 && remark < at ? -1 : from + at;
    }
    return -1;
  }

  /** Reads the key at the cursor and leaves the cursor behind its colon. */
  #key(): string {
    const text = this.#text;
    const start = this.#at;
    const code = text.charCodeAt(start);
    let key: string;
    let end: number;
    if (code === doubleQuote || code === singleQuote) {
      const close = this.#quoteEnd(start);
      key = this.#quoted(start, close);
      end = close + 1;
      while (text.charCodeAt(end) === space) end += 1;
      if (text.charCodeAt(end) !== colon || !this.#isBreak(end + 1)) throw gaveUp;
    } else {
      // `? key` and keys that begin with a colon or dash are left to the other.
      if (indicators.has(code) || code === 0x3f || code === colon || code === dash) throw gaveUp;
      end = this.#keyEnd(start);
      if (end < 0) throw gaveUp;
      key = this.#intern(trimSpaces(text.slice(start, end)));
      if (key === '<<') throw gaveUp;
    }
    if (end - start > 1000 || key.includes('\0')) throw gaveUp;
    this.#at = end + 1;
    return key;
  }

  /** One string for all keys that read alike: what looks them up later need not hash them again. */
  #intern(key: string): string {
    const known = this.#keys.get(key);
    if (known !== undefined) return known;
    this.#keys.set(key, key);
    return key;
  }

  /** The value behind a colon or dash that ends at `from`; the cursor goes to the next line. */
  #valueAfter(from: number, indent: number, inMap: boolean): Node {
    const text = this.#text;
    let at = from;
    while (text.charCodeAt(at) === space) at += 1;
    const code = text.charCodeAt(at);
    if (code === newline || at >= text.length || code === hash) {
      if (code === hash && at === from) throw gaveUp;
      this.#nextLine(this.#lineEnd(at) + 1);
      const nested = this.#indent > indent || (inMap && this.#indent === indent && this.#isDash(this.#at));
      return nested ? this.#block() : this.#scalar(at, '', null, true, 0);
    }
    let node: Node;
    if (code === openList || code === openMap) {
      node = this.#flow(at);
      this.#endOfValue(this.#at);
    } else if (code === doubleQuote || code === singleQuote) {
      const close = this.#quoteEnd(at);
      node = this.#quotedScalar(at, close);
      this.#endOfValue(close + 1);
    } else if (code === 0x7c) return this.#literal(at, indent);
    else node = this.#plain(at);
    this.#nextLine(this.#lineEnd(this.#at) + 1);
    // A line further in would go on with the scalar, or be wrong.
    if (this.#indent > indent) throw gaveUp;
    return node;
  }

  /** Only a comment may follow a value that has an end of its own. */
  #endOfValue(from: number): void {
    let at = from;
    while (this.#text.charCodeAt(at) === space) at += 1;
    const code = this.#text.charCodeAt(at);
    if (at < this.#text.length && code !== newline && !(code === hash && at > from)) throw gaveUp;
    this.#at = at;
  }

  #plain(start: number): ScalarNode {
    const text = this.#text;
    const code = text.charCodeAt(start);
    if (indicators.has(code) || ((code === dash || code === 0x3f || code === colon) && this.#isBreak(start + 1))) throw gaveUp;
    const line = text.slice(start, this.#lineEnd(start));
    const remark = line.indexOf(' #');
    const value = trimSpaces(remark < 0 ? line : line.slice(0, remark));
    if (value.includes(': ') || value.endsWith(':')) throw gaveUp;
    this.#at = start + value.length;
    return this.#scalar(start, value, plainValue(value), true, 0);
  }

  #scalar(offset: number, text: string, value: ScalarNode['value'], plain: boolean, inset: number | null): ScalarNode {
    if (++this.#nodes > this.#limits.nodes) throw gaveUp;
    if (text.includes('$')) this.#dollars += 1;
    return inset === null ? { kind: 'scalar', value, text, plain, source: this.#source, offset } : { kind: 'scalar', value, text, plain, source: this.#source, offset, inset };
  }

  #quotedScalar(open: number, close: number): ScalarNode {
    const value = this.#quoted(open, close);
    return this.#scalar(open, value, value, false, this.#text.startsWith(value, open + 1) ? 1 : null);
  }

  /** The closing quote, in the same line. */
  #quoteEnd(open: number): number {
    const text = this.#text;
    const quote = text.charCodeAt(open);
    for (let at = open + 1; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === newline) throw gaveUp;
      if (code === 0x5c && quote === doubleQuote) at += 1;
      else if (code === quote) {
        if (quote === doubleQuote || text.charCodeAt(at + 1) !== singleQuote) return at;
        at += 1;
      }
    }
    throw gaveUp;
  }

  #quoted(open: number, close: number): string {
    const inner = this.#text.slice(open + 1, close);
    if (this.#text.charCodeAt(open) === singleQuote) return inner.includes("'") ? inner.replaceAll("''", "'") : inner;
    if (!inner.includes('\\')) return inner;
    // The escapes that JSON and YAML have in common.
    if (inner.replace(/\\["\\nt]/g, '').includes('\\')) throw gaveUp;
    return JSON.parse(this.#text.slice(open, close + 1)) as string;
  }

  /** A flow collection in one line; the cursor goes behind it. */
  #flow(start: number): Node {
    this.#enter();
    const isList = this.#text.charCodeAt(start) === openList;
    const dollars = this.#dollars;
    const close = isList ? closeList : closeMap;
    const items: Node[] = [];
    const entries = new Map<string, Entry>();
    let at = this.#skip(start + 1);
    while (this.#text.charCodeAt(at) !== close) {
      if (isList) {
        items.push(this.#flowItem(at));
        // `[a: b]` is a list of a mapping.
        if (this.#text.charCodeAt(this.#skip(this.#at)) === colon) throw gaveUp;
      } else {
        const key = this.#flowItem(at);
        if (key.kind !== 'scalar' || (key.plain && (key.text === '<<' || key.text === ''))) throw gaveUp;
        const mark = this.#skip(this.#at);
        if (this.#text.charCodeAt(mark) !== colon || this.#text.charCodeAt(mark + 1) !== space || entries.has(key.text)) throw gaveUp;
        this.#nodes -= 1;
        const value = this.#flowItem(this.#skip(mark + 1));
        entries.set(key.text, { key: { source: this.#source, offset: at }, value });
      }
      at = this.#skip(this.#at);
      const code = this.#text.charCodeAt(at);
      if (code === comma) at = this.#skip(at + 1);
      else if (code !== close) throw gaveUp;
    }
    this.#at = at + 1;
    this.#depth -= 1;
    const still = dollars === this.#dollars;
    return isList ? { kind: 'seq', items, source: this.#source, offset: start, still } : { kind: 'map', entries, source: this.#source, offset: start, still };
  }

  #flowItem(start: number): Node {
    const text = this.#text;
    const code = text.charCodeAt(start);
    if (code === openList || code === openMap) return this.#flow(start);
    if (code === doubleQuote || code === singleQuote) {
      const close = this.#quoteEnd(start);
      this.#at = close + 1;
      return this.#quotedScalar(start, close);
    }
    if (indicators.has(code) || ((code === dash || code === 0x3f || code === colon) && !this.#isFlowWord(start + 1))) throw gaveUp;
    let end = start;
    for (; ; end++) {
      const current = text.charCodeAt(end);
      if (current === comma || current === closeList || current === closeMap) break;
      if (end >= text.length || current === newline || current === openList || current === openMap || (current === hash && text.charCodeAt(end - 1) === space)) throw gaveUp;
      if (current === colon && !this.#isFlowWord(end + 1)) break;
    }
    while (text.charCodeAt(end - 1) === space) end -= 1;
    this.#at = end;
    const value = text.slice(start, end);
    return this.#scalar(start, value, plainValue(value), true, 0);
  }

  /** Whether a plain scalar goes on here. */
  #isFlowWord(at: number): boolean {
    const code = this.#text.charCodeAt(at);
    return !this.#isBreak(at) && code !== comma && code !== closeList && code !== closeMap && code !== openList && code !== openMap;
  }

  #skip(from: number): number {
    let at = from;
    while (this.#text.charCodeAt(at) === space) at += 1;
    return at;
  }

  /** `|` and `|-`: the lines as they are, without their common indentation. */
  #literal(start: number, indent: number): ScalarNode {
    const text = this.#text;
    const headEnd = this.#lineEnd(start);
    const head = trimSpaces(text.slice(start, headEnd));
    if (head !== '|' && head !== '|-') throw gaveUp;
    const lines: string[] = [];
    let width = -1;
    let at = headEnd + 1;
    while (at < text.length) {
      const end = this.#lineEnd(at);
      let content = at;
      while (text.charCodeAt(content) === space) content += 1;
      if (content >= end) {
        // A line of spaces alone: before the first text its width would matter.
        if (width < 0 && content > at) throw gaveUp;
        lines.push(width < 0 ? '' : text.slice(Math.min(at + width, end), end));
      } else {
        if (width < 0 && content - at > indent) width = content - at;
        if (width < 0 || content - at <= indent) break;
        if (content - at < width) throw gaveUp;
        lines.push(text.slice(at + width, end));
      }
      at = end + 1;
    }
    if (width < 0) throw gaveUp;
    // Only lines that are empty to the last space fall away at the end.
    while (lines.at(-1) === '') lines.pop();
    if (/^ +$/.test(lines.at(-1) ?? '')) throw gaveUp;
    const value = lines.join('\n') + (head === '|' ? '\n' : '');
    this.#nextLine(at);
    return this.#scalar(start, value, value, false, null);
  }
}
