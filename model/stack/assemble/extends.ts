/** `extends`: a service takes what another one, here or in another file, has, and then says its own. */
import { step, type Path } from '../path.ts';
import { get, mapOf, type Entry, type MapNode, type Node } from '../parse/tree.ts';
import { merge } from '../merge/merge.ts';
import { service } from '../schema/service.ts';
import { didYouMean } from '../suggest.ts';
import { dirname } from '../values/paths.ts';
import { displayPath, readText, type FileContext } from './context.ts';
import { parseFile } from './read.ts';

const maxDepth = 64;

interface File {
  readonly path: string;
  readonly services: MapNode | null;
  readonly done: Map<string, Node | null>;
  readonly context: FileContext;
}

export function applyExtends(tree: MapNode, path: string, context: FileContext): MapNode {
  const services = get(tree, 'services');
  if (services?.kind !== 'map') return tree;
  if (![...services.entries.values()].some((entry) => get(entry.value, 'extends'))) return tree;
  const file: File = { path, services, done: new Map(), context };
  const resolver = new Resolver(context);
  const entries = new Map<string, Entry>();
  for (const [name, entry] of services.entries) {
    entries.set(name, { key: entry.key, value: resolver.resolve(file, name, []) ?? entry.value });
  }
  const all = new Map(tree.entries);
  const old = tree.entries.get('services');
  if (old) all.set('services', { key: old.key, value: mapOf(services, entries, services.tag) });
  return mapOf(tree, all, tree.tag);
}

class Resolver {
  readonly #context: FileContext;
  readonly #files = new Map<string, File | null>();

  constructor(context: FileContext) {
    this.#context = context;
  }

  /** The service with all that it extends; null when that cannot be had, and the sink knows. */
  resolve(file: File, name: string, chain: readonly string[]): Node | null {
    if (file.done.has(name)) return file.done.get(name) ?? null;
    const node = get(file.services ?? undefined, name);
    const extension = get(node, 'extends');
    if (!node || !extension || extension.tag === 'reset') return node ?? null;
    const path = step(step(step(null, 'services'), name), 'extends');
    const made = this.#extend(file, name, node, extension, path, [...chain, `${file.path} ${name}`]);
    file.done.set(name, made);
    return made;
  }

  #extend(file: File, name: string, node: Node, extension: Node, path: Path, chain: readonly string[]): Node | null {
    const { sink, budget } = this.#context.session;
    const reference = get(extension, 'service');
    if (node.kind !== 'map' || reference?.kind !== 'scalar') return null;
    const target = reference.text;
    const from = this.#file(file, extension, path);
    if (!from) return null;
    const id = `${from.path} ${target}`;
    if (chain.includes(id)) {
      const names = [...chain.slice(chain.indexOf(id)), id].map((link) => link.slice(link.lastIndexOf(' ') + 1));
      sink.error(reference, path, `services extend each other: ${names.join(' → ')}`);
      return null;
    }
    if (chain.length > maxDepth) {
      sink.error(reference, path, `extends goes deeper than ${maxDepth}, the limit`);
      return null;
    }
    if (!get(from.services ?? undefined, target)) {
      const where = from === file ? '' : ` in ${displayPath(this.#context.session, from.path)}`;
      sink.error(reference, path, `there is no service ${target}${where}`, didYouMean(target, from.services?.entries.keys() ?? []));
      return null;
    }
    const base = this.resolve(from, target, chain);
    if (base?.kind !== 'map') return null;
    // The base's own `extends` is done with; so is this one.
    const merged = merge(without(base, 'extends'), without(node, 'extends'), service, step(step(null, 'services'), name), { sink, budget, keepTags: true });
    return merged?.kind === 'map' ? merged : null;
  }

  #file(file: File, extension: Node, path: Path): File | null {
    const named = get(extension, 'file');
    if (named?.kind !== 'scalar' || named.text === file.path) return file;
    const known = this.#files.get(named.text);
    if (known !== undefined) return known;
    const made = this.#read(named.text, named, path);
    this.#files.set(named.text, made);
    return made;
  }

  #read(absolute: string, at: Node, path: Path): File | null {
    const { session } = this.#context;
    if (++session.filesRead.count > session.limits.files) {
      session.sink.error(at, path, `include and extends read more than ${session.limits.files} files, the limit`);
      return null;
    }
    const source = readText(session, absolute, at, path);
    if (!source) return null;
    const own = session.lookups.get(at.source);
    if (own) session.lookups.set(source, own);
    const context: FileContext = { ...this.#context, baseDir: dirname(absolute) };
    // Of several documents the last that has services counts.
    const services = parseFile(source, context)?.map((tree) => get(tree, 'services')).findLast((node) => node?.kind === 'map');
    return { path: absolute, services: services?.kind === 'map' ? services : null, done: new Map(), context };
  }
}

function without(node: MapNode, key: string): MapNode {
  if (!node.entries.has(key)) return node;
  const entries = new Map(node.entries);
  entries.delete(key);
  return mapOf(node, entries, node.tag);
}
