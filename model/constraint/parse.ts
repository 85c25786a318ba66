/**
 * Text → Constraint, for three dialects:
 *
 * | dialect | takes | pattern |
 * |---|---|---|
 * | `classic` | `[constraint:]KEY==[~]VALUE`, no spaces round the operator | `/regex/`, `*` globs |
 * | `swarm-mode` | `KEY == VALUE` | the value, literally; no soft expressions |
 * | `auto` | either, and any printable character in values | `/regex/`, `*` globs, `~` on every key |
 *
 * Where the dialects differ in meaning there is one rule: literals and globs ignore case, regexes (RE2, unanchored) do not, and
 * only `*` is special in a glob.
 */
import { RE2JS, RE2JSException } from 're2js';
import { parseBlock } from './address.ts';
import { parseSubject } from './subject.ts';
import type { Constraint, ConstraintPattern, SpreadPreference } from './types.ts';

export type Dialect = 'auto' | 'swarm-mode' | 'classic';

/** `offset` counts characters from the start of the text to where it goes wrong. */
export interface ParseError {
  readonly error: string;
  readonly offset: number;
}

export type ConstraintResult = { readonly ok: Constraint } | ParseError;
export type SpreadResult = { readonly ok: SpreadPreference } | ParseError;

/** Enough for any real expression, and a bound on what a regex can cost. */
const maxLength = 1024;
/** Instructions of a compiled regex: `(x{900}){900}` is refused by RE2, `x{1000}` repeated by hand by this. */
const maxProgram = 20_000;

const keyShape = /^[a-z_][a-z0-9\-_.]+$/i;
const looseKeyShape = /^[a-z0-9_][a-z0-9\-_./]*$/i;
const valueCharacters: Readonly<Record<Dialect, RegExp>> = {
  classic: /[a-z0-9:\-_\s.*/()?+[\]\\^$|~=!]/i,
  'swarm-mode': /[a-z0-9:\-_\s.*/()?+[\]\\^$|]/i,
  auto: /[^\u0000-\u001f\u007f]/,
};

/** Never throws: whatever is wrong comes back as an error with its place. */
export function parseConstraint(text: string, dialect: Dialect = 'auto'): ConstraintResult {
  if (text.length > maxLength) return fail(`a constraint is at most ${maxLength} characters`, maxLength);
  const start = dialect === 'swarm-mode' ? 0 : prefixLength(text);
  const rest = text.slice(start);
  const other = /^\s*(affinity|whitelist|reschedule):/.exec(rest);
  if (other) return fail(`${other[1]}: is not a constraint`, start);

  const sides = parseSides(rest, start, dialect);
  if ('error' in sides) return sides;
  const subject = parseSubject(sides.key.text);
  if ('error' in subject) return fail(subject.error, sides.key.offset + subject.at);
  const pattern = parsePattern(sides.value, subject.ok.kind === 'ip', dialect);
  if ('error' in pattern) return pattern;
  return { ok: { subject: subject.ok, op: sides.op, pattern, soft: sides.soft, source: rest.trim() } };
}

/** What every expression has, whatever its key means. */
export interface Sides {
  readonly key: Piece;
  readonly op: '==' | '!=';
  readonly soft: boolean;
  readonly value: Piece;
}

/** `KEY OP [~] VALUE`; `start` is where `text` stands in the whole, for the offsets. */
export function parseSides(text: string, start: number, dialect: Dialect): Sides | ParseError {
  if (text.length > maxLength) return fail(`an expression is at most ${maxLength} characters`, start + maxLength);
  const at = operatorAt(text);
  if (at < 0) return fail(missingOperator(text), start + text.trimEnd().length);
  const key = trim(text.slice(0, at), start, dialect);
  const keyError = checkKey(key, dialect);
  if (keyError) return keyError;
  const right = trim(text.slice(at + 2), start + at + 2, dialect);
  const soft = dialect !== 'swarm-mode' && right.text.startsWith('~');
  const value = soft ? trim(right.text.slice(1), right.offset + 1, dialect) : right;
  const valueError = checkValue(value, dialect);
  return valueError ?? { key, op: text.startsWith('==', at) ? '==' : '!=', soft, value };
}

/**
 * A spread preference: `node.labels.zone`, `engine.labels.zone`, a bare `zone`, or any other key of a constraint
 * (`node.platform.arch`); `spread=` may stand before it. Never throws.
 */
