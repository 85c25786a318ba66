import { X509Certificate } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { certificateDigest } from '../../../../lib/pki/certificate.ts';
import { createRequest } from '../../../../lib/pki/request.ts';
import { MemoryStore } from '../../../../master/store/memory.ts';
import { loadTrust } from '../../../../master/trust/authority.ts';
import { identify } from '../../../../model/identity.ts';
import { shareAuthority } from '../../../../master/trust/shared.ts';

let dir: string;
let now: number;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tsorch-trust-'));
  now = Date.now();
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const load = (names: readonly string[] = ['10.0.0.1'], stateDir = dir) => loadTrust({ stateDir, masterId: 'm1', names, now: () => now });

async function modes(path: string): Promise<number[]> {
  const names = await readdir(path, { recursive: true, withFileTypes: true });
  return Promise.all(names.filter((entry) => entry.isFile()).map(async (entry) => (await stat(join(entry.parentPath, entry.name))).mode & 0o077));
}

it('is made once and kept', async () => {
  const first = await load();
  const second = await load();
  expect(second.ca).toBe(first.ca);
  expect(second.server.current).toEqual(first.server.current);
  expect((await modes(dir)).every((mode) => mode === 0)).toBe(true);
});

it('presents the authority with the server\'s certificate, made out to the names given', async () => {
  const trust = await load(['10.0.0.1', 'm1.example']);
  const certificate = new X509Certificate(trust.server.current.cert);
  expect(trust.server.current.cert.endsWith(trust.ca)).toBe(true);
  for (const name of ['localhost', 'm1.example']) expect(certificate.checkHost(name)).toBe(name);
  for (const address of ['127.0.0.1', '10.0.0.1']) expect(certificate.checkIP(address)).toBe(address);
  expect(identify(certificate.toLegacyObject())).toEqual({ role: 'master', name: 'm1' });
});

it('makes certificates anew for other names, and when they are old', async () => {
  const first = await load(['10.0.0.1']);
  const other = await load(['10.0.0.1', '10.0.0.2']);
  expect(other.server.current.cert).not.toBe(first.server.current.cert);
  now += 60 * 86_400_000;
  const later = await load(['10.0.0.1', '10.0.0.2']);
  expect(later.server.current.cert).not.toBe(other.server.current.cert);
  expect(later.ca).toBe(first.ca);
});

it('gives nodes and people what they are, whatever they ask for', async () => {
  const trust = await load();
  const { csr } = await createRequest('admin:root');
  const node = new X509Certificate(await trust.issueNode(csr, 'n1'));
  expect(identify(node.toLegacyObject())).toEqual({ role: 'node', name: 'n1' });
  expect(node.checkHost('n1')).toBe('n1');
  expect(node.checkIssued(new X509Certificate(trust.ca))).toBe(true);
  expect(node.checkHost('localhost')).toBeUndefined();
  expect(identify(new X509Certificate(await trust.issuePerson(csr, 'viewer', 'ann')).toLegacyObject())).toEqual({ role: 'viewer', name: 'ann' });
  await expect(trust.issueNode('nonsense', 'n1')).rejects.toMatchObject({ code: 'invalid' });
});

it('tokens carry the digest of its certificate', async () => {
  const trust = await load();
  const { token, record } = trust.makeToken('node', now, 1000);
  expect(token.endsWith(certificateDigest(trust.ca))).toBe(true);
  expect(trust.checkToken(token, () => record, now)).toBe(record);
});

it('an authority half made is made again', async () => {
  await load();
  await rm(join(dir, 'ca/cert.pem'));
  const again = await load();
  expect(await readFile(join(dir, 'ca/cert.pem'), 'utf8')).toBe(again.ca);
  expect(new X509Certificate(again.server.current.cert).checkIssued(new X509Certificate(again.ca))).toBe(true);
});

it('another master shares it, or is told that it does not', async () => {
  const store = new MemoryStore();
  const first = await load();
  await shareAuthority(store, first.pem, join(dir, 'ca'));
  await shareAuthority(store, first.pem, join(dir, 'ca'));
  expect((await store.get('ca', 'ca'))?.value).toEqual(first.pem);
  await cp(join(dir, 'ca'), join(dir, 'second/ca'), { recursive: true });
  await shareAuthority(store, (await load([], join(dir, 'second'))).pem, join(dir, 'second/ca'));
  const stranger = await load([], join(dir, 'third'));
  await expect(shareAuthority(store, stranger.pem, join(dir, 'third/ca'))).rejects.toMatchObject({ code: 'conflict', hint: expect.stringContaining('copy') as string });
});
