/** Specs that no loader has seen, sent to the master as they are: refused by schema or check, quickly, with the place. */
import { fastify, type FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkStack } from '../../../../master/apply/check.ts';
import { installErrors } from '../../../../master/api/errors.ts';
import { StackSchema } from '../../../../master/api/schema/stack.ts';
import { stackLimits } from '../../../../model/limits.ts';
import type { ServiceSpec, StackSpec } from '../../../../model/spec.ts';
import type { Maps } from '../../../../master/world.ts';
import { loadStack } from '../../../../model/stack/load.ts';
import { makeSpec } from '../scheduler/make.ts';

const kinds = ['cluster', 'ca', 'tokens', 'stacks', 'services', 'revisions', 'servicestatus', 'pods', 'podstatus', 'staticpods', 'nodes', 'nodestatus', 'sessions', 'networks', 'volumes', 'secrets', 'configs', 'events'];
const maps = Object.fromEntries(kinds.map((kind) => [kind, new Map()])) as unknown as Maps;

let app: FastifyInstance;
beforeAll(async () => {
  app = fastify({ bodyLimit: 16 * 1024 * 1024, ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false, allErrors: false } } });
  installErrors(app, { debug() {}, info() {}, warn() {}, error() {}, child: () => { throw new Error('none'); } } as unknown as Parameters<typeof installErrors>[1]);
  app.put<{ Body: StackSpec }>('/', { schema: { body: StackSchema } }, async ({ body }) => {
    checkStack(maps, body);
    return {};
  });
  await app.ready();
});
afterAll(() => app.close());

function stack(service: Partial<ServiceSpec> = {}, rest: Partial<StackSpec> = {}): StackSpec {
  return { name: 'shop', services: { web: { ...makeSpec(), ...service } }, networks: {}, volumes: {}, secrets: {}, configs: {}, ...rest };
}

async function send(spec: unknown): Promise<{ readonly status: number; readonly body: string }> {
  const response = await app.inject({ method: 'PUT', url: '/', payload: spec as object });
  return { status: response.statusCode, body: response.body };
}

const placement = makeSpec().placement;
const regex = (value: string) => ({ subject: { kind: 'label', key: 'a' }, op: '==', pattern: { kind: 'regex', value }, soft: false, source: `a==/${value.slice(0, 100)}/` } as const);
const many = <T>(count: number, make: (index: number) => T): Record<string, T> => Object.fromEntries(Array.from({ length: count }, (_, index) => [`n${index}`, make(index)]));
const network = (index: number) => ({ name: `shop_n${index}`, external: false, internal: false, driver: 'overlay', driverOpts: {}, labels: {} });

describe('what the loader makes passes', () => {
  test.each([
    'services: { web: { image: x, ports: ["80:80"], x-constraints: [hostname:UNIQUE, "rack:MAX_PER:2", "rack:LIKE:a|b"], x-affinities: ["container==~web", "image!=y"], environment: ["reschedule:off", "whitelist:node==a|b"] } }',
    'services: { web: { image: x, deploy: { mode: global, placement: { constraints: ["type==~/a+/"], preferences: [{ spread: zone }] } }, secrets: [s], tmpfs: [/run], volumes: ["v:/d", "./x:/y"] } }\nvolumes: { v: }\nsecrets: { s: { content: x } }',
  ])('%s', async (text) => {
    const result = loadStack({ files: [{ path: 's.yml', content: text }], env: {}, workingDir: '/shop', readFile: () => null });
    expect(result.ok ? [] : result.errors).toEqual([]);
    if (result.ok) expect(await send(JSON.parse(JSON.stringify(result.stack)))).toEqual({ status: 200, body: '{}' });
  });
});

describe('what hurts is refused', () => {
  test.each<[string, unknown, RegExp]>([
    ['a regex that is too large', stack({ placement: { ...placement, constraints: [regex('(x{900}){900}')] } }), /services\.web: .*(invalid repeat|too large)/],
    ['a regex that is none', stack({ placement: { ...placement, affinities: [{ ...regex('('), subject: { kind: 'image' } }] } }), /bad regular expression: missing closing/],
    ['an operator with one', stack({ placement: { ...placement, operators: [{ subject: { kind: 'hostname' }, operator: 'LIKE', value: '[', source: 'hostname:LIKE:[' }] } }), /hostname:LIKE:\[: bad regular expression/],
    ['many expressions', stack({ placement: { ...placement, constraints: Array.from({ length: 101 }, () => regex('a')) } }), /constraints/],
    ['many regexes', { ...stack(), services: many(20, (index) => makeSpec({ name: `n${index}`, placement: { ...placement, constraints: Array.from({ length: 60 }, (_, each) => regex(`a${index}b${each}`)) } })) }, /more than 1000 different regular expressions/],
    ['100k networks', stack({}, { networks: many(100_000, network) }), /networks/],
    ['100k secrets', stack({}, { secrets: many(100_000, (index) => ({ name: `s${index}`, external: false, labels: {} })) }), /secrets/],
    ['a long name of a service', { ...stack(), services: { ['x'.repeat(1_000_000)]: makeSpec({ name: 'x'.repeat(1_000_000) }) } }, /services/],
    ['a long name of a network', stack({}, { networks: { n: { ...network(0), name: 'n'.repeat(100_000) } } }), /name/],
    ['a long stack name', { ...stack(), name: 'x'.repeat(10_000) }, /name/],
    ['a name that climbs', { ...stack(), name: '../../etc' }, /is not a name/],
    ['a huge number of replicas', stack({ mode: { kind: 'replicated', replicas: 1e15 } }), /replicas|mode/],
    ['contradictions', stack({ placement: { ...placement, constraints: [regex('^a$'), { ...regex(''), pattern: { kind: 'literal', value: '1' } }, { ...regex(''), pattern: { kind: 'literal', value: '2' } }] } }), /no node can ever match/],
    ['unknown fields', stack({ extra: 1 } as object), /services\.web\.extra is not known here/],
    ['__proto__', JSON.parse('{"name":"shop","services":{"__proto__":{}},"networks":{},"volumes":{},"secrets":{},"configs":{}}'), /./],
  ])('%s', async (_, spec, message) => {
    const before = process.cpuUsage();
    const { status, body } = await send(spec);
    const { user, system } = process.cpuUsage(before);
    expect(status).toBe(400);
    expect(body).toMatch(message);
    expect(body.length).toBeLessThan(5000);
    // Of processor time, which a busy machine does not stretch.
    expect((user + system) / 1000).toBeLessThan(1000);
  });

  test('a catastrophic regex is matched in no time', async () => {
    const spec = stack({ placement: { ...placement, constraints: [regex('(a+)+$'), { ...regex(''), pattern: { kind: 'literal', value: `${'a'.repeat(1000)}!` } }] } });
    const before = process.cpuUsage();
    await send(spec);
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(1000);
  });

  test('the limits are those of the loader', () => {
    const text = `services: { web: { image: x } }\nnetworks:\n${Array.from({ length: stackLimits.networks + 1 }, (_, index) => `  n${index}:`).join('\n')}\n`;
    const result = loadStack({ files: [{ path: 's.yml', content: text }], env: {}, workingDir: '/shop', readFile: () => null });
    expect(result.ok ? [] : result.errors.map(({ at, message }) => `${at.line}: ${message}`)).toEqual(['3: 1001 networks are more than 1000, the limit for one stack']);
  });
});
