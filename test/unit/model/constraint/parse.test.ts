import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseConstraint, parseSpread, type Dialect } from '../../../../model/constraint/parse.ts';
import type { Constraint } from '../../../../model/constraint/types.ts';

const type = { kind: 'label', key: 'type' } as const;
const literal = (value: string) => ({ kind: 'literal', value }) as const;
const glob = (value: string) => ({ kind: 'glob', value }) as const;
const regex = (value: string) => ({ kind: 'regex', value }) as const;

type Row = readonly [text: string, dialect: Dialect, expected: Partial<Constraint>];

const accepted: readonly Row[] = [
  // bare
  ['type==frontend', 'auto', { subject: type, op: '==', pattern: literal('frontend'), soft: false, source: 'type==frontend' }],
  ['type!=frontend', 'auto', { subject: type, op: '!=', pattern: literal('frontend') }],
  ['  type ==  front end ', 'auto', { subject: type, pattern: literal('front end'), source: 'type ==  front end' }],
  ['type==front*', 'auto', { pattern: glob('front*') }],
  ['type==/front.*/', 'auto', { pattern: regex('front.*') }],
  ['type==~frontend', 'auto', { pattern: literal('frontend'), soft: true }],
  ['type != ~ front*', 'auto', { op: '!=', pattern: glob('front*'), soft: true }],
  ['type==~/(?i)re/', 'auto', { pattern: regex('(?i)re'), soft: true }],
  ['a==x', 'auto', { subject: { kind: 'label', key: 'a' }, pattern: literal('x') }],
  ['com.example/tier==é,ü@{}', 'auto', { subject: { kind: 'label', key: 'com.example/tier' }, pattern: literal('é,ü@{}') }],
  ['type==a==b', 'auto', { pattern: literal('a==b') }],
  ['type===x', 'auto', { pattern: literal('=x') }],
  ['type==/var/lib', 'auto', { pattern: literal('/var/lib') }],
  ['type==x{2,3}', 'auto', { pattern: literal('x{2,3}') }],
  ['constraint:type==frontend', 'auto', { subject: type, source: 'type==frontend' }],
  // Swarm mode
  ['node.labels.type == frontend', 'auto', { subject: type, op: '==', pattern: literal('frontend'), source: 'node.labels.type == frontend' }],
  ['node.labels.type == frontend', 'swarm-mode', { subject: type, pattern: literal('frontend') }],
  ['NODE.LABELS.Type==x', 'swarm-mode', { subject: { kind: 'label', key: 'Type' } }],
  ['node.labels.a.b-c_d==x', 'auto', { subject: { kind: 'label', key: 'a.b-c_d' } }],
  ['engine.labels.storage!=ssd', 'swarm-mode', { subject: { kind: 'engine', key: 'storage' }, op: '!=' }],
  ['Engine.Labels.Storage==ssd', 'auto', { subject: { kind: 'engine', key: 'Storage' } }],
  ['node.id==2ivku8v2gvtg4', 'auto', { subject: { kind: 'id' } }],
  ['node.hostname != node-2', 'auto', { subject: { kind: 'hostname' }, op: '!=' }],
  ['node.hostname==web-*', 'auto', { subject: { kind: 'hostname' }, pattern: glob('web-*') }],
  ['node.Role==manager', 'auto', { subject: { kind: 'role' } }],
  ['node.platform.os==linux', 'auto', { subject: { kind: 'os' } }],
  ['node.platform.arch==x86_64', 'auto', { subject: { kind: 'arch' } }],
  ['node.ip==10.0.0.1', 'auto', { subject: { kind: 'ip' }, pattern: literal('10.0.0.1') }],
  ['node.ip==10.0.0.0/8', 'swarm-mode', { subject: { kind: 'ip' }, pattern: literal('10.0.0.0/8') }],
  ['node.ip==2001:db8::/32', 'swarm-mode', { subject: { kind: 'ip' }, pattern: literal('2001:db8::/32') }],
  ['node.ip==10.0.*', 'auto', { subject: { kind: 'ip' }, pattern: glob('10.0.*') }],
  ['type==f*o', 'swarm-mode', { pattern: literal('f*o') }],
  ['type==/re/', 'swarm-mode', { pattern: literal('/re/') }],
  // classic
  ['constraint:type==frontend', 'classic', { subject: type, op: '==', pattern: literal('frontend'), soft: false, source: 'type==frontend' }],
  ['type==frontend', 'classic', { subject: type }],
  ['constraint:type!=~front*', 'classic', { op: '!=', pattern: glob('front*'), soft: true }],
  ['constraint:type==~/re/', 'classic', { pattern: regex('re'), soft: true }],
  ['constraint:type==/node-[12]$/', 'classic', { pattern: regex('node-[12]$') }],
  ['constraint:node==node-1', 'classic', { subject: { kind: 'node' } }],
  ['constraint:storagedriver==overlay*', 'classic', { subject: { kind: 'engine', key: 'storagedriver' } }],
  ['constraint:operatingsystem==/(?i)debian/', 'classic', { subject: { kind: 'engine', key: 'operatingsystem' } }],
  ['constraint:kernelversion==6*', 'auto', { subject: { kind: 'engine', key: 'kernelversion' } }],
  ['constraint:executiondriver==native-0.2', 'classic', { subject: { kind: 'engine', key: 'executiondriver' } }],
  ['constraint:type==a|b', 'classic', { pattern: literal('a|b') }],
  ['constraint:type==*', 'classic', { pattern: glob('*') }],
];

