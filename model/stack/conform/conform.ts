/**
 * Tree → tree in long syntax, checked against the table: unknown keys, wrong types, short forms. Done for each file before
 * merging, so that a mistake is shown where it was made. What is wrong is null in the result.
 */
import { nameOf, step, type Path } from '../path.ts';
import { isNull, mapOf, scalar, type Entry, type MapNode, type Node, type ScalarNode, type SeqNode } from '../parse/tree.ts';
import type { Field, ObjectShape, Shape, ShapeContext } from '../schema/shape.ts';
import { shellWords } from '../schema/short/probes.ts';
import { splitWords } from '../values/words.ts';
import { isAddress } from '../values/address.ts';
import { conformScalar, quote, textOf } from './scalars.ts';
import { misspelt, unknownKey } from './unknown.ts';

/** Null when nothing of the node can be used. */
export function conform(node: Node, shape: Shape, path: Path | null, context: ShapeContext): Node | null {
  // What is reset need not be right: it goes away.
  if (node.tag === 'reset') return node;
  switch (shape.kind) {
    case 'any': return node;
    case 'string': case 'enum': case 'bool': case 'int': case 'number': case 'duration': case 'micros': case 'bytes': case 'mode':
      if (node.kind !== 'scalar') return wrong(node, path, context, 'a single value');
      return isNull(node) ? empty(node, path, context) : conformScalar(node, shape, path, context);
    case 'list': return conformList(node, shape, path, context);
    case 'words': return conformWords(node, shape.shell === true, path, context);
    case 'tuple': return conformTuple(node, path, context);
    case 'test': return conformTest(node, path, context);
    case 'pairs': return conformPairs(node, shape, path, context);
    case 'hosts': return conformHosts(node, path, context);
    case 'map': return conformMap(node, shape, path, context);
    case 'object': return conformObject(node, shape, path, context);
    case 'short': {
      if (node.kind === 'seq' && shape.list) return tagged(conform(shape.list(node), shape.of, path, context), node);
      if (node.kind !== 'scalar' || isNull(node)) return conformObject(node, shape.of, path, context);
      const [made] = shape.expand(node, path, context) ?? [];
      return made === undefined ? null : tagged(conform(made, shape.of, path, context), node);
    }
  }
}

export function conformObject(node: Node, shape: ObjectShape, path: Path | null, context: ShapeContext): Node | null {
  if (isNull(node)) return shape.nullable === true ? mapOf(node, new Map(), node.tag) : empty(node, path, context);
  if (node.kind !== 'map') return wrong(node, path, context, 'a mapping');
  const fields = fieldsOf(shape);
  // Most objects are in long syntax already: they are copied only when something in them changes.
  let entries: Map<string, Entry> | undefined;
  for (const [key, entry] of node.entries) {
    const field = fields.get(key);
    if (field) {
      const made = conform(entry.value, field.shape, step(path, key), context);
      if (made === entry.value) entries?.set(key, entry);
      else if (field.shape.kind === 'enum' && made && isNull(made)) entries ??= before(node, key);
      else add((entries ??= before(node, key)), key, entry, made);
    } else if (key.startsWith('x-')) {
      entries?.set(key, entry);
      misspelt(key, entry, shape, path, context.sink);
    } else {
      entries ??= before(node, key);
      unknownKey(key, entry, shape, path, context.sink);
    }
  }
  for (const key of shape.required ?? []) {
    if (!node.entries.has(key)) context.sink.error(node, path, `${nameOf(path)} lacks ${key}`);
  }
  const made = entries ? mapOf(node, entries, node.tag) : node;
  return shape.finish ? shape.finish(made, context) : made;
}

/** The table as a map: faster than an object, and without a prototype. */
export function fieldsOf(shape: ObjectShape): ReadonlyMap<string, Field> {
  let made = maps.get(shape);
  if (!made) maps.set(shape, (made = new Map(Object.entries(shape.keys))));
  return made;
}

const maps = new WeakMap<ObjectShape, ReadonlyMap<string, Field>>();

/** The entries up to a key. */
function before(node: MapNode, until: string): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  for (const [key, entry] of node.entries) {
    if (key === until) break;
    entries.set(key, entry);
  }
  return entries;
}

