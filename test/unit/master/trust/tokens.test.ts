import { expect, it } from 'vitest';
import { parseToken } from '../../../../lib/pki/token.ts';
import { checkToken, makeToken } from '../../../../master/trust/tokens.ts';

const digest = 'ab'.repeat(32);
const now = 1_700_000_000_000;

it('a token proves its record until it expires', () => {
  const { token, record } = makeToken('node', digest, now, 1000);
  const find = (id: string) => (id === record.id ? record : undefined);
  expect(checkToken(token, find, now)).toBe(record);
  expect(checkToken(token, find, now + 999)).toBe(record);
  expect(() => checkToken(token, find, now + 1000)).toThrow('expired');
  expect(parseToken(token)).toMatchObject({ role: 'node', id: record.id, caDigest: digest });
});

it('one without an end does not expire', () => {
  const { token, record } = makeToken('admin', digest, now, null);
  expect(checkToken(token, () => record, now * 10)).toBe(record);
});

it('the record holds nothing that lets one in', () => {
  const { token, record } = makeToken('node', digest, now, 1000);
  expect(JSON.stringify(record)).not.toContain(parseToken(token)!.secret);
});

it('no two are alike', () => {
  const all = Array.from({ length: 200 }, () => makeToken('node', digest, now, 1000).token);
  expect(new Set(all).size).toBe(200);
});

it.each([
  ['text that is no token', () => 'hello'],
  ['a token that was revoked', (token: string, drop: () => void) => (drop(), token)],
  ['another secret', (token: string) => token.replace(parseToken(token)!.secret, '0'.repeat(32))],
  ['a raised role', (token: string) => token.replace('-node-', '-admin-')],
])('refuses %s, and does not say why it is wrong', (_what, change) => {
  const { token, record } = makeToken('node', digest, now, 1000);
  let there = true;
  const wrong = change(token, () => (there = false));
  try {
    checkToken(wrong, (id) => (there && id === record.id ? record : undefined), now);
    expect.unreachable();
  } catch (error) {
    expect(error).toMatchObject({ code: 'unauthenticated' });
    expect(String(error)).not.toContain(record.hash);
  }
});
