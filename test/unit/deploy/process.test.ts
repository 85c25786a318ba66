import { expect, test } from 'vitest';
import { parseStat } from '../../../deploy/local/process.ts';

const rest = (state: string, start: string) => `${state} 1 ${Array.from({ length: 17 }, (_, i) => i).join(' ')} ${start} 99 98`;

test.each([
  ['an ordinary line', `42 (node) ${rest('S', '12345')}`, { pid: 42, startTime: '12345' }],
  ['a name with spaces and parentheses', `42 (a) b (c)) ${rest('R', '7')}`, { pid: 42, startTime: '7' }],
  ['a zombie', `42 (node) ${rest('Z', '12345')}`, null],
  ['a torn line', '42 (node) S 1 2', null],
  ['nothing', '', null],
  ['the first process', `1 (init) ${rest('S', '1')}`, null],
])('%s', (_name, line, expected) => {
  expect(parseStat(line)).toEqual(expected);
});
