/** A file or an answer with several stacks in it. */
import { normaliseName } from '../../../model/stack/assemble/name.ts';

/**
 * The text in parts of one stack each. Documents (`---`) of one stack are merged, as Compose does; one with a `name:` of its own
 * begins the next stack. Every part keeps its line numbers.
 */
export function splitStacks(text: string): readonly string[] {
  const parts: string[] = [];
  let from = 0;
  const next = (to: number) => {
    parts.push(text.slice(0, from).replace(/[^\n]+/g, '') + text.slice(from, to));
    from = to;
  };
  // Three dashes at the beginning of a line end a document wherever they stand, also within a block of text.
  const starts = [...text.matchAll(/^---(?=[ \t\r\n]|$)/gm)].map((match) => match.index);
  for (const [index, start] of starts.entries()) {
    const document = text.slice(start, starts[index + 1] ?? text.length);
    const before = text.slice(from, start);
    if (/^name:[ \t]+\S/m.test(document) && /^[^\s#-]/m.test(before.replace(/^---.*$/gm, ''))) next(start);
  }
  next(text.length);
  return parts;
}

/** The name of a stack whose file does not say one: `web.yml` → `web`; the last part of a URL's path likewise. */
export function nameOfFile(path: string): string {
  const last = path.split('/').filter(Boolean).at(-1) ?? '';
  return normaliseName(last.replace(/\.(ya?ml|json)$/i, ''));
}
