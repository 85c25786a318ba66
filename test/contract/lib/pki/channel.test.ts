/** gRPC over TLS to servers by their addresses and names. */
import { Server, ServerCredentials, status, type ServiceError, type sendUnaryData } from '@grpc/grpc-js';
import type { AddressInfo } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { Authority, createAuthority } from '../../../../lib/pki/authority.ts';
import { channelCredentials, type ChannelTls } from '../../../../lib/pki/channel.ts';
import { HealthCheckResponse_ServingStatus, HealthClient, HealthService, type HealthCheckResponse } from '../../../../proto/gen/grpc/health.ts';

let authority: Authority;
let client: ChannelTls;
const ends: (() => unknown)[] = [];
const warnings: string[] = [];
const warned = ({ name, message }: Error) => void warnings.push(`${name}: ${message}`);

beforeAll(async () => {
  authority = await Authority.load(await createAuthority('test', Date.now()));
  client = await tlsFor('node:n1', []);
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

async function tlsFor(commonName: string, names: readonly string[], by = authority): Promise<Required<ChannelTls>> {
  const { certificate, privateKey } = await by.issue({ subject: { commonName }, names: [...names], now: Date.now() });
  return { ca: by.certificate, cert: certificate, key: privateKey };
}

/** A server whose certificate is made out to `names`, at an address of loopback. Its port. */
async function serve(names: readonly string[], address = '127.0.0.1'): Promise<number> {
  const { ca, cert, key } = await tlsFor('master:m1', names);
  const server = new Server();
  server.addService(HealthService, {
    check: (_call: unknown, answer: sendUnaryData<HealthCheckResponse>) => answer(null, { status: HealthCheckResponse_ServingStatus.SERVING }),
  });
  ends.push(() => server.forceShutdown());
  const credentials = ServerCredentials.createSsl(Buffer.from(ca), [{ cert_chain: Buffer.from(cert), private_key: Buffer.from(key) }], true);
  return await new Promise((resolve, reject) => server.bindAsync(`${address}:0`, credentials, (error, port) => (error ? reject(error) : resolve(port))));
}

/** Whether it serves, or the error. */
async function ask(target: string, tls: ChannelTls): Promise<boolean | ServiceError> {
  const asking = new HealthClient(target, channelCredentials(tls), { 'grpc.use_local_subchannel_pool': 1, 'grpc.enable_retries': 0, 'grpc.enable_http_proxy': 0 });
  ends.push(() => asking.close());
  return await new Promise((resolve) => asking.check({ service: '' }, (error, reply) => resolve(error ?? reply.status === HealthCheckResponse_ServingStatus.SERVING)));
}

test('by address and by name', async () => {
  const port = await serve(['127.0.0.1', 'localhost']);
  expect(await ask(`127.0.0.1:${port}`, client)).toBe(true);
  expect(await ask(`localhost:${port}`, client)).toBe(true);
});

test('a name is said in the handshake, an address is not', async () => {
  process.on('warning', warned);
  ends.push(() => process.off('warning', warned));
  const { ca, cert, key } = await tlsFor('master:m1', ['127.0.0.1', 'localhost']);
  const named: (string | false | null)[] = [];
  const server = createServer({ ca, cert, key, requestCert: true, ALPNProtocols: ['h2'] }, (socket) => {
    named.push((socket as TLSSocket & { readonly servername: string | false | null }).servername);
    socket.on('error', () => {}).destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => server.close());
  const { port } = server.address() as AddressInfo;
  expect(await ask(`127.0.0.1:${port}`, client)).toMatchObject({ code: status.UNAVAILABLE });
  expect(new Set(named)).toEqual(new Set([false]));
  named.length = 0;
  expect(await ask(`localhost:${port}`, client)).toMatchObject({ code: status.UNAVAILABLE });
  expect(new Set(named)).toEqual(new Set(['localhost']));
  expect(warnings).toEqual([]);
});

test('over IPv6', async () => {
  const port = await serve(['::1'], '[::1]');
  expect(await ask(`[::1]:${port}`, client)).toBe(true);
});

test.each([
  ['the address of another', ['127.0.0.2', 'localhost'], '127.0.0.1'],
  ['the name of another', ['127.0.0.1', 'other.example'], 'localhost'],
])('a certificate with %s is refused', async (_what, names, host) => {
  const port = await serve(names);
  expect(await ask(`${host}:${port}`, client)).toMatchObject({ code: status.UNAVAILABLE, details: expect.stringContaining("does not match certificate's altnames") });
});

test('a server of another authority, and a client without a certificate', async () => {
  const port = await serve(['127.0.0.1']);
  const other = await Authority.load(await createAuthority('other', Date.now()));
  expect(await ask(`127.0.0.1:${port}`, { ...client, ca: other.certificate })).toMatchObject({ code: status.UNAVAILABLE });
  expect(await ask(`127.0.0.1:${port}`, { ca: authority.certificate })).toMatchObject({ code: status.UNAVAILABLE });
  expect(await ask(`127.0.0.1:${port}`, client)).toBe(true);
});
