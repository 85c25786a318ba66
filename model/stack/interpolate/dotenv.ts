/**
 * `.env` and `env_file` files. Values without quotes and in double quotes are interpolated, those in single quotes are not;
 * double quotes know \n \r \t \\ \" \$ and the shell's other escapes; a comment needs a space before its #. Quoted values may span lines. `KEY` alone takes
 * the value from outside. `export ` before a key is allowed, and `KEY: value`.
 */
import type { Diagnostics } from '../diagnostics.ts';
import type { Source } from '../parse/source.ts';
import { expand } from './template.ts';

export type EnvFormat = 'dotenv' | 'raw';

/** Compose takes letters and digits of all scripts, and `a[1]`. */
const keyShape = /[\p{L}\p{N}_][\p{L}\p{N}_.\-[\]]*/uy;

/**
 * The variables of the file in its order; a null value is a bare key that nobody outside sets. `lookup` is what interpolation
 * sees besides the variables above in the same file, and wins over them.
 */
export function parseDotenv(
  source: Source, format: EnvFormat, lookup: (name: string) => string | undefined, limit: number, sink: Diagnostics,
): ReadonlyMap<string, string | null> {
  if (format === 'raw') return parseRaw(source, lookup, sink);
  const variables = new Map<string, string | null>();
  const resolve = (name: string): string | undefined => lookup(name) ?? variables.get(name) ?? undefined;
  const text = source.text;
  let at = text.startsWith('\uFEFF') ? 1 : 0;
  let room = limit;
  const value = (raw: string, offset: number): string => {
    const made = expand(raw, {
      lookup: resolve,
      unset: () => {},
      fail: (issue) => sink.error({ source, offset: offset + Math.min(issue.offset, raw.length) }, null, issue.message, issue.hint),
      limit: room,
      total: limit,
    });
    room -= made.length;
    return made;
  };
  while (at < text.length) {
    const blank = /[\s\uFEFF]*/y;
    blank.lastIndex = at;
    at += blank.exec(text)?.[0].length ?? 0;
    if (at >= text.length) break;
    const lineEnd = endOfLine(text, at);
    if (text[at] === '#') {
      at = lineEnd;
      continue;
    }
    const start = at;
    const prefix = /export[ \t]+/y;
    prefix.lastIndex = at;
    at += prefix.exec(text)?.[0].length ?? 0;
    keyShape.lastIndex = at;
    const key = keyShape.exec(text)?.[0];
    if (key === undefined) {
      sink.error({ source, offset: at }, null, `a line must be KEY=VALUE, not ${JSON.stringify(text.slice(start, Math.min(lineEnd, start + 40)))}`);
      at = lineEnd;
      continue;
    }
    at += key.length;
    const separator = /[ \t]*([=:])[ \t]*/y;
    separator.lastIndex = at;
    const found = separator.exec(text);
    if (!found) {
      if (text.slice(at, lineEnd).replace(/[ \t]#.*$/, '').trim() !== '') sink.error({ source, offset: at }, null, `after the key ${key} must come =`);
      else variables.set(key, lookup(key) ?? null);
      at = lineEnd;
      continue;
    }
    at += found[0].length;
    const quote = text[at];
    if (quote === '"' || quote === "'") {
      const end = closingQuote(text, at);
      if (end < 0) {
        sink.error({ source, offset: at }, null, `the ${quote} is not closed`);
        return variables;
      }
      const inner = text.slice(at + 1, end);
      variables.set(key, quote === "'" ? inner.replaceAll("\\'", "'") : value(unescape(inner), at + 1));
      at = end + 1;
      const rest = endOfLine(text, at);
      const tail = text.slice(at, rest).trim();
      if (tail !== '' && !tail.startsWith('#')) sink.error({ source, offset: at }, null, 'text after the closing quote', 'put the whole value in the quotes');
      at = rest;
      continue;
    }
    const end = endOfLine(text, at);
    const raw = text.slice(at, end).replace(/(^|[ \t])#.*$/, '').trimEnd();
    variables.set(key, value(raw, at));
    at = end;
  }
  return variables;
}

/** `KEY=VALUE` to the letter; only lines that begin with # are skipped. */
function parseRaw(source: Source, lookup: (name: string) => string | undefined, sink: Diagnostics): ReadonlyMap<string, string | null> {
  const variables = new Map<string, string | null>();
  let offset = 0;
  for (const line of source.text.split('\n')) {
    const text = line.replace(/\r$/, '');
    if (text.trim() !== '' && !text.trimStart().startsWith('#')) {
      const equals = text.indexOf('=');
      const key = equals < 0 ? text.trim() : text.slice(0, equals);
      if (key === '' || /\s/.test(key)) sink.error({ source, offset }, null, 'a line must be KEY=VALUE');
      else variables.set(key, equals < 0 ? lookup(key) ?? null : text.slice(equals + 1));
    }
    offset += line.length + 1;
  }
  return variables;
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end < 0 ? text.length : end;
}

function closingQuote(text: string, open: number): number {
  const quote = text[open];
  for (let at = open + 1; at < text.length; at++) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === quote) return at;
  }
  return -1;
}

const escapes: Readonly<Record<string, string>> = { a: '\u0007', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v', '\\': '\\', '"': '"', $: '$$' };

/** `\$` becomes `$$`, which interpolation turns into a dollar; `\0` and three digits are a character. */
function unescape(text: string): string {
  return text.replace(/\\(?:0([0-3]?[0-7]{1,2})|(.))/gs, (whole, octal: string | undefined, character: string | undefined) =>
    octal === undefined ? (Object.hasOwn(escapes, character ?? '') ? escapes[character ?? ''] ?? whole : whole) : String.fromCharCode(Number.parseInt(octal, 8)));
}
