/**
 * The tables → what the canonical model looks like, for programs: a JSON schema (docs/compose.schema.json) and TypeScript types
 * (model/stack/gen/compose.ts). The long syntax alone, as `tsorch config` prints it; stack files may say more in fewer words.
 */
import type { JsonObject } from '../types.ts';
import { describeVerdict } from './describe.ts';
import { service } from './service.ts';
import { definitions, topKeys } from './top.ts';
import type { Field, ObjectShape, Shape } from './shape.ts';

/** Keys that are done with when the files have become one. */
const consumed = new Set(['include', 'version', 'extends', 'env_file', 'label_file', 'models']);

const named: readonly (readonly [string, ObjectShape])[] = [['service', service], ...Object.entries(definitions)];

/** Objects that stand at several places, by the name of the first: they are written once. */
function shared(): ReadonlyMap<ObjectShape, string> {
  const seen = new Map<ObjectShape, { readonly name: string; times: number }>();
  const walk = (shape: Shape, place: string): void => {
    if (shape.kind === 'list' || shape.kind === 'map' || shape.kind === 'short') return walk(shape.of, place);
    if (shape.kind !== 'object') return undefined;
    const known = seen.get(shape);
    if (known) {
      known.times += 1;
      return undefined;
    }
    seen.set(shape, { name: place.charAt(0).toLowerCase() + place.slice(1), times: named.some(([, one]) => one === shape) ? 2 : 1 });
    for (const [key, field] of fieldsOf(shape)) walk(field.shape, `${place}${capital(key)}`);
    return undefined;
  };
  for (const [name, shape] of named) walk(shape, capital(name));
  return new Map([...seen].filter(([, { times }]) => times > 1).map(([shape, { name }]) => [shape, name]));
}

export function renderSchema(): string {
  const sections = Object.entries(topKeys).filter(([key]) => !consumed.has(key) && key !== 'name');
  const defs = shared();
  const schema: JsonObject = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'tsorch stack, canonical form',
    description: 'What tsorch config prints: one Compose document with all files merged, variables filled in, everything in long syntax, paths absolute. Made from the tables of model/stack/schema.',
    type: 'object',
    required: ['name', 'services'],
    properties: {
      name: { type: 'string', pattern: '^[a-z0-9][a-z0-9_-]{0,62}$' },
      ...Object.fromEntries(sections.map(([key, field]) => [key, { ...schemaOf(field.shape, defs) }])),
    },
    patternProperties: extension,
    additionalProperties: false,
    $defs: Object.fromEntries([...defs].map(([shape, name]) => [name, objectSchema(shape, defs)])),
  };
  return `${JSON.stringify(schema, null, 2)}\n`;
}

const extension: JsonObject = { '^x-': {} };

type Defs = ReadonlyMap<ObjectShape, string>;

function schemaOf(shape: Shape, defs: Defs): JsonObject {
  switch (shape.kind) {
    case 'any': return shape.as ? schemaOf(shape.as, defs) : {};
    case 'string': return { type: 'string' };
    case 'enum': return { enum: [...shape.values] };
    case 'bool': return { type: 'boolean' };
    case 'int': return { type: 'integer', ...bounds(shape) };
    case 'number': return { type: 'number', ...bounds(shape) };
    case 'duration': return { type: 'string', pattern: '^([0-9.]+(h|m|s|ms))+$' };
    case 'micros': return { type: 'integer', minimum: 0 };
    case 'bytes': return { type: 'string', pattern: shape.free === true ? '^(-1|[0-9]+)$' : '^[0-9]+$' };
    case 'mode': return { type: 'integer', minimum: 0, maximum: 0o7777 };
    case 'list': return { type: 'array', items: schemaOf(shape.of, defs) };
    case 'words': case 'tuple': case 'test': return { type: 'array', items: { type: 'string' } };
    case 'pairs': return { type: 'object', additionalProperties: { type: shape.bare === 'null' ? ['string', 'null'] : 'string' } };
    case 'hosts': return { type: 'object', additionalProperties: { type: 'array', items: { type: 'string' } } };
    case 'map': return { type: 'object', additionalProperties: schemaOf(shape.of, defs) };
    case 'short': return schemaOf(shape.of, defs);
    case 'object': {
      const known = defs.get(shape);
      return known === undefined ? objectSchema(shape, defs) : { $ref: `#/$defs/${known}` };
    }
  }
}

