/** Affinities: their grammar, what they match, and contradictions of operators. */
import { describe, expect, test } from 'vitest';
import { compileAffinity, parseAffinity, type AffinityTarget } from '../../../../model/constraint/affinity.ts';
import { neverPlaced } from '../../../../model/constraint/never.ts';
import { asConstraints, parseOperator } from '../../../../model/constraint/operator.ts';
import { parseConstraint } from '../../../../model/constraint/parse.ts';
import type { Affinity, Constraint, PlacementOperator } from '../../../../model/constraint/types.ts';

function affinity(text: string, dialect: 'auto' | 'classic' = 'auto'): Affinity {
  const result = parseAffinity(text, dialect);
  if ('error' in result) throw new Error(result.error);
  return result.ok;
}

describe('grammar', () => {
  test.each<[string, Partial<Affinity>]>([
    ['container==db', { subject: { kind: 'container' }, op: '==', pattern: { kind: 'literal', value: 'db' }, soft: false, source: 'container==db' }],
    ['affinity:container!=~*web*', { op: '!=', pattern: { kind: 'glob', value: '*web*' }, soft: true, source: 'container!=~*web*' }],
    ['image==redis', { subject: { kind: 'image' } }],
    ['com.example.tier==/front|back/', { subject: { kind: 'label', key: 'com.example.tier' }, pattern: { kind: 'regex', value: 'front|back' } }],
    ['  Container == db', { subject: { kind: 'container' } }],
  ])('%s', (text, expected) => expect(affinity(text)).toMatchObject(expected));

  test.each<[string, string, number]>([
    ['container=db', '= is not an operator; did you mean container==db?', 12], ['container==', 'the value is missing; nodes without the label are KEY==/^$/, nodes with any value KEY==/./', 11], ['constraint:a==b', 'constraint: is not an affinity', 0],
    ['affinity:a b==c', 'a space is not allowed in a key', 10], ['container==/(/', 'bad regular expression: missing closing )', 12],
  ])('%s', (text, error, offset) => {
    const result = parseAffinity(text);
    expect(result).toMatchObject({ error: expect.stringContaining(error.split(';')[0] ?? error), offset });
  });

  test('a catastrophic expression is harmless, a huge one refused', () => {
    const matcher = compileAffinity(affinity('image==/(a+)+$/'), 's');
    const begun = performance.now();
    expect(matcher.service({ stack: 's', service: 'x', images: [`${'a'.repeat(5000)}b`], labels: [] })).toBe(false);
    expect(performance.now() - begun).toBeLessThan(1000);
    expect(parseAffinity(`image==/(a{900}){900}/`)).toHaveProperty('error');
    expect(parseAffinity(`image==${'a'.repeat(2000)}`)).toHaveProperty('error');
  });
});

describe('matching', () => {
  const target: AffinityTarget = { stack: 'shop', service: 'web', images: ['docker.io/library/redis:7@sha256:00'], labels: [{ tier: 'front' }, { team: 'a' }] };
  test.each<[string, string, boolean, boolean]>([
    // expression, stack that asks, the service, its second pod
    ['container==web', 'shop', true, false], ['container==web', 'other', false, false], ['container==shop_web', 'other', true, false], ['container==shop_web.2', 'other', false, true], ['container==shop_web_2', 'other', false, true],
    ['container==web.2', 'shop', false, true], ['container==web.1', 'shop', false, false], ['container==pod2', 'x', false, true], ['container==*eb', 'shop', true, false], ['container==/^shop_/', 'x', true, true],
    ['image==redis', 'x', true, false], ['image==redis:7', 'x', true, false], ['image==docker.io/library/redis', 'x', true, false], ['image==redis:6', 'x', false, false], ['image==re*', 'x', true, false],
    ['tier==front', 'x', true, false], ['team==a', 'x', true, false], ['tier==back', 'x', false, false], ['constructor==*', 'x', false, false], ['other==*', 'x', false, false],
  ])('%s by %s', (text, stack, service, pod) => {
    const matcher = compileAffinity(affinity(text), stack);
    expect([matcher.service(target), matcher.pod(target, 2, 'pod2')]).toEqual([service, pod]);
  });
});

function operator(...pieces: string[]): PlacementOperator {
  const result = parseOperator(pieces);
  if ('error' in result) throw new Error(result.error);
  return result.ok;
}

