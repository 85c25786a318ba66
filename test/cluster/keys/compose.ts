/** A theme → its stack file. */
import { endMark, stays, words, type Row, type Theme } from './row.ts';

export const image = 't-keys:1';

/** Rows with the names of their services. */
export function named(theme: Theme): ReadonlyMap<Row, string> {
  const taken = new Set(theme.rows.flatMap((row) => row.name ?? []));
  const names = new Map<Row, string>();
  for (const row of theme.rows) names.set(row, row.name ?? free(slug(row.keys[0]), taken));
  return names;
}

function slug(key: string): string {
  return key.replace(/^services\./, '').replace(/^x-/, '').replace(/[._]/g, '-');
}

function free(name: string, taken: Set<string>): string {
  let found = name;
  for (let number = 2; taken.has(found); number += 1) found = `${name}-${number}`;
  taken.add(found);
  return found;
}

export function stackFile(theme: Theme): string {
  const services = [...named(theme)].flatMap(([row, name]) => [
    ...(row.service === undefined ? [] : [`${name}:`, ...indent(body(row, row.service))]),
    ...(row.others === undefined ? [] : lines(row.others)),
  ]);
  return `name: ${theme.name}\nservices:\n${indent(services).join('\n')}\n${lines(theme.top ?? '').join('\n')}\n`;
}

function body(row: Row, service: string): readonly string[] {
  const says = (key: string) => new RegExp(`^${key}:`, 'm').test(trimmed(service));
  return [
    ...(says('image') || says('extends') ? [] : [`image: ${image}`]),
    ...(says('command') || says('entrypoint') || says('image') ? [] : [`command: ${commandOf(row.says)}`]),
    ...(says('stop_grace_period') ? [] : ['stop_grace_period: 0s']),
    ...lines(service),
  ];
}

/** JSON is YAML; a dollar would be a variable. */
export function commandOf(script: string | undefined): string {
  if (script === undefined) return `["sleep", "${stays}"]`;
  // The words are an alias's, which a shell knows from the next line on.
  return JSON.stringify(['sh', '-c', `exec 2>&1\n${words}\n${script}\necho ${endMark}\nexec sleep ${stays}`]).replaceAll('$', '$$$$');
}

function indent(of: readonly string[]): readonly string[] {
  return of.map((line) => `  ${line}`);
}

/** Without the depth that the text has in the source. */
function lines(text: string): readonly string[] {
  return trimmed(text).split('\n').filter((line) => line.trim() !== '');
}

function trimmed(text: string): string {
  const all = text.replace(/^\n/, '').split('\n');
  const depth = Math.min(...all.filter((line) => line.trim() !== '').map((line) => line.length - line.trimStart().length));
  return all.map((line) => line.slice(Number.isFinite(depth) ? depth : 0)).join('\n');
}
