import { expect, test } from 'vitest';
import { formatPercent } from '../../../cli/commands/usage.ts';
import { fit, Screen } from '../../../cli/output/screen.ts';
import type { Output } from '../../../cli/io.ts';

const green = (text: string) => `\u001b[32m${text}\u001b[39m`;

test.each([
  ['all of it', 'a\nb\n', 80, 24, ['a', 'b']],
  ['as many lines as there is room for', '1\n2\n3\n4\n5\n', 80, 4, ['1', '2', '… 3 more lines']],
  ['exactly', '1\n2\n3\n', 80, 4, ['1', '2', '3']],
  ['hardly any room', '1\n2\n3\n', 80, 1, ['… 3 more lines']],
  ['no line wraps', '1234567\nab', 5, 24, ['12345', 'ab']],
  ['colours take no room, and end where they are cut', `${green('123')}4567`, 5, 24, [`${green('123')}45\u001b[0m`]],
  ['cut in the middle of one', green('1234567'), 5, 24, ['\u001b[32m12345\u001b[0m']],
  ['wide letters take two', '漢字漢', 5, 24, ['漢字']],
])('%s', (_name, text, columns, rows, expected) => {
  expect(fit(text, columns, rows)).toEqual(expected);
});

test('drawn in its place, anew when the terminal has become narrower', () => {
  const written: string[] = [];
  const terminal = { columns: 80, rows: 24, write: (text: string) => written.push(text) > 0 };
  const screen = new Screen(terminal as unknown as Output);
  screen.draw('a\nb\n');
  screen.draw('c\n');
  terminal.columns = 40;
  screen.draw('d\n');
  expect(written).toEqual(['a\u001b[K\nb\u001b[K\n\u001b[J', '\r\u001b[2Ac\u001b[K\n\u001b[J', '\u001b[H\u001b[2Jd\u001b[K\n\u001b[J']);
});

test.each([[null, '--'], [0, '0.00%'], [1.234, '1.23%'], [9.994, '9.99%'], [9.996, '10.0%'], [100, '100.0%'], [384.44, '384.4%']])('%s percent', (value, expected) => {
  expect(formatPercent(value)).toBe(expected);
});
