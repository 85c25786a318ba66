/** CDI: files of vendors, what their devices come to together, and what is wrong with some. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseCdi } from '../../../../agent/runtime/cdi/parse.ts';
import { isCdiName, resolveCdi } from '../../../../agent/runtime/cdi/resolve.ts';
import type { CdiFile } from '../../../../agent/runtime/cdi/types.ts';

const text = (name: string) => readFileSync(join(import.meta.dirname, 'cdi', name), 'utf8');
const file = (name: string, path = `/etc/cdi/${name}`): CdiFile => ({ path, spec: parseCdi(text(name)) });
const etc = [file('vendor.yaml'), file('fpga.json')];
const invalid = (message: RegExp) => expect.objectContaining({ code: 'invalid', message: expect.stringMatching(message) as unknown }) as unknown as Error;

test('devices of two vendors together', async () => {
  const edits = resolveCdi(['vendor.com/gpu=1', 'vendor.com/gpu=0', 'other.org/fpga=card', 'vendor.com/gpu=1'], [etc, []]);
  await expect(JSON.stringify(edits, null, 1).replace(/[[{]\s[^[\]{}]*[\]}]/g, (list) => list.replace(/\n\s*/g, ' '))).toMatchFileSnapshot('cdi/together.txt');
});

describe('names', () => {
  test.each([['vendor.com/gpu=0', true], ['vendor.com/gpu=all:x', true], ['/dev/fuse', false], ['vendor.com/gpu', false], ['gpu=0', false], ['/a/b=c', false]])('%s: %s', (name, is) => {
    expect(isCdiName(name)).toBe(is);
  });
});

describe('which file counts', () => {
  const run: CdiFile = { path: '/run/cdi/v.json', spec: { ...parseCdi(text('vendor.yaml')), edits: { env: ['FROM=run'], deviceNodes: [], mounts: [], hooks: [], additionalGids: [] } } };
  test('the later directory outranks the earlier', () => {
    expect(resolveCdi(['vendor.com/gpu=0'], [etc, [run]]).env).toEqual(['FROM=run']);
  });
  test('two of one rank are a conflict', () => {
    expect(() => resolveCdi(['vendor.com/gpu=0'], [[...etc, file('vendor.yaml', '/etc/cdi/copy.yaml')], []])).toThrow(invalid(/vendor\.yaml and in .*copy\.yaml/));
  });
  test('what is not there is named beside what is, and beside what is broken', () => {
    const broken: CdiFile = { path: '/etc/cdi/bad.json', problem: 'it is no CDI specification' };
    expect(() => resolveCdi(['vendor.com/gpu=7'], [[...etc, broken]])).toThrow(invalid(/no CDI device vendor\.com\/gpu=7.*vendor\.com\/gpu=0.*other\.org\/fpga=card; \/etc\/cdi\/bad\.json is not understood/));
    expect(() => resolveCdi(['vendor.com/gpu=7'], [[], []])).toThrow(invalid(/this host has none/));
  });
});

describe('files that make no sense', () => {
  const device = (edits: object) => JSON.stringify({ cdiVersion: '0.5.0', kind: 'v.com/c', devices: [{ name: 'd', containerEdits: edits }] });
  test.each([
    ['', /no CDI specification/],
    ['{', /neither JSON nor YAML/],
    [JSON.stringify({ cdiVersion: '0.5.0', kind: 'novendor', devices: [] }), /kind/],
    [JSON.stringify({ cdiVersion: '2.0.0', kind: 'v.com/c', devices: [{ name: 'd', containerEdits: {} }] }), /cdiVersion/],
    [device({ hooks: [{ hookName: 'never', path: '/x' }] }), /hookName|hooks/],
    [device({ deviceNodes: [{ path: 'dev/x' }] }), /path/],
    [device({ deviceNodes: [{ path: '/dev/x', type: 'p' }] }), /must be b or c/],
    [device({ intelRdt: {} }), /intelRdt/],
  ])('%s', (content, message) => {
    expect(() => parseCdi(content)).toThrow(invalid(message));
  });
});
