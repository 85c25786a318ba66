/** `include`: other stacks' services, networks, volumes, secrets and configs, read with their own directory and variables. */
import { parseDotenv } from '../interpolate/dotenv.ts';
import type { Source } from '../parse/source.ts';
import { get, mapOf, toJson, type Entry, type MapNode, type Node, type ScalarNode } from '../parse/tree.ts';
import { step, type Path } from '../path.ts';
import { dirname, resolvePath } from '../values/paths.ts';
import { readText, type FileContext } from './context.ts';
import { mergeFiles } from './read.ts';

/** Reads one file with all that it includes in turn; handed in, because it is what calls this. */
type Load = (source: Source, path: string, context: FileContext) => MapNode | null;

const sections = ['services', 'networks', 'volumes', 'secrets', 'configs'] as const;

export function applyIncludes(tree: MapNode, path: string, context: FileContext, load: Load): MapNode {
  const list = get(tree, 'include');
  if (list?.kind !== 'seq') return tree;
  const entries = new Map(tree.entries);
  entries.delete('include');
  for (const [index, item] of list.items.entries()) {
    const where = step(step(null, 'include'), index);
    const included = includeOne(item, path, where, context, load);
    if (included) importSections(entries, included, tree, item, where, context);
  }
  return mapOf(tree, entries, tree.tag);
}

/** The first path is the stack, the others override it, as with `-f`. */
function includeOne(item: Node, from: string, where: Path, context: FileContext, load: Load): MapNode | null {
  const { session } = context;
  const paths = texts(get(item, 'path'));
  const first = paths[0];
  if (!first) return null;
  const main = resolvePath(context.baseDir, first.text, session.home);
  const named = get(item, 'project_directory');
  const baseDir = named?.kind === 'scalar' ? resolvePath(context.baseDir, named.text, session.home) : dirname(main);
  const variables = withEnvFiles(item, baseDir, where, context);
  let whole: MapNode | null = null;
  for (const path of paths) {
    const absolute = resolvePath(context.baseDir, path.text, session.home);
    const chain = [...context.chain, from];
    if (chain.includes(absolute)) {
      session.sink.error(path, where, `files include each other: ${[...chain.slice(chain.indexOf(absolute)), absolute].join(' → ')}`);
      return null;
    }
    if (++session.filesRead.count > session.limits.files) {
      session.sink.error(path, where, `include and extends read more than ${session.limits.files} files, the limit`);
      return null;
    }
    const source = readText(session, absolute, path, where);
    if (source && variables !== context.variables) session.lookups.set(source, variables.lookup);
    const tree = source && load(source, absolute, { session, variables, baseDir, chain });
    if (tree) whole = whole ? mergeFiles(whole, tree, context) : tree;
  }
  return whole;
}

/** Its own env files, else the .env of its directory; what is set outside wins. */
function withEnvFiles(item: Node, baseDir: string, where: Path, context: FileContext): FileContext['variables'] {
  const { session, variables } = context;
  const listed = texts(get(item, 'env_file'));
  const own = new Map<string, string>();
  const lookup = (name: string): string | undefined => variables.lookup(name) ?? own.get(name);
  const files = listed.map((node) => ({ path: resolvePath(context.baseDir, node.text, session.home), at: node as Node, optional: false }));
  if (files.length === 0) files.push({ path: resolvePath(baseDir, '.env'), at: item, optional: true });
  for (const { path, at, optional } of files) {
    const source = readText(session, path, at, where, optional);
    if (!source) continue;
    for (const [key, value] of parseDotenv(source, 'dotenv', lookup, session.limits.interpolated, session.sink)) if (value !== null) own.set(key, value);
  }
  return own.size === 0 ? variables : { ...variables, lookup };
}

function importSections(target: Map<string, Entry>, included: MapNode, tree: MapNode, at: Node, where: Path, { session }: FileContext): void {
  for (const section of sections) {
    const from = included.entries.get(section);
    if (from?.value.kind !== 'map') continue;
    const old = target.get(section);
    const entries = new Map(old?.value.kind === 'map' ? old.value.entries : []);
    for (const [name, entry] of from.value.entries) {
      const own = entries.get(name);
      if (own && JSON.stringify(toJson(own.value)) !== JSON.stringify(toJson(entry.value))) {
        const place = own.key.source.position(own.key.offset);
        session.sink.error(at, where, `${section}.${name} is included, but there is another one at ${place.file}:${place.line}`, 'rename one of them, or override it by a later -f file');
      } else entries.set(name, own ?? entry);
    }
    target.set(section, { key: old?.key ?? from.key, value: mapOf(old?.value ?? tree, entries) });
  }
}

function texts(node: Node | undefined): readonly ScalarNode[] {
  return node?.kind === 'seq' ? node.items.filter((item) => item.kind === 'scalar') : [];
}