function conformMap(node: Node, shape: Extract<Shape, { kind: 'map' }>, path: Path | null, context: ShapeContext): Node | null {
  if (isNull(node)) return mapOf(node, new Map(), node.tag);
  const entries = new Map<string, Entry>();
  if (node.kind === 'seq' && shape.listed) {
    for (const [index, item] of node.items.entries()) {
      if (item.kind !== 'scalar' || isNull(item)) wrong(item, step(path, index), context, 'a name');
      else if (entries.has(textOf(item))) context.sink.error(item, step(path, index), `${quote(textOf(item))} is listed twice`);
      else add(entries, textOf(item), { key: item, value: item }, conform(shape.listed(item), shape.of, step(path, index), context));
    }
    return mapOf(node, entries, node.tag);
  }
  if (node.kind !== 'map') return wrong(node, path, context, shape.listed ? 'a list of names or a mapping' : 'a mapping');
  if (shape.most !== undefined && node.entries.size > shape.most) {
    context.sink.error(node, path, `${node.entries.size} ${nameOf(path)} are more than ${shape.most}, the limit for one stack`, 'make several stacks of it');
    return null;
  }
  for (const [key, entry] of node.entries) {
    const below = step(path, key);
    if (key.startsWith('x-') && entry.value.kind !== 'map') continue;
    if (shape.name && !shape.name.test(key)) context.sink.error(entry.key, below, `${quote(key)} is not a proper name`, 'names are made of letters, digits, . _ -');
    else add(entries, key, entry, conform(entry.value, shape.of, below, context));
  }
  return mapOf(node, entries, node.tag);
}

function conformList(node: Node, shape: Extract<Shape, { kind: 'list' }>, path: Path | null, context: ShapeContext): Node | null {
  if (isNull(node)) return empty(node, path, context);
  if (node.kind === 'map' && shape.pairs !== undefined) return conformList(asList(node, shape.pairs), { kind: 'list', of: shape.of, ...(shape.entry ? { entry: shape.entry } : {}) }, path, context);
  if (node.kind === 'map' || (node.kind === 'scalar' && shape.single !== true)) {
    const single = node.kind === 'map' && shape.single === true && shape.of.kind === 'object';
    if (!single) return wrong(node, path, context, 'a list');
  }
  const source = node.kind === 'seq' ? node.items : [node];
  if (node.kind === 'seq' && shape.of.kind === 'string' && shape.of.path !== true && shape.of.pattern === undefined && !shape.entry && source.every(isText)) return node;
  const items: Node[] = [];
  for (const [index, item] of source.entries()) {
    const below = node.kind === 'seq' ? step(path, index) : path;
    if (isNull(item)) {
      context.sink.error(item, below, `the entry ${nameOf(below)} is empty`, 'remove the dash, or write ""');
      items.push(item);
      continue;
    }
    const expanded = item.kind === 'scalar' && shape.entry ? shape.entry(item, below, context) : [item];
    for (const one of expanded ?? []) {
      // A wrong item leaves a hole, so that the others keep their numbers.
      items.push(conform(one, shape.of, below, context) ?? scalar(item, null));
    }
    if (!expanded) items.push(scalar(item, null));
  }
  const kept = shape.merge?.kind === 'unique' && items.length > 1 ? lastOfEach(items, shape.merge.key, path, context) : items;
  const { inset: _, ...mark } = { inset: 0, ...node };
  return { kind: 'seq', items: kept, source: mark.source, offset: mark.offset, ...(node.tag === undefined ? {} : { tag: node.tag }) };
}

/** Within a file as between files: of two entries for the same thing the later one counts. */
function lastOfEach(items: readonly Node[], key: (item: Node) => string, path: Path | null, { sink }: ShapeContext): readonly Node[] {
  const last = new Map<string, Node>();
  let twice = false;
  for (const item of items) {
    const id = isNull(item) ? '' : key(item);
    if (id !== '' && last.has(id)) {
      twice = true;
      sink.warn(item, path, `${nameOf(path)} has two entries for ${quote(id.trim())}; the last one counts`, 'remove the other');
    }
    last.set(id === '' ? `\0${last.size}` : id, item);
  }
  return twice ? [...last.values()] : items;
}

/** A string as it is, which a list of strings takes unseen. */
function isText(node: Node): boolean {
  return node.kind === 'scalar' && typeof node.value === 'string' && node.value === node.text;
}

