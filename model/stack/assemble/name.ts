/** The stack's name: `-p`, COMPOSE_PROJECT_NAME, `name:` of the last file that has one, the directory's name. */
import type { Diagnostics } from '../diagnostics.ts';
import { expand } from '../interpolate/template.ts';
import { get, type Mark, type Node } from '../parse/tree.ts';
import { step } from '../path.ts';
import type { LoadInput } from '../types.ts';

export const stackName = /^[a-z0-9][a-z0-9_-]{0,62}$/;

export interface NameSources {
  readonly argument: string | undefined;
  readonly environment: string | undefined;
  readonly tree: Node | null;
  /** What a name is made of when there is none: the directory's name unless the caller knows better. */
  readonly fallback: string;
}

/** A name is always returned, so that the rest of the file can be checked. */
export function chooseName({ argument, environment, tree, fallback }: NameSources, start: Mark, sink: Diagnostics): string {
  const node = get(tree ?? undefined, 'name');
  const given = argument ?? (environment || undefined);
  if (given !== undefined) return check(given, start, argument === undefined ? 'COMPOSE_PROJECT_NAME' : 'the name given');
  if (node?.kind === 'scalar' && node.text !== '') return check(node.text, node, null);
  const made = normaliseName(fallback);
  if (made !== '') return made;
  sink.error(start, null, 'the stack has no name, and none can be made of its directory', 'give it one: name: … in the file, or -p NAME');
  return 'stack';

  function check(name: string, at: Mark, what: string | null): string {
    if (stackName.test(name)) return name;
    const better = normaliseName(name);
    sink.error(at, what === null ? step(null, 'name') : null, `${what === null ? '' : `${what}, `}${JSON.stringify(name)}${what === null ? '' : ','} cannot be a stack's name`,
      `use up to 63 small letters, digits, - and _${better === '' ? '' : `, such as ${better}`}`);
    return better === '' ? 'stack' : better;
  }
}

/** As Compose does: small letters, and only what is allowed. */
export function normaliseName(text: string): string {
  return text.toLowerCase().replace(/[^a-z0-9_-]/g, '').replace(/^[_-]+/, '').slice(0, 63);
}

/**
 * `name:` as it stands in the text, for `${COMPOSE_PROJECT_NAME}`: the variable is needed before the files are read. A name
 * that takes more than one plain line is not seen, and the variable then says the directory's.
 */
export function nameInText(input: Pick<LoadInput, 'files'>, lookup: (name: string) => string | undefined): string | undefined {
  let name: string | undefined;
  for (const file of input.files) {
    const text = /^name:[ \t]+(["']?)([^"'#\r\n]+)\1[ \t]*(?:#.*)?$/m.exec(file.content)?.[2]?.trim();
    if (text !== undefined && text !== '') name = expand(text, { lookup, unset: () => {}, fail: () => {}, limit: 1000 });
  }
  return name;
}
