import { X509Certificate } from 'node:crypto';
import { expect, it } from 'vitest';
import { Authority, createAuthority } from '../../../lib/pki/authority.ts';
import { identify, subjectOf } from '../../../model/identity.ts';
import type { Role } from '../../../model/identity.ts';

it.each<[Role, string]>([['node', 'n1a2b3'], ['admin', 'ann'], ['viewer', 'bob:x'], ['master', 'm-1'], ['admin', 'O=x, CN=node:n2']])('reads back %s %s from a certificate', async (role, name) => {
  const authority = await Authority.load(await createAuthority('test', Date.now()));
  const { certificate } = await authority.issue({ subject: subjectOf({ role, name }), now: Date.now() });
  expect(identify(new X509Certificate(certificate).toLegacyObject())).toEqual({ role, name });
});

const subject = (CN: unknown, OU: unknown) => ({ subject: { CN, OU } }) as never;

it.each([
  ['no certificate', undefined],
  ['no subject', {} as never],
  ['a role there is not', subject('root:x', 'root')],
  ['a role without a name', subject('node:', 'node')],
  ['no role', subject('x', 'node')],
  ['another unit', subject('admin:x', 'node')],
  ['no unit', subject('admin:x', undefined)],
  ['two names', subject(['admin:x', 'node:y'], 'admin')],
  ['two units', subject('admin:x', ['admin', 'node'])],
])('is null for %s', (_what, certificate) => {
  expect(identify(certificate)).toBeNull();
});
