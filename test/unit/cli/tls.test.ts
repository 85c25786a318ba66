/** The client over mutual TLS: with the right credentials, the wrong ones and none. */
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { ApiClient } from '../../../cli/client.ts';
import { Channel } from '../../../cli/client/channel.ts';
import type { Context } from '../../../cli/context/file.ts';
import { Authority, createAuthority } from '../../../lib/pki/authority.ts';
import { TsorchError, type ErrorCode } from '../../../model/errors.ts';

let server: Server;
let good: Context;
let foreign: Context;

beforeAll(async () => {
  const now = Date.now();
  const [ours, theirs] = await Promise.all([createAuthority('ours', now), createAuthority('theirs', now)]);
  const [authority, other] = await Promise.all([Authority.load(ours), Authority.load(theirs)]);
  const master = await authority.issue({ subject: { commonName: 'master' }, names: ['127.0.0.1'], now });
  const admin = await authority.issue({ subject: { commonName: 'admin' }, now });
  const stranger = await other.issue({ subject: { commonName: 'admin' }, now });
  server = createServer({ ca: ours.certificate, cert: master.certificate, key: master.privateKey, requestCert: true, rejectUnauthorized: true }, (_request, response) => response.end('{"ok":true}'));
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => socket.send(Buffer.concat([Buffer.of(5), Buffer.from('{"code":3}')])));
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  good = { master: url, ca: ours.certificate, cert: admin.certificate, key: admin.privateKey };
  foreign = { master: url, ca: theirs.certificate, cert: stranger.certificate, key: stranger.privateKey };
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

async function get(context: Context): Promise<unknown> {
  const client = new ApiClient(context);
  try {
    return await client.get('/v1/version');
  } finally {
    client.close();
  }
}

const exec = (context: Context) => new Channel(context, '/v1/exec', { target: 'x', argv: ['true'] }, { output: () => {} }).exit;

test('with credentials of the cluster', async () => {
  expect(await get(good)).toEqual({ ok: true });
  expect(await exec(good)).toBe(3);
});

test.each<[string, () => Context, ErrorCode, RegExp]>([
  ['a master of another cluster', () => ({ ...good, ca: foreign.ca ?? '' }), 'unauthenticated', /the certificate of .* is not one of this cluster/],
  ['no certificate', () => ({ master: good.master, ca: good.ca ?? '' }), 'unauthenticated', /refuses our certificate/],
  ['another name than the certificate has', () => ({ ...good, master: good.master.replace('127.0.0.1', 'localhost') }), 'unauthenticated', /is not one of this cluster/],
])('%s', async (_name, context, code, message) => {
  const failures = [
    await get(context()).catch((error: unknown) => error),
    await exec(context()).catch((error: unknown) => error),
  ];
  for (const failure of failures) {
    expect(failure).toBeInstanceOf(TsorchError);
    expect(failure).toMatchObject({ code });
    expect((failure as TsorchError).message).toMatch(message);
  }
});
