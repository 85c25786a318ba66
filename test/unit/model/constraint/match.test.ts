import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { explainConstraint } from '../../../../model/constraint/explain.ts';
import { compileGlob, compileHard, matches } from '../../../../model/constraint/match.ts';
import { canNeverMatch } from '../../../../model/constraint/never.ts';
import { parseConstraint, type Dialect } from '../../../../model/constraint/parse.ts';
import type { Constraint, ConstraintTarget } from '../../../../model/constraint/types.ts';

const node: ConstraintTarget = {
  id: 'n1id', name: 'node-1', address: '10.0.3.7', role: 'worker', os: 'linux', arch: 'x86_64',
  labels: { type: 'frontend', zone: 'EU-west', path: 'f*o' },
  engineLabels: { storage: 'ssd', operatingsystem: 'Debian GNU/Linux 12' },
};

function parse(text: string, dialect: Dialect = 'auto'): Constraint {
  const result = parseConstraint(text, dialect);
  if ('error' in result) throw new Error(`${text}: ${result.error}`);
  return result.ok;
}

describe('matches', () => {
  const rows: readonly (readonly [string, boolean, Dialect?])[] = [
    ['type==frontend', true], ['type==FRONTEND', true], ['type==backend', false], ['type!=frontend', false], ['type!=backend', true],
    ['Type==frontend', false],
    ['type==front', false], ['type==front*', true], ['type==*end', true], ['type==f*t*d', true], ['type==f*x*d', false], ['type==*', true],
    ['type==fronten.', false], ['type==a|frontend', false],
    ['type==/ont/', true], ['type==/^ont/', false], ['type==/FRONT/', false], ['type==/(?i)FRONT/', true], ['type!=/ont/', false],
    ['type==/front(end|side)$/', true],
    // A missing label is the empty string.
    ['gone==x', false], ['gone!=x', true], ['gone==*', true], ['gone==/^$/', true], ['gone==/./', false], ['type==/./', true],
    ['constructor==x', false], ['constructor==/native/', false],
    ['node.labels.zone == eu-WEST', true],
    ['path==f*o', true, 'swarm-mode'], ['type==f*d', false, 'swarm-mode'],
    ['engine.labels.storage==ssd', true], ['engine.labels.type==frontend', false], ['operatingsystem==Debian*', true],
    ['node==node-1', true], ['node==n1id', true], ['node!=node-1', false], ['node!=n1id', false], ['node!=node-2', true], ['node==/node-[12]/', true],
    ['node.id==n1id', true], ['node.id==node-1', false], ['node.hostname==node-1', true],
    ['node.role==worker', true], ['node.role!=manager', true], ['node.platform.os==Linux', true],
    ['node.platform.arch==x86_64', true], ['node.platform.arch==amd64', true], ['node.platform.arch!=amd64', false], ['node.platform.arch==arm64', false],
    ['node.ip==10.0.3.7', true], ['node.ip==10.0.0.0/16', true], ['node.ip==10.1.0.0/16', false], ['node.ip!=10.0.0.0/16', false],
    ['node.ip==0.0.0.0/0', true], ['node.ip==::/0', false], ['node.ip==10.0.*', true],
    ['type==~backend', false],
  ];
  test.each(rows.map(([text, expected, dialect = 'auto' as const]) => ({ text, expected, dialect })))('$text → $expected', ({ text, expected, dialect }) => {
    expect(matches(parse(text, dialect), node)).toBe(expected);
  });

  test('IPv6 blocks', () => {
    const six = { ...node, address: '2001:db8::7' };
    expect(matches(parse('node.ip==2001:db8::/32'), six)).toBe(true);
    expect(matches(parse('node.ip==2001:db8:0:0:0:0:0:7'), six)).toBe(true);
    expect(matches(parse('node.ip==2001:db9::/32'), six)).toBe(false);
  });

  test('hard expressions are all needed, soft ones are not', () => {
    expect(compileHard(['type==frontend', 'zone==~nowhere'].map((text) => parse(text)))(node)).toBe(true);
    expect(compileHard(['type==frontend', 'zone==nowhere'].map((text) => parse(text)))(node)).toBe(false);
  });

  test('a regex that backtracking engines die of is linear', () => {
    const evil = { ...node, labels: { type: `${'a'.repeat(20_000)}!` } };
    expect(matches(parse('type==/^(a+)+$/'), evil)).toBe(false);
    expect(compileGlob('*a*a*a*a*a*a*a*a*b')('a'.repeat(20_000))).toBe(false);
  });

  test('== and != are opposites on every node', () => {
    fc.assert(fc.property(fc.stringMatching(/^[a-z*.]{1,8}$/), fc.stringMatching(/^[a-z]{0,8}$/), (pattern, value) => {
      const target = { ...node, labels: { type: value } };
      expect(matches(parse(`type==${pattern}`), target)).toBe(!matches(parse(`type!=${pattern}`), target));
    }));
  });

  test('a glob agrees with the regex it stands for', () => {
    fc.assert(fc.property(fc.stringMatching(/^[ab*.]{0,7}$/), fc.stringMatching(/^[ab.]{0,9}$/), (glob, value) => {
      const source = glob.split('*').map((part) => part.replaceAll('.', '\\.')).join('.*');
      expect(compileGlob(glob)(value)).toBe(new RegExp(`^${source}$`).test(value));
    }), { numRuns: 2000 });
  });
});

