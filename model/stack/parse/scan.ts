/** Checks that are made on the raw text, before any parser that recursion or size could hurt sees it. */
import { Lexer } from 'yaml';
import type { Diagnostics } from '../diagnostics.ts';
import { maxFileBytes, type Limits } from './limits.ts';
import type { Source } from './source.ts';

const forbidden = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

/** Whether the text may be parsed; otherwise the reason is in `sink`. */
export function scan(source: Source, limits: Limits, sink: Diagnostics): boolean {
  const start = { source, offset: 0 };
  const limit = Math.min(limits.fileBytes, maxFileBytes);
  const bytes = byteLength(source.text, limit);
  if (bytes > limit) {
    sink.error(start, null, `the file is larger than ${limit} bytes, the limit for one stack file`, limit < maxFileBytes ? 'split the stack, or raise the limit' : 'split the stack');
    return false;
  }
  const bad = forbidden.exec(source.text);
  if (bad) {
    const code = source.text.charCodeAt(bad.index).toString(16).padStart(4, '0');
    sink.error({ source, offset: bad.index }, null, `the character U+${code.toUpperCase()} is not allowed`, 'save the file as UTF-8 text');
    return false;
  }
  return true;
}

/**
 * Whether the text stays below the limits for nesting, aliases and values: the parser takes about a kilobyte for each of them.
 * Linear: the YAML lexer keeps no stack of its own.
 */
export function scanDepth(source: Source, limits: Limits, sink: Diagnostics): boolean {
  // The block collections that are open: each begins right of the one around it, but a list may begin in its key's column.
  const open: { readonly column: number; readonly list: boolean }[] = [];
  let flow = 0;
  let offset = 0;
  let lineStart = 0;
  let lead = true;
  let aliases = 0;
  let values = 0;
  let documents = 0;
  const most = Math.min(limits.parsed, limits.nodes);
  const fail = (message: string): false => {
    sink.error({ source, offset }, null, message);
    return false;
  };
  for (const token of new Lexer().lex(source.text)) {
    if (isSignal(token)) {
      values += 1;
      continue;
    }
    if (token === '---' && ++documents > limits.documents) return fail(`more than ${limits.documents} documents, the limit`);
    if (values > most) return fail(`more than ${most} values, the limit for files that are not plain`);
    if (token.startsWith('*') && ++aliases > limits.aliases) return fail(`more than ${limits.aliases} aliases, the limit`);
    if (token === '[' || token === '{') {
      flow += 1;
      values += 1;
    } else if (token === ']' || token === '}') flow = Math.max(0, flow - 1);
    else if (flow === 0 && lead && token.trim() !== '') {
      const column = offset - lineStart;
      const list = token === '-';
      if (list) values += 1;
      for (let top = open.at(-1); top && (top.column > column || (top.column === column && top.list && !list)); top = open.at(-1)) open.pop();
      const top = open.at(-1);
      if (!top || top.column !== column || top.list !== list) open.push({ column, list });
    }
    if (flow + open.length > limits.depth) return fail(`nested deeper than ${limits.depth} levels, the limit`);
    if (token.trim() !== '' && token !== '-' && token !== '?') lead = false;
    offset += token.length;
    const newline = token.lastIndexOf('\n');
    if (newline >= 0) {
      lineStart = offset - (token.length - newline - 1);
      lead = true;
    }
  }
  return true;
}

/** Tokens that stand for no text: start of a document, scalar follows, flow ended by an error. */
function isSignal(token: string): boolean {
  return token === '\u0002' || token === '\u001f' || token === '\u0018';
}

/** UTF-8 length, counted no further than needed to see that it is too much. */
function byteLength(text: string, limit: number): number {
  if (text.length > limit) return text.length;
  if (text.length * 3 <= limit) return text.length;
  return new TextEncoder().encode(text).length;
}