/** `{ type: frontend }` as `[type==frontend]`. */
function asList(node: MapNode, between: string): SeqNode {
  const items = [...node.entries].map(([key, { value }]) => (value.kind === 'scalar' && !isNull(value) ? scalar(value, `${key}${between}${textOf(value)}`) : value));
  return { kind: 'seq', items, source: node.source, offset: node.offset, ...(node.tag === undefined ? {} : { tag: node.tag }) };
}

function conformWords(node: Node, shell: boolean, path: Path | null, context: ShapeContext): Node | null {
  if (isNull(node)) return null;
  if (node.kind === 'seq') return conformList(node, { kind: 'list', of: { kind: 'string' } }, path, context);
  if (node.kind !== 'scalar') return wrong(node, path, context, 'a string or a list');
  if (shell) return tagged(shellWords(node, textOf(node)), node);
  const result = splitWords(textOf(node));
  if ('error' in result) {
    context.sink.error(node, path, `${nameOf(path)}: ${result.error}`, 'write the command as a list, or close the quote');
    return null;
  }
  return words(node, result.words);
}

function conformTuple(node: Node, path: Path | null, context: ShapeContext): Node | null {
  if (node.kind === 'seq') return conformList(node, { kind: 'list', of: { kind: 'string' } }, path, context);
  if (node.kind !== 'scalar' || isNull(node)) return wrong(node, path, context, 'FIELD:OPERATOR[:VALUE] or a list of these words');
  const text = textOf(node);
  const first = text.indexOf(':');
  const second = first < 0 ? -1 : text.indexOf(':', first + 1);
  const ends = [first, second].filter((at) => at >= 0);
  const items = [0, ...ends.map((at) => at + 1)].map((from, index) => part(node, from, ends[index]));
  return { kind: 'seq', items, source: node.source, offset: node.offset, ...(node.tag === undefined ? {} : { tag: node.tag }) };
}

function conformTest(node: Node, path: Path | null, context: ShapeContext): Node | null {
  if (isNull(node)) return null;
  if (node.kind === 'scalar') return words(node, ['CMD-SHELL', textOf(node)]);
  const made = conformList(node, { kind: 'list', of: { kind: 'string' } }, path, context);
  const first = made?.kind === 'seq' ? made.items[0] : undefined;
  if (first?.kind === 'scalar' && !['NONE', 'CMD', 'CMD-SHELL'].includes(first.text)) {
    context.sink.error(first, path, `a test begins with CMD, CMD-SHELL or NONE, not ${quote(first.text)}`, 'put "CMD" before it');
    return null;
  }
  if (made?.kind === 'seq' && first?.kind === 'scalar' && first.text !== 'NONE' && (first.text === 'CMD' ? made.items.length < 2 : made.items.length !== 2)) {
    context.sink.error(first, path, first.text === 'CMD' ? 'CMD needs a command' : 'CMD-SHELL needs exactly one string');
    return null;
  }
  return made;
}

function conformPairs(node: Node, shape: Extract<Shape, { kind: 'pairs' }>, path: Path | null, context: ShapeContext): Node | null {
  if (isNull(node)) return empty(node, path, context);
  const entries = new Map<string, Entry>();
  const bare = (at: Node, below: Path, key: string): Node | null => {
    if (shape.bare === 'error') {
      context.sink.error(at, below, `${quote(key)} has no value`, 'write KEY=VALUE');
      return null;
    }
    return scalar(at, shape.bare === 'null' ? null : '');
  };
  if (node.kind === 'seq') {
    for (const [index, item] of node.items.entries()) {
      const below = step(path, index);
      if (item.kind !== 'scalar' || isNull(item)) {
        wrong(item, below, context, 'KEY=VALUE');
        continue;
      }
      const text = textOf(item);
      const equals = text.indexOf('=');
      const key = equals < 0 ? text : text.slice(0, equals);
      if (key.trim() === '') context.sink.error(item, below, `the key before = is missing in ${nameOf(below)}`);
      else add(entries, key, { key: item, value: item }, equals < 0 ? bare(item, below, key) : part(item, equals + 1));
    }
    return mapOf(node, entries, node.tag);
  }
  if (node.kind !== 'map') return wrong(node, path, context, 'a mapping or a list of KEY=VALUE');
  for (const [key, entry] of node.entries) {
    const { value } = entry;
    if (isText(value)) {
      entries.set(key, entry);
      continue;
    }
    const below = step(path, key);
    if (value.tag === 'reset') entries.set(key, entry);
    else if (value.kind !== 'scalar') wrong(value, below, context, 'a single value');
    else add(entries, key, entry, isNull(value) ? bare(value, below, key) : conformScalar(value, { kind: 'string' }, below, context));
  }
  return mapOf(node, entries, node.tag);
}