const refused: readonly (readonly [text: string, dialect: Dialect, message: RegExp, offset: number])[] = [
  ['', 'auto', /the constraint is empty/, 0],
  ['   ', 'auto', /the constraint is empty/, 0],
  ['type', 'auto', /no == or !=/, 4],
  ['type=frontend', 'auto', /did you mean type==frontend\?/, 13],
  ['type==', 'auto', /value is missing/, 6],
  ['type== ', 'auto', /value is missing/, 7],
  ['type==~', 'auto', /value is missing/, 7],
  ['==x', 'auto', /key is missing/, 0],
  ['ty pe==x', 'auto', /space is not allowed in a key/, 2],
  ['type!==x', 'auto', /! is not allowed in a key/, 4],
  ['a!=b==c', 'auto', /! is not allowed in a key/, 1],
  ['type==~~x', 'auto', /only one ~/, 7],
  ['type==/', 'auto', /second \//, 7],
  ['type==/(/', 'auto', /bad regular expression: missing closing \)/, 7],
  ['type==/a(?=b)/', 'auto', /bad regular expression/, 7],
  ['type==/(a)\\1/', 'auto', /bad regular expression/, 7],
  ['type==/((a{100}){100}){100}/', 'auto', /bad regular expression: invalid repeat count/, 7],
  ['type==x\u0000', 'auto', /not allowed in a value/, 7],
  ['-type==x', 'auto', /may not begin with -/, 0],
  ['node.ip==10.0.0.300', 'auto', /neither an address nor a block/, 9],
  ['node.ip==10.0.0.0/33', 'auto', /neither an address nor a block/, 9],
  ['node.label.zone==a', 'auto', /did you mean node\.labels\.zone\?/, 0],
  ['node.lables.zone==a', 'auto', /did you mean node\.labels\.zone\?/, 0],
  ['node.hostnam==a', 'auto', /did you mean node\.hostname\?/, 0],
  ['node.name==a', 'auto', /did you mean node\.hostname\?/, 0],
  ['node.os==linux', 'auto', /did you mean node\.platform\.os\?/, 0],
  ['node.Arch==x', 'auto', /did you mean node\.platform\.arch\?/, 0],
  ['node.zone==a', 'auto', /a label of the node is node\.labels\.zone/, 0],
  ['  node.zone==a', 'swarm-mode', /there is no node\.zone/, 2],
  ['engine.storage==a', 'auto', /did you mean engine\.labels\.storage\?/, 0],
  ['node.labels.==a', 'auto', /lacks the label's name/, 12],
  ['affinity:container==db', 'auto', /affinity: is not a constraint/, 0],
  ['constraint:', 'classic', /constraint is empty/, 11],
  ['constraint:type == x', 'classic', /space is not allowed in a key/, 15],
  ['constraint:a==x', 'classic', /too short/, 11],
  ['constraint:1a==x', 'classic', /may not begin with 1/, 11],
  ['constraint:type==a,b', 'classic', /"," is not allowed in a value/, 18],
  ['constraint:type==a=b', 'classic', /= is not allowed in a value/, 18],
  ['constraint:type==~~x', 'classic', /only one ~/, 18],
  ['type==~x', 'swarm-mode', /"~" is not allowed/, 6],
  ['type==x,y', 'swarm-mode', /"," is not allowed/, 7],
  ['t==x', 'swarm-mode', /too short/, 0],
  [`type==${'x'.repeat(1025)}`, 'auto', /at most 1024/, 1024],
];

describe('parseConstraint', () => {
  test.each(accepted)('%j in %s', (text, dialect, expected) => {
    const result = parseConstraint(text, dialect);
    expect(result).toHaveProperty('ok');
    expect('ok' in result && result.ok).toMatchObject(expected);
  });

  test.each(refused)('%j in %s is refused: %s', (text, dialect, message, offset) => {
    const result = parseConstraint(text, dialect);
    expect(result).toMatchObject({ error: expect.stringMatching(message), offset });
  });

  test('never throws, and points into the text', () => {
    const pieces = fc.array(fc.oneof(fc.string(), fc.constantFrom('==', '!=', '~', '/', '*', 'node.', 'labels.', 'constraint:', 'type', '(', '{9}', ' ')), { maxLength: 8 });
    fc.assert(fc.property(pieces, fc.constantFrom<Dialect>('auto', 'swarm-mode', 'classic'), (parts, dialect) => {
      const text = parts.join('');
      const result = parseConstraint(text, dialect);
      if ('error' in result) {
        expect(result.offset).toBeGreaterThanOrEqual(0);
        expect(result.offset).toBeLessThanOrEqual(text.length);
        expect(result.error).not.toBe('');
      } else expect(result.ok.source).not.toBe('');
    }), { numRuns: 2000 });
  });

  test('what was parsed parses again from its source', () => {
    for (const [text, dialect] of accepted) {
      const once = parseConstraint(text, dialect);
      if ('error' in once) throw new Error(once.error);
      expect(parseConstraint(once.ok.source, dialect)).toEqual(once);
    }
  });
});

describe('parseSpread', () => {
  test.each([
    ['node.labels.zone', { kind: 'label', key: 'zone' }],
    ['spread=node.labels.zone', { kind: 'label', key: 'zone' }],
    [' spread = engine.labels.rack', { kind: 'engine', key: 'rack' }],
    ['zone', { kind: 'label', key: 'zone' }],
    ['node.platform.arch', { kind: 'arch' }],
  ])('%j', (text, subject) => {
    expect(parseSpread(text)).toMatchObject({ ok: { subject } });
  });

  test.each([
    ['', /key is missing/, 0],
    ['spread=', /key is missing/, 7],
    ['node.label.zone', /did you mean node\.labels\.zone/, 0],
    ['node.labels.zone==x', /= is not allowed in a key/, 16],
  ])('%j is refused', (text, message, offset) => {
    expect(parseSpread(text)).toMatchObject({ error: expect.stringMatching(message), offset });
  });

  test('never throws', () => {
    fc.assert(fc.property(fc.string(), (text) => {
      parseSpread(text);
    }));
  });
});