export function parseSpread(text: string): SpreadResult {
  if (text.length > maxLength) return fail(`a spread preference is at most ${maxLength} characters`, maxLength);
  const prefix = /^\s*spread\s*=/i.exec(text)?.[0].length ?? 0;
  const key = trim(text.slice(prefix), prefix, 'auto');
  const keyError = checkKey(key, 'auto');
  if (keyError) return keyError;
  const subject = parseSubject(key.text);
  if ('error' in subject) return fail(subject.error, key.offset + subject.at);
  return { ok: { subject: subject.ok, source: key.text } };
}

/** A part of an expression and where it begins in the whole. */
export interface Piece {
  readonly text: string;
  readonly offset: number;
}

function fail(error: string, offset: number): ParseError {
  return { error, offset };
}

function prefixLength(text: string): number {
  return /^\s*constraint:/.exec(text)?.[0].length ?? 0;
}

/** As both Swarms do: the first `==` anywhere wins, so `a!=b==c` has the key `a!=b` and is refused. */
function operatorAt(text: string): number {
  const equal = text.indexOf('==');
  return equal >= 0 ? equal : text.indexOf('!=');
}

function missingOperator(text: string): string {
  if (text.trim() === '') return 'the constraint is empty; write KEY==VALUE or KEY!=VALUE';
  const single = /^\s*([^=\s]+)\s*=\s*(\S.*)$/.exec(text);
  return single ? `= is not an operator; did you mean ${single[1]}==${(single[2] ?? '').trim()}?` : 'no == or != in the constraint';
}

/** Classic expressions have no spaces round the operator; a key with one is refused by its shape. */
function trim(text: string, offset: number, dialect: Dialect): Piece {
  if (dialect === 'classic') return { text, offset };
  const trimmed = text.trimStart();
  return { text: trimmed.trimEnd(), offset: offset + text.length - trimmed.length };
}

function checkKey(key: Piece, dialect: Dialect): ParseError | null {
  if (key.text === '') return fail('the key is missing', key.offset);
  if ((dialect === 'auto' ? looseKeyShape : keyShape).test(key.text)) return null;
  const allowed = dialect === 'auto' ? /[a-z0-9\-_./]/i : /[a-z0-9\-_.]/i;
  const bad = firstNot(key.text, allowed);
  const character = key.text[bad];
  if (character === undefined) {
    return fail(key.text.length < 2 ? `the key ${key.text} is too short` : `the key ${key.text} may not begin with ${key.text[0]}`, key.offset);
  }
  return fail(/\s/.test(character) ? 'a space is not allowed in a key' : `${character} is not allowed in a key`, key.offset + bad);
}

function checkValue(value: Piece, dialect: Dialect): ParseError | null {
  if (value.text === '') return fail('the value is missing; nodes without the label are KEY==/^$/, nodes with any value KEY==/./', value.offset);
  if (dialect !== 'swarm-mode' && value.text.startsWith('~')) return fail('only one ~ is allowed', value.offset);
  // Classic Swarm lets = and ! stand first only; ~ was taken as the soft mark.
  const bad = firstNot(value.text, valueCharacters[dialect]);
  if (bad < value.text.length) return fail(`${JSON.stringify(value.text[bad])} is not allowed in a value`, value.offset + bad);
  if (dialect === 'classic') {
    const late = value.text.slice(1).search(/[=!~]/);
    if (late >= 0) return fail(`${value.text[late + 1]} is not allowed in a value`, value.offset + late + 1);
  }
  return null;
}

function firstNot(text: string, allowed: RegExp): number {
  for (let i = 0; i < text.length; i++) if (!allowed.test(text.charAt(i))) return i;
  return text.length;
}

/** `ip`: a literal must be an address or a block of them. */
export function parsePattern(value: Piece, ip: boolean, dialect: Dialect): ConstraintPattern | ParseError {
  const { text, offset } = value;
  const free = dialect !== 'swarm-mode';
  if (free && text === '/') return fail('a regular expression needs a second /', offset + 1);
  if (free && text.length >= 2 && text.startsWith('/') && text.endsWith('/')) {
    const source = text.slice(1, -1);
    const problem = regexProblem(source);
    return problem === null ? { kind: 'regex', value: source } : fail(problem, offset + 1);
  }
  if (free && text.includes('*')) return { kind: 'glob', value: text };
  if (ip && parseBlock(text) === null) return fail(`${text} is neither an address nor a block such as 10.0.0.0/8`, offset);
  return { kind: 'literal', value: text };
}

/** Why RE2 will not have it; null when it will. */
export function regexProblem(source: string): string | null {
  try {
    const size = RE2JS.compile(source).programSize();
    return size > maxProgram ? 'the regular expression is too large' : null;
  } catch (error) {
    const message = error instanceof RE2JSException ? error.message : 'it cannot be compiled';
    return `bad regular expression: ${message.replace(/^error parsing regexp: /, '')}`;
  }
}