describe('operators', () => {
  test.each<[string[], Partial<PlacementOperator>]>([
    [['hostname', 'UNIQUE'], { subject: { kind: 'hostname' }, operator: 'UNIQUE', source: 'hostname:UNIQUE' }], [['@hostname', 'unique'], { subject: { kind: 'hostname' }, operator: 'UNIQUE' }],
    [['rack', 'GROUP_BY'], { subject: { kind: 'label', key: 'rack' }, operator: 'GROUP_BY', count: 0 }], [['rack', 'GROUP_BY', '3'], { count: 3, source: 'rack:GROUP_BY:3' }], [['rack', 'MAX_PER', '2'], { operator: 'MAX_PER', count: 2 }],
    [['rack', 'CLUSTER'], { operator: 'CLUSTER' }], [['rack', 'CLUSTER', 'r1'], { operator: 'CLUSTER', value: 'r1' }], [['node.labels.rack', 'LIKE', 'r[1-3]'], { subject: { kind: 'label', key: 'rack' }, value: 'r[1-3]' }], [['node.ip', 'UNLIKE', '10\\..*'], { subject: { kind: 'ip' } }],
  ])('%j', (pieces, expected) => expect(operator(...pieces)).toMatchObject(expected));

  test.each<[string[], string, number, string?]>([
    [['hostname'], 'after hostname must come an operator', 0], [['hostname', 'UNIQ'], 'there is no operator "UNIQ"', 1, 'did you mean UNIQUE?'], [['hostname', 'UNIQUE', 'x'], 'UNIQUE has no value', 2], [['rack', 'MAX_PER'], 'MAX_PER needs a number', 1], [['rack', 'MAX_PER', '0'], 'from 1', 2],
    [['rack', 'MAX_PER', 'two'], 'from 1', 2], [['rack', 'LIKE'], 'LIKE needs a regular expression', 1], [['rack', 'LIKE', '('], 'bad regular expression', 2], [['', 'UNIQUE'], 'the field is missing', 0], [['node.hostnam', 'UNIQUE'], 'there is no node.hostnam', 0], [['a b', 'UNIQUE'], 'no field', 0],
    [['rack', 'GROUP_BY', '-1'], 'from 1', 2], [['rack', 'MAX_PER', '1', '2'], 'at most one value', 2],
  ])('%j', (pieces, error, part, hint) => {
    const result = parseOperator(pieces);
    expect(result).toMatchObject({ error: expect.stringContaining(error), part, ...(hint === undefined ? {} : { hint }) });
  });

  test('LIKE is the whole value, and wants one', () => {
    expect(asConstraints(operator('rack', 'LIKE', 'a|b')).map(({ op, pattern }) => [op, pattern.value])).toEqual([['==', '.'], ['==', '^(?:a|b)$']]);
    expect(asConstraints(operator('rack', 'UNLIKE', 'a|b')).map(({ op, pattern }) => [op, pattern.value])).toEqual([['!=', '^(?:a|b)$']]);
  });
});

describe('never', () => {
  const constraint = (text: string): Constraint => {
    const result = parseConstraint(text);
    if ('error' in result) throw new Error(result.error);
    return result.ok;
  };
  test.each<[string[], string[][], string | null, string?]>([
    [['node.role==mangaer'], [], 'node.role==mangaer can never hold: node.role is manager or worker'], [['node.role!=/x|worker/'], [], null], [['node.role!=/./'], [], "node.role!=/./ can never hold: every node's node.role is manager or worker"],
    [['node.platform.os==windows'], [], 'node.platform.os==windows can never hold: node.platform.os is linux'], [['node.platform.os!=linux'], [], "every node's node.platform.os is linux"], [['rack==r1'], [['rack', 'CLUSTER', 'r2']], 'rack==r1 and rack:CLUSTER:r2 exclude each other', 'rack:CLUSTER:r2'],
    [['rack==1'], [['rack', 'LIKE', '[2-3]']], 'rack==1 and rack:LIKE:[2-3] exclude each other', 'rack:LIKE:[2-3]'], [['rack==r1'], [['rack', 'CLUSTER', 'r1'], ['hostname', 'UNIQUE']], null], [['a==x', 'a==y'], [], 'a==x and a==y exclude each other', 'a==y'],
  ])('%j %j', (texts, operators, message, source) => {
    const never = neverPlaced({ constraints: texts.map(constraint), operators: operators.map((pieces) => operator(...pieces)) });
    if (message === null) expect(never).toBeNull();
    else expect(never?.message).toContain(message);
    if (source !== undefined) expect(never?.source).toBe(source);
  });
});
