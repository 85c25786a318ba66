/** Meeting a server by the digest of its authority. */
import { createServer as createTcp } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createTls, connect } from 'node:tls';
import { afterEach, beforeAll, expect, it } from 'vitest';
import { Authority, createAuthority } from '../../../../lib/pki/authority.ts';
import { certificateDigest } from '../../../../lib/pki/certificate.ts';
import { fetchAuthority, WrongAuthorityError } from '../../../../lib/pki/peer.ts';

let authority: Authority;
let digest: string;
let server: Awaited<ReturnType<Authority['issue']>>;
const ends: (() => unknown)[] = [];
beforeAll(async () => {
  authority = await Authority.load(await createAuthority('test', Date.now()));
  digest = certificateDigest(authority.certificate);
  server = await authority.issue({ subject: { commonName: 'master:m1' }, names: ['127.0.0.1'], now: Date.now() });
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

async function listen(made: Server): Promise<number> {
  made.on('connection', (socket: Socket) => void ends.unshift(() => socket.destroy()));
  await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
  ends.push(() => new Promise((resolve) => made.close(resolve)));
  return (made.address() as AddressInfo).port;
}

/** A server that keeps what it is sent after the handshake. */
async function serve(cert: string, key: string) {
  const heard: string[] = [];
  const port = await listen(createTls({ cert, key }, (socket) => {
    socket.on('data', (data) => void heard.push(data.toString()));
    socket.on('error', () => {});
  }).on('tlsClientError', () => {}));
  return { port, heard };
}

it('takes the authority whose digest it knows, and can then verify the server by it', async () => {
  const { port, heard } = await serve(server.certificate + authority.certificate, server.privateKey);
  const ca = await fetchAuthority('127.0.0.1', port, digest);
  expect(certificateDigest(ca)).toBe(digest);
  const socket = connect({ host: '127.0.0.1', port, ca });
  await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
  expect(socket.authorized).toBe(true);
  socket.destroy();
  expect(heard).toEqual([]);
});

it('refuses another cluster, and sends it nothing', async () => {
  const other = await Authority.load(await createAuthority('test', Date.now()));
  const fake = await other.issue({ subject: { commonName: 'master:m1' }, names: ['127.0.0.1'], now: Date.now() });
  const { port, heard } = await serve(fake.certificate + other.certificate, fake.privateKey);
  await expect(fetchAuthority('127.0.0.1', port, digest)).rejects.toBeInstanceOf(WrongAuthorityError);
  expect(heard).toEqual([]);
});

it('a stranger that presents the right authority is not believed by who trusts only that', async () => {
  const other = await Authority.load(await createAuthority('test', Date.now()));
  const fake = await other.issue({ subject: { commonName: 'master:m1' }, names: ['127.0.0.1'], now: Date.now() });
  const { port } = await serve(fake.certificate + authority.certificate, fake.privateKey);
  const ca = await fetchAuthority('127.0.0.1', port, digest).catch(() => authority.certificate);
  const socket = connect({ host: '127.0.0.1', port, ca });
  await expect(new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))).rejects.toThrow();
});

it.each([
  ['nobody listens', async () => {
    const port = await listen(createTcp());
    await ends.pop()?.();
    return port;
  }],
  ['the other side does not speak TLS', () => listen(createTcp((socket) => socket.on('error', () => {}).end('SSH-2.0-hello\r\n')))],
  ['the other side hangs up', () => listen(createTcp((socket) => socket.destroy()))],
  ['the other side is silent', () => listen(createTcp((socket) => void socket.on('error', () => {})))],
])('fails when %s', async (_what, open) => {
  const port = await open();
  await expect(fetchAuthority('127.0.0.1', port, digest, 500)).rejects.toThrow();
});
