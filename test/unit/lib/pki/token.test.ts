import { expect, it } from 'vitest';
import { formatToken, parseToken } from '../../../../lib/pki/token.ts';

const parts = { role: 'node', id: 'a1b2c3d4', secret: '0123456789abcdef'.repeat(2), caDigest: 'f'.repeat(64) } as const;
const text = formatToken(parts);

it('reads what it wrote, blanks around it or not', () => {
  expect(parseToken(text)).toEqual(parts);
  expect(parseToken(`  ${text}\n`)).toEqual(parts);
  for (const role of ['node', 'admin', 'viewer'] as const) expect(parseToken(formatToken({ ...parts, role }))).toEqual({ ...parts, role });
});

it.each([
  ['nothing', ''],
  ['something else', 'hello'],
  ['a token cut off', text.slice(0, -1)],
  ['a token that is too long', `${text}0`],
  ['a role there is not', text.replace('-node-', '-master-')],
  ['another prefix', text.replace('tsorch1', 'tsorch2')],
  ['a missing part', text.replace(`-${parts.secret}`, '')],
  ['upper case', text.toUpperCase()],
  ['a line break inside', text.replace('-node-', '-node\n-')],
  ['two tokens', `${text} ${text}`],
])('is null for %s', (_what, wrong) => {
  expect(parseToken(wrong)).toBeNull();
});