/** `host=ip`, `host:ip`, or host → ip or ips. */
function conformHosts(node: Node, path: Path | null, context: ShapeContext): Node | null {
  if (isNull(node)) return empty(node, path, context);
  const hosts = new Map<string, { readonly key: Entry['key']; readonly addresses: ScalarNode[] }>();
  const put = (host: string, at: Node, address: ScalarNode, below: Path): void => {
    const text = address.text.replace(/^\[(.*)\]$/, '$1').trim();
    if (text !== 'host-gateway' && !isAddress(text)) context.sink.error(address, below, `${nameOf(below)}: ${quote(text)} is no IP address`);
    else if (host.trim() === '') context.sink.error(at, below, `the host name is missing in ${nameOf(below)}`);
    else {
      const known = hosts.get(host) ?? { key: at, addresses: [] };
      known.addresses.push(scalar(address, text));
      hosts.set(host, known);
    }
  };
  if (node.kind === 'seq') {
    for (const [index, item] of node.items.entries()) {
      const below = step(path, index);
      const split = item.kind === 'scalar' ? /[=:]/.exec(item.text) : null;
      if (item.kind !== 'scalar' || !split) wrong(item, below, context, 'HOST=ADDRESS');
      else put(item.text.slice(0, split.index), item, part(item, split.index + 1), below);
    }
  } else if (node.kind === 'map') {
    for (const [host, entry] of node.entries) {
      for (const address of entry.value.kind === 'seq' ? entry.value.items : [entry.value]) {
        if (address.kind !== 'scalar' || isNull(address)) wrong(address, step(path, host), context, 'an address');
        else put(host, address, address, step(path, host));
      }
    }
  } else return wrong(node, path, context, 'a mapping or a list of HOST=ADDRESS');
  return mapOf(node, new Map([...hosts].map(([host, { key, addresses }]): [string, Entry] => {
    const list: SeqNode = { kind: 'seq', items: addresses, source: key.source, offset: key.offset };
    return [host, { key, value: list }];
  })), node.tag);
}

/** A part of a scalar's text, the rest of it unless `to` says otherwise, with its place. */
function part(node: ScalarNode, from: number, to?: number): ScalarNode {
  const text = textOf(node).slice(from, to);
  return node.inset === undefined ? scalar(node, text) : { ...scalar({ source: node.source, offset: node.offset + node.inset + from }, text), inset: 0 };
}

function words(node: ScalarNode, list: readonly string[]): Node {
  const items = list.map((word) => scalar(node, word));
  return { kind: 'seq', items, source: node.source, offset: node.offset, ...(node.tag === undefined ? {} : { tag: node.tag }) };
}

/** A wrong value leaves a hole behind its key, so that nobody complains later that the key is missing. */
function add(entries: Map<string, Entry>, key: string, entry: Entry, value: Node | null): void {
  if (!value && !isNull(entry.value)) entries.set(key, { key: entry.key, value: scalar(entry.value, null) });
  else if (value) entries.set(key, { key: entry.key, value: tagged(value, entry.value) ?? value });
}

function tagged(node: Node | null, from: Node): Node | null {
  return node && from.tag !== undefined && node.tag === undefined ? { ...node, tag: from.tag } : node;
}

/** A key with nothing behind it asks for nothing; people leave such keys when they comment out what was below. */
function empty(node: Node, path: Path | null, context: ShapeContext): null {
  context.sink.warn(node, path, `${nameOf(path)} is empty; it is taken as absent`, 'remove the key');
  return null;
}

function wrong(node: Node, path: Path | null, context: ShapeContext, expected: string): null {
  const got = node.kind === 'map' ? 'a mapping' : node.kind === 'seq' ? 'a list' : isNull(node) ? 'nothing' : quote(node.text);
  context.sink.error(node, path, `${nameOf(path)} must be ${expected}, not ${got}`);
  return null;
}

