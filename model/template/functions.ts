/** Go's own functions for templates, those that make sense on texts and numbers, and Swarm's `join`. */
import { TemplateError } from './syntax.ts';

/** Labels are a record, everything that templates are made with an object. */
export type Value = string | number | boolean | null | undefined | { readonly [key: string]: Value };

export type Call = (args: readonly Value[], offset: number) => Value;

export function isTrue(value: Value): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}

export function show(value: Value, offset: number): string {
  if (value === null || value === undefined) return '<no value>';
  if (typeof value !== 'object') return String(value);
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  if (entries.some(([, item]) => typeof item === 'object')) throw new TemplateError('this is no text: name one of its fields', offset);
  return `map[${entries.map(([key, item]) => `${key}:${show(item, offset)}`).join(' ')}]`;
}

function texts(args: readonly Value[], offset: number): readonly string[] {
  return args.map((value) => show(value, offset));
}

/** As fmt.Sprint: a space between two that are no strings. */
function sprint(args: readonly Value[], offset: number): string {
  return args.reduce<string>((out, value, index) => `${out}${index > 0 && typeof value !== 'string' && typeof args[index - 1] !== 'string' ? ' ' : ''}${show(value, offset)}`, '');
}

function compare(test: (order: number) => boolean): Call {
  return ([a, b], offset) => {
    if (typeof a === 'number' && typeof b === 'number') return test(a - b);
    if (typeof a === 'string' && typeof b === 'string') return test(a < b ? -1 : a > b ? 1 : 0);
    throw new TemplateError('only two numbers or two texts can be compared', offset);
  };
}

function size(value: Value, offset: number): number {
  if (typeof value === 'string') return new TextEncoder().encode(value).length;
  if (typeof value === 'object' && value !== null) return Object.keys(value).length;
  throw new TemplateError('only texts and maps have a length', offset);
}

function index([of, ...keys]: readonly Value[], offset: number): Value {
  let value: Value = of;
  for (const key of keys) {
    if (typeof value === 'object' && value !== null && typeof key === 'string') value = Object.hasOwn(value, key) ? value[key] : '';
    else if (typeof value === 'string' && typeof key === 'number') value = new TextEncoder().encode(value).at(key);
    else throw new TemplateError('index takes a map and a key', offset);
  }
  return value;
}

function slice([of, from, to]: readonly Value[], offset: number): Value {
  if (typeof of !== 'string' || (from !== undefined && typeof from !== 'number') || (to !== undefined && typeof to !== 'number')) throw new TemplateError('slice takes a text and one or two numbers', offset);
  const end = to ?? of.length;
  if ((from ?? 0) < 0 || (from ?? 0) > end || end > of.length) throw new TemplateError(`slice goes beyond the text of ${of.length} characters`, offset);
  return of.slice(from, to);
}

/** `%s %v %d %q %t %x`, with a width. */
function sprintf([format, ...args]: readonly Value[], offset: number): string {
  if (typeof format !== 'string') throw new TemplateError('printf takes a format first', offset);
  let next = 0;
  const out = format.replace(/%([-0]?)(\d{0,3})(.)/gs, (whole, flag: string, width: string, verb: string) => {
    if (verb === '%') return '%';
    const value = args[next];
    next += 1;
    const text = verbText(whole, verb, value, offset);
    const size = Number(width);
    return flag === '-' ? text.padEnd(size) : text.padStart(size, flag === '0' ? '0' : ' ');
  });
  if (next !== args.length) throw new TemplateError(`printf has ${args.length} values for ${next} places`, offset);
  return out;
}

function verbText(whole: string, verb: string, value: Value, offset: number): string {
  switch (verb) {
    case 's': case 'v': return show(value, offset);
    case 'd': if (typeof value === 'number') return String(Math.trunc(value)); break;
    case 'q': if (typeof value === 'string') return JSON.stringify(value); break;
    case 't': if (typeof value === 'boolean') return String(value); break;
    case 'x': if (typeof value === 'number') return value.toString(16); break;
  }
  throw new TemplateError(`printf cannot show this by ${whole}`, offset);
}

/** Each with the number of arguments that it takes. */
export const functions: ReadonlyMap<string, { readonly least: number; readonly most: number; readonly call: Call }> = new Map([
  // The value that decides, else the last one (at -1); arguments without effects need no laziness.
  ['and', { least: 1, most: 100, call: (args) => args.at(args.findIndex((value) => !isTrue(value))) }],
  ['or', { least: 1, most: 100, call: (args) => args.at(args.findIndex(isTrue)) }],
  ['not', { least: 1, most: 1, call: ([value]) => !isTrue(value) }],
  ['eq', { least: 2, most: 100, call: ([first, ...others]) => others.some((other) => other === first) }],
  ['ne', { least: 2, most: 2, call: ([a, b]) => a !== b }],
  ['lt', { least: 2, most: 2, call: compare((order) => order < 0) }],
  ['le', { least: 2, most: 2, call: compare((order) => order <= 0) }],
  ['gt', { least: 2, most: 2, call: compare((order) => order > 0) }],
  ['ge', { least: 2, most: 2, call: compare((order) => order >= 0) }],
  ['len', { least: 1, most: 1, call: ([value], offset) => size(value, offset) }],
  ['index', { least: 2, most: 100, call: index }],
  ['slice', { least: 1, most: 3, call: slice }],
  ['print', { least: 0, most: 100, call: sprint }],
  ['println', { least: 0, most: 100, call: (args, offset) => `${texts(args, offset).join(' ')}\n` }],
  ['printf', { least: 1, most: 100, call: sprintf }],
  ['urlquery', { least: 1, most: 100, call: (args, offset) => encodeURIComponent(sprint(args, offset)).replaceAll('%20', '+') }],
  ['join', { least: 1, most: 100, call: ([separator, ...parts], offset) => texts(parts, offset).join(show(separator, offset)) }],
] satisfies [string, { least: number; most: number; call: Call }][]);