describe('canNeverMatch', () => {
  test.each<readonly [readonly string[], RegExp | null]>([
    [['a==x', 'a==y'], /a==x and a==y exclude each other/],
    [['a==x', 'a==X'], null],
    [['a==x', 'b==y'], null],
    [['a==x', 'a!=x'], /a==x and a!=x/],
    [['a==x', 'a!=y'], null],
    [['a==x', 'a==~y'], null],
    [['a==foo', 'a==f*'], null],
    [['a==foo', 'a==g*'], /exclude/],
    [['a==foo', 'a!=f*'], /exclude/],
    [['a!=*'], /can never hold/],
    [['a==123', 'a==/^4/'], /exclude/],
    [['a==foo', 'a==/FOO/'], null],
    [['node.labels.a==x', 'a==y'], /exclude/],
    [['engine.labels.a==x', 'a==y'], null],
    [['node.role==manager', 'node.role==worker'], /exclude/],
    [['node==a', 'node==b'], null],
    [['node.platform.arch==amd64', 'node.platform.arch==x86_64'], null],
    [['node.ip==10.0.0.0/8', 'node.ip==10.1.0.0/16'], null],
    [['node.ip==10.0.0.0/8', 'node.ip==11.0.0.0/8'], /exclude/],
    [['node.ip==10.1.0.0/16', 'node.ip!=10.0.0.0/8'], /exclude/],
    [['node.ip==10.0.0.0/8', 'node.ip!=10.1.0.0/16'], null],
  ])('%j', (texts, expected) => {
    const answer = canNeverMatch(texts.map((text) => parse(text)));
    if (expected === null) expect(answer).toBeNull();
    else expect(answer).toMatch(expected);
  });

  test('is sound: what it condemns no node satisfies', () => {
    const text = fc.tuple(fc.constantFrom('a', 'b'), fc.constantFrom('==', '!='), fc.constantFrom('x', 'X', 'xy', 'x*', '*', '*y', '/x/', '/^$/', '7', '/7/'))
      .map((parts) => parts.join(''));
    fc.assert(fc.property(fc.array(text, { maxLength: 4 }), fc.constantFrom('', 'x', 'X', 'xy', '7'), fc.constantFrom('', 'x', 'XY', '7'), (texts, a, b) => {
      const constraints = texts.map((one) => parse(one));
      if (canNeverMatch(constraints) === null) return;
      expect(compileHard(constraints)({ ...node, labels: { a, b } })).toBe(false);
    }), { numRuns: 3000 });
  });
});

describe('explainConstraint', () => {
  const nodes = (['', 'backend', 'backend', 'frontend'] as const).map((type, index) => ({
    ...node, id: `n${index + 1}`, name: `node-${index + 1}`, labels: type === '' ? {} : { type },
  }));
  test.each([
    ['type==frontend', 2, 'no node has type=frontend; labels seen: none (node-1), type=backend (node-2)'],
    ['type==frontend', 3, 'no node has type=frontend; labels seen: type=backend (node-2, node-3), none (node-1)'],
    ['type==frontend', 4, '2 nodes (node-2, node-3) have type=backend, node-1 has no type'],
    ['type!=backend', 4, '2 nodes (node-2, node-3) have type=backend'],
    ['type!=*', 2, 'every node has type like *; labels seen: none (node-1), type=backend (node-2)'],
    ['node.hostname==web', 2, 'no node has node.hostname=web; seen: node.hostname=node-1 (node-1), node.hostname=node-2 (node-2)'],
    ['type==/x+/', 1, 'no node has type matching /x+/; labels seen: none (node-1)'],
    ['type==*', 4, ''],
    ['type==x', 0, 'there are no nodes'],
  ])('%s on %i nodes', (text, count, expected) => {
    expect(explainConstraint(parse(text), nodes.slice(0, count))).toBe(expected);
  });
});
