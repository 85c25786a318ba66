/** Scalars by their shape: what was written → the canonical value, or an error that says what would be right. */
import { nameOf, type Path } from '../path.ts';
import { scalar, type ScalarNode } from '../parse/tree.ts';
import type { Shape, ShapeContext } from '../schema/shape.ts';
import { didYouMean } from '../suggest.ts';
import { parseBytes } from '../values/bytes.ts';
import { formatDuration, parseDuration, parseNanoseconds } from '../values/duration.ts';
import { resolvePath } from '../values/paths.ts';

type ScalarShape = Extract<Shape, { kind: 'string' | 'enum' | 'bool' | 'int' | 'number' | 'duration' | 'micros' | 'bytes' | 'mode' }>;

const truths: Readonly<Record<string, boolean>> = { true: true, false: false, yes: true, no: false, on: true, off: false, y: true, n: false, '1': true, '0': false };

/** Null when the value is wrong; then the sink knows. */
export function conformScalar(node: ScalarNode, shape: ScalarShape, path: Path | null, context: ShapeContext): ScalarNode | null {
  // Most values are text, and taken as they are.
  if (shape.kind === 'string' && shape.path !== true && shape.pattern === undefined) return keep(node, textOf(node));
  const fail: Fail = (message, hint) => {
    // The name of the key goes first, so that the sentence stands alone.
    context.sink.error(node, path, /^must |^the /.test(message) ? `${nameOf(path)} ${message}` : `${nameOf(path)}: ${message}`, hint);
    return null;
  };
  const text = node.text.trim();
  switch (shape.kind) {
    case 'string': {
      const value = textOf(node);
      if (shape.pattern && !shape.pattern.test(value)) return fail(`${quote(value)} is not allowed`, shape.say);
      if (shape.path === true) return value === '' ? fail('must be a path, not ""') : keep(node, resolvePath(context.baseDir, value, context.home));
      return keep(node, value);
    }
    case 'enum':
      // A variable that is not set asks for nothing.
      if (text === '') return scalar(node, null);
      return shape.values.includes(text) ? keep(node, text) : fail(`${quote(text)} is none of ${shape.values.join(', ')}`, didYouMean(text, shape.values));
    case 'bool': {
      const value = Object.hasOwn(truths, text.toLowerCase()) ? truths[text.toLowerCase()] : undefined;
      return value === undefined ? fail(`must be true or false, not ${quote(text)}`) : keep(node, value);
    }
    case 'int': {
      const word = shape.words && Object.hasOwn(shape.words, text) ? shape.words[text] : undefined;
      return word === undefined ? integer(node, text, shape.min, shape.max, fail) : keep(node, word);
    }
    case 'number': {
      const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
      if (!Number.isFinite(value)) return fail(`must be a number, not ${quote(text)}`);
      return inRange(value, shape.min, shape.max, fail) === null ? null : keep(node, value);
    }
    case 'duration': {
      const ms = parseDuration(text);
      if (ms !== null) return keep(node, formatDuration(ms));
      return fail(`${quote(text)} is no duration`, /^\d+(\.\d+)?$/.test(text) ? `give the unit, such as ${text}s` : 'write such as 30s, 1m30s, 500ms');
    }
    case 'micros': {
      if (/^\d+$/.test(text)) return integer(node, text, 0, undefined, fail);
      const ns = parseNanoseconds(text);
      return ns === null ? fail(`${quote(text)} is neither a number of microseconds nor a duration`, 'write such as 95000 or 400ms') : keep(node, Math.ceil(ns / 1000));
    }
    case 'bytes': {
      if (shape.free === true && text === '-1') return keep(node, '-1');
      const value = parseBytes(text);
      return value === null ? fail(`${quote(text)} is no size`, 'write such as 512m, 1.5g or a number of bytes') : keep(node, String(value));
    }
    case 'mode': {
      const octal = /^(?:0o?)?([0-7]{1,5})$/.exec(text);
      // YAML's own decimal numbers are what they are: 288 is 0440.
      const value = node.plain && typeof node.value === 'number' && !/^0/.test(text) ? node.value : octal ? Number.parseInt(octal[1] ?? '', 8) : Number.NaN;
      return Number.isInteger(value) && value >= 0 && value <= 0o7777 ? keep(node, value) : fail(`${quote(text)} is no file mode`, 'write such as 0440');
    }
  }
}

type Fail = (message: string, hint?: string) => null;

function inRange(value: number, min: number | undefined, max: number | undefined, fail: Fail): null | undefined {
  if (min !== undefined && value < min) return fail(`must be ${min} or more, not ${value}`);
  if (max !== undefined && value > max) return fail(`must be ${max} or less, not ${value}`);
  return undefined;
}

function integer(node: ScalarNode, text: string, min: number | undefined, max: number | undefined, fail: Fail): ScalarNode | null {
  const value = /^[+-]?\d+$/.test(text) ? Number(text) : /^0(o[0-7]+|x[0-9a-f]+)$/i.test(text) ? Number(text.toLowerCase()) : Number.NaN;
  if (Number.isNaN(value)) return fail(`must be a whole number, not ${quote(text)}`);
  if (!Number.isSafeInteger(value)) return fail(`${text} is beyond 2^53`);
  return inRange(value, min, max, fail) === null ? null : keep(node, value);
}

/** As written, but booleans in YAML's own spelling. */
export function textOf(node: ScalarNode): string {
  return typeof node.value === 'boolean' && node.plain ? String(node.value) : node.text;
}

export function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}…` : text);
}

/** The canonical value, at the same place, with its place inside where the text stayed the same. */
function keep(node: ScalarNode, value: string | number | boolean): ScalarNode {
  if (node.value === value && (typeof value === 'string' || node.plain)) return node;
  const made = scalar(node, value);
  const same = node.inset !== undefined && made.text === node.text ? { ...made, inset: node.inset } : made;
  return node.tag === undefined ? same : { ...same, tag: node.tag };
}

