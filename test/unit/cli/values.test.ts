import { describe, expect, test } from 'vitest';
import { parseLabels } from '../../../cli/commands/nodes.ts';
import { formatAge, formatBytes, formatElapsed, formatPorts, parseDuration, parseMoment } from '../../../cli/output/values.ts';
import { renderTable, width } from '../../../cli/output/table.ts';

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '0.977 KiB'],
  [1536, '1.5 KiB'],
  [512 * 2 ** 20, '512 MiB'],
  [8 * 2 ** 30, '8 GiB'],
  [1.5 * 2 ** 40, '1.5 TiB'],
])('%d bytes are %s', (bytes, expected) => {
  expect(formatBytes(bytes)).toBe(expected);
});

test.each([
  [-5, '0s'],
  [89_000, '89s'],
  [90_000, '1m'],
  [5_400_000, '1h'],
  [129_600_000, '1d'],
])('%d ms ago is %s', (ms, expected) => {
  expect(formatAge(ms)).toBe(expected);
});

test.each([
  [12, '12 ms'],
  [1234, '1.2 s'],
  [125_000, '2 m 05 s'],
])('%d ms took %s', (ms, expected) => {
  expect(formatElapsed(ms)).toBe(expected);
});

describe('durations', () => {
  test.each([
    ['90', 90_000],
    ['1.5s', 1500],
    ['1h30m', 5_400_000],
    ['250ms', 250],
    ['2d', 172_800_000],
  ])('%s', (text, expected) => {
    expect(parseDuration(text)).toBe(expected);
  });

  test.each(['', 's', '-5s', '5 s', '1y', '5s3'])('%j is none', (text) => {
    expect(() => parseDuration(text)).toThrow('is not a duration');
  });
});

test.each([
  ['10m', 400_000],
  ['1970-01-01T00:00:05Z', 5000],
  ['1767225600', 1_767_225_600_000],
  ['2026-01-01', 1_767_225_600_000],
])('the moment %s', (text, expected) => {
  expect(parseMoment(text, 1_000_000)).toBe(expected);
});

test('labels are set and removed', () => {
  expect(parseLabels(['type=frontend', 'empty=', 'eq=a=b', 'zone-', 'a-b=c'])).toEqual({ type: 'frontend', empty: '', eq: 'a=b', zone: null, 'a-b': 'c' });
  for (const bad of ['zone', '=x', '-']) expect(() => parseLabels([bad])).toThrow('is not a label');
});

test('ports', () => {
  expect(formatPorts([{ published: 80, target: 8080, protocol: 'tcp', mode: 'ingress' }, { published: 53, target: 53, protocol: 'udp', mode: 'host', hostIp: '10.0.0.1' }])).toBe('80->8080/tcp, 10.0.0.1:53->53/udp (host)');
});

test('columns line up, also under wide characters', () => {
  expect(width('日本')).toBe(4);
  expect(width('e\u0301')).toBe(1);
  const table = renderTable([{ a: '日本', b: 'x' }, { a: 'abc', b: 'y' }], [{ head: 'A', cell: (row) => row.a }, { head: 'B', cell: (row) => row.b }], (_style, text) => text);
  expect(table).toBe('A      B\n日本   x\nabc    y\n');
});