function bounds({ min, max }: { readonly min?: number; readonly max?: number }): JsonObject {
  return { ...(min === undefined ? {} : { minimum: min }), ...(max === undefined ? {} : { maximum: max }) };
}

function objectSchema(shape: ObjectShape, defs: Defs): JsonObject {
  return {
    type: 'object',
    ...(shape.required === undefined ? {} : { required: [...shape.required] }),
    properties: Object.fromEntries(fieldsOf(shape).map(([key, field]) => [key, { ...(isPlain(field) ? {} : { description: describeVerdict(field.verdict) }), ...schemaOf(field.shape, defs) }])),
    patternProperties: extension,
    additionalProperties: false,
  };
}

function isPlain({ verdict }: Field): boolean {
  return verdict.kind === 'works' && verdict.note === undefined;
}

function fieldsOf(shape: ObjectShape): readonly (readonly [string, Field])[] {
  return Object.entries(shape.keys).filter(([key]) => !consumed.has(key)).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** The same as types. Aliases, not interfaces: they can be passed where any JSON is wanted. */
export function renderTypes(): string {
  const types = new Map<ObjectShape, { readonly name: string; readonly text: string }>();
  for (const [name, shape] of named) nameType(shape, capital(name), types);
  const sections = Object.entries(topKeys).filter(([key]) => !consumed.has(key) && key !== 'name' && key !== 'services');
  const document = [
    '/** The stack after interpolation and merging, all in long syntax: what `tsorch config` prints. Loading it again gives the same stack. */',
    'export type ComposeModel = {', '  readonly name: string;', `  readonly services: ${typeOf(topKeys['services']?.shape ?? { kind: 'any' }, types)};`,
    ...sections.map(([key, field]) => `  readonly ${key}?: ${typeOf(field.shape, types)};`), '  readonly [key: `x-${string}`]: Json;', '};',
  ].join('\n');
  return `/** Made from the tables of \`model/stack/schema\` by \`node docs/generate.ts\`; do not edit. */\nimport type { Json } from '../types.ts';\n\n${document}\n\n${[...types.values()].map(({ text }) => text).join('\n\n')}\n`;
}

type Types = Map<ObjectShape, { readonly name: string; readonly text: string }>;

function nameType(shape: ObjectShape, place: string, types: Types): string {
  const known = types.get(shape);
  if (known) return known.name;
  const name = `Compose${place}`;
  types.set(shape, { name, text: '' });
  const lines = fieldsOf(shape).flatMap(([key, field]) => {
    const type = typeOf(field.shape, types, `${place}${capital(key)}`);
    const quoted = /^[a-z0-9_]+$/.test(key) ? key : `'${key}'`;
    return [...(isPlain(field) ? [] : [`  /** ${describeVerdict(field.verdict)} */`]), `  readonly ${quoted}${shape.required?.includes(key) === true ? '' : '?'}: ${type};`];
  });
  types.set(shape, { name, text: [`export type ${name} = {`, ...lines, '  readonly [key: `x-${string}`]: Json;', '};'].join('\n') });
  return name;
}

function typeOf(shape: Shape, types: Types, place = ''): string {
  switch (shape.kind) {
    case 'any': return shape.as ? typeOf(shape.as, types, place) : 'Json';
    case 'string': case 'duration': case 'bytes': return 'string';
    case 'enum': return shape.values.map((value) => `'${value}'`).join(' | ');
    case 'bool': return 'boolean';
    case 'int': case 'number': case 'micros': case 'mode': return 'number';
    case 'list': return listOf(typeOf(shape.of, types, place));
    case 'words': case 'tuple': case 'test': return 'readonly string[]';
    case 'pairs': return mapTo(shape.bare === 'null' ? 'string | null' : 'string');
    case 'hosts': return mapTo('readonly string[]');
    case 'map': return mapTo(typeOf(shape.of, types, place));
    case 'short': return nameType(shape.of, place, types);
    case 'object': return nameType(shape, place, types);
  }
}

function listOf(type: string): string {
  return `readonly ${/[ |]/.test(type) ? `(${type})` : type}[]`;
}

function mapTo(type: string): string {
  return `{ readonly [name: string]: ${type} }`;
}

/** `update_config` → `UpdateConfig`. */
function capital(key: string): string {
  return key.split(/[_-]/).map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
}
