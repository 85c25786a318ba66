/** The text of a template → pieces of text, and the words of what is in braces. */
import { TemplateError, type Literal } from './syntax.ts';

export type Token =
  | { readonly kind: 'word'; readonly text: string; readonly offset: number }
  /** `.name`; `bare`: with no space before it, so that it asks something of what stands there. */
  | { readonly kind: 'field'; readonly text: string; readonly bare: boolean; readonly offset: number }
  | { readonly kind: 'variable'; readonly text: string; readonly offset: number }
  | { readonly kind: 'literal'; readonly value: Literal; readonly offset: number }
  /** `.` alone, `(`, `)`, `|`, `,`, `:=`, `=`. */
  | { readonly kind: 'mark'; readonly text: string; readonly offset: number };

export type Piece = { readonly kind: 'text'; readonly text: string } | { readonly kind: 'action'; readonly tokens: readonly Token[]; readonly offset: number };

export function lex(text: string): readonly Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  let trim = false;
  for (;;) {
    const open = text.indexOf('{{', at);
    const trimsLeft = open >= 0 && /^-[ \t\r\n]/.test(text.slice(open + 2, open + 4));
    let plain = text.slice(at, open < 0 ? text.length : open);
    if (trim) plain = plain.trimStart();
    if (trimsLeft) plain = plain.trimEnd();
    if (plain !== '') pieces.push({ kind: 'text', text: plain });
    if (open < 0) return pieces;
    const start = open + (trimsLeft ? 3 : 2);
    const comment = /^\s*\/\*/.exec(text.slice(start, start + 64));
    if (comment) {
      const end = text.indexOf('*/', start + comment[0].length);
      const close = end < 0 ? null : /^(\s+-)?\}\}/.exec(text.slice(end + 2, end + 64));
      if (!close) throw new TemplateError('the comment is not closed', open);
      trim = close[1] !== undefined;
      at = end + 2 + close[0].length;
      continue;
    }
    const action = lexAction(text, start, open);
    pieces.push({ kind: 'action', tokens: action.tokens, offset: open });
    trim = action.trims;
    at = action.end;
  }
}

const shapes: readonly (readonly ['space' | 'field' | 'variable' | 'number' | 'word' | 'mark', RegExp])[] = [
  ['space', /[ \t\r\n]+/y], ['number', /[+-]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.])/y], ['field', /\.[\p{L}_][\p{L}\p{N}_]*/uy],
  ['variable', /\$[\p{L}\p{N}_]*/uy], ['word', /[\p{L}_][\p{L}\p{N}_]*/uy], ['mark', /:=|[.()|,=]/y],
];

const closing = /(?:[ \t\r\n]+-)?\}\}/y;

function lexAction(text: string, start: number, open: number): { readonly tokens: readonly Token[]; readonly end: number; readonly trims: boolean } {
  const tokens: Token[] = [];
  let at = start;
  let bare = false;
  while (at < text.length) {
    closing.lastIndex = at;
    const close = closing.exec(text)?.[0];
    if (close !== undefined) return { tokens, end: at + close.length, trims: close.length > 2 };
    const quote = text[at];
    if (quote === '"' || quote === '`' || quote === "'") {
      const { value, end } = lexQuoted(text, at, quote);
      tokens.push({ kind: 'literal', value, offset: at });
      at = end;
      bare = false;
      continue;
    }
    const found = shapes.map(([kind, shape]) => {
      shape.lastIndex = at;
      return { kind, text: shape.exec(text)?.[0] };
    }).find((one) => one.text !== undefined);
    if (found?.text === undefined) throw new TemplateError(`${JSON.stringify(text[at])} has no meaning in a template`, at);
    const offset = at;
    at += found.text.length;
    switch (found.kind) {
      case 'space': bare = false; continue;
      case 'number': tokens.push({ kind: 'literal', value: Number(found.text), offset }); break;
      case 'field': tokens.push({ kind: 'field', text: found.text.slice(1), bare, offset }); break;
      case 'variable': tokens.push({ kind: 'variable', text: found.text.slice(1), offset }); break;
      case 'word': tokens.push(wordOf(found.text, offset)); break;
      case 'mark': tokens.push({ kind: 'mark', text: found.text, offset }); break;
    }
    bare = found.kind === 'variable' || found.kind === 'field' || found.text === ')';
  }
  throw new TemplateError('{{ is not closed', open);
}

function wordOf(text: string, offset: number): Token {
  if (text === 'true' || text === 'false') return { kind: 'literal', value: text === 'true', offset };
  return text === 'nil' ? { kind: 'literal', value: null, offset } : { kind: 'word', text, offset };
}

const escapes: Readonly<Record<string, string>> = { a: '\u0007', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v', '\\': '\\', "'": "'", '"': '"' };

/** `"…"` with Go's escapes, `` `…` `` as it is, `'x'`, a character's number. */
function lexQuoted(text: string, start: number, quote: string): { readonly value: Literal; readonly end: number } {
  let value = '';
  for (let at = start + 1; at < text.length; at++) {
    const character = text[at] ?? '';
    if (character === quote) return { value: quote === "'" ? value.codePointAt(0) ?? 0 : value, end: at + 1 };
    if (character === '\n' && quote !== '`') break;
    if (character !== '\\' || quote === '`') {
      value += character;
      continue;
    }
    const code = /^(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3}))/.exec(text.slice(at + 1, at + 10));
    const next = text[at + 1] ?? '';
    const number = code ? Number.parseInt(code[1] ?? code[2] ?? code[3] ?? code[4] ?? '', code[4] === undefined ? 16 : 8) : -1;
    if (code && number <= 0x10ffff) {
      value += String.fromCodePoint(number);
      at += code[0].length;
    } else if (!code && Object.hasOwn(escapes, next)) {
      value += escapes[next] ?? '';
      at += 1;
    } else throw new TemplateError(`\\${next} is no escape`, at);
  }
  throw new TemplateError(`the ${quote} is not closed`, start);
}
