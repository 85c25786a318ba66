import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ensureIdentity, renewIdentity } from '../../../../cli/programs/enrol.ts';
import { LivingIdentity } from '../../../../cli/programs/identity.ts';
import type { HostArguments } from '../../../../cli/programs/arguments.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { silentLog } from '../../../../lib/log.ts';
import { Authority, createAuthority } from '../../../../lib/pki/authority.ts';
import { readCredentials } from '../../../../lib/pki/credentials.ts';
import { createRequest } from '../../../../lib/pki/request.ts';
import { parseToken, formatToken } from '../../../../lib/pki/token.ts';
import { SessionHost, TableHost } from '../api/host.ts';
import { Lab, until } from '../api/lab.ts';

const lifeMs = 6_000;
let directory: string;
let stop: AbortController;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tsorch-renewal-'));
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort(new Error('the test is over'));
  await rm(directory, { recursive: true, force: true });
});

function host(lab: Pick<Lab, 'serving'>, changes: Partial<HostArguments> = {}): HostArguments {
  return { kind: 'host', master: `127.0.0.1:${lab.serving.apiPort}`, name: 'alpha', stateDir: join(directory, 'host'), runDir: join(directory, 'run'), labels: {}, ...changes };
}

async function token(lab: Lab): Promise<string> {
  return (await lab.ok<{ token: string }>('POST', '/v1/tokens', { role: 'node' })).token;
}

const tools = () => ({ clock: systemClock, log: silentLog, signal: stop.signal });

/** The certificate that a server shows to a new connection. */
async function shown(port: number, lab: Lab): Promise<X509Certificate> {
  const { ca, cert, key } = lab.trust.admin.current;
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connect({ host: '127.0.0.1', port, ca, cert, key, ALPNProtocols: ['h2', 'http/1.1'] }, () => {
      resolve(new X509Certificate(socket.getPeerCertificate().raw));
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

describe('while it runs', () => {
  let lab: Lab;
  beforeEach(async () => {
    lab = await Lab.start({ lifeMs });
  });
  afterEach(() => lab[Symbol.asyncDispose]());

  it('a master serves with new certificates, and streams that began with the old one run on past its end', async () => {
    const { serving, trust } = lab;
    const person = lab.admin;
    const identity = await ensureIdentity(host(lab, { token: await token(lab) }), tools());
    const living = new LivingIdentity({ args: host(lab), first: identity, ...tools(), random: Math.random });
    const { credentials } = identity;
    const session = new SessionHost({ id: identity.nodeId, port: serving.grpcPort, credentials, heartbeatMs: 200 }).hello();
    const tables = new TableHost({ port: serving.grpcPort, credentials });
    try {
      await until('both streams are up', () => session.welcome !== undefined && tables.changes.length > 0);
      const [api, grpc] = [await shown(serving.apiPort, lab), await shown(serving.grpcPort, lab)];
      expect(api.fingerprint256).toBe(grpc.fingerprint256);
      const old = new X509Certificate(credentials.cert);
      await until('all first certificates are over', () => Date.now() > Math.max(...[api, grpc, old].map(({ validTo }) => Date.parse(validTo))), 2 * lifeMs);
      // New connections: by both sides' new certificates.
      for (const port of [serving.apiPort, serving.grpcPort]) {
        const now = await shown(port, lab);
        expect(Date.parse(now.validTo)).toBeGreaterThan(Date.now());
        expect(now.verify(new X509Certificate(trust.ca).publicKey)).toBe(true);
      }
      expect(await lab.call('GET', '/v1/nodes', { as: trust.admin.current })).toMatchObject({ status: 200 });
      expect(living.current.credentials.cert).not.toBe(credentials.cert);
      const again = new TableHost({ port: serving.grpcPort, credentials: living.current.credentials });
      await until('the node connects anew', () => again.changes.length > 0);
      again.close();
      // The old certificate opens nothing any more, and what it opened is still there.
      expect(await lab.call('GET', '/v1/nodes', { as: person })).toMatchObject({ status: 401 });
      const late = new TableHost({ port: serving.grpcPort, credentials });
      await until('the old certificate is refused', () => late.ended !== undefined);
      late.close();
      expect(late.changes).toEqual([]);
      expect(session.ended).toBeUndefined();
      expect(tables.ended).toBeUndefined();
      expect(serving.context.sessions.has(identity.nodeId)).toBe(true);
      // On disk it is whole: what a restart would begin with.
      const saved = await readCredentials(join(directory, 'host', 'identity'));
      expect(new X509Certificate(saved!.cert).checkPrivateKey(createPrivateKey(saved!.key))).toBe(true);
      expect(Date.parse(new X509Certificate(saved!.cert).validTo)).toBeGreaterThan(Date.now());
    } finally {
      session.close();
      tables.close();
      stop.abort(new Error('over'));
      await living.done;
    }
  });

  it('a proxy beside an agent takes what the agent has renewed', async () => {
    const args = host(lab, { token: await token(lab) });
    const first = await ensureIdentity(args, tools());
    const proxy = new LivingIdentity({ args: { ...args, kind: 'proxy' }, first, ...tools(), random: Math.random });
    const made = await renewIdentity(args, first);
    await until('the proxy has it', () => proxy.current.credentials.cert === made.cert, lifeMs);
    expect(proxy.current.credentials).toEqual(made);
    stop.abort(new Error('over'));
    await proxy.done;
  });

  it('a host whose certificate is over comes back with its token as the same node, or carries on without one', async () => {
    const first = await ensureIdentity(host(lab, { token: await token(lab) }), tools());
    await until('it is over', () => Date.now() > Date.parse(new X509Certificate(first.credentials.cert).validTo), 2 * lifeMs);
    expect(await ensureIdentity(host(lab), tools())).toEqual(first);
    expect(await ensureIdentity(host(lab, { token: 'tsorch1-nonsense' }), tools())).toEqual(first);
    const back = await ensureIdentity(host(lab, { token: await token(lab) }), tools());
    expect(back.nodeId).toBe(first.nodeId);
    expect(Date.parse(new X509Certificate(back.credentials.cert).validTo)).toBeGreaterThan(Date.now());
    expect(await ensureIdentity(host(lab), tools())).toEqual(back);
  });
});

describe('joining', () => {
  let lab: Lab;
  beforeEach(async () => {
    lab = await Lab.start();
  });
  afterEach(() => lab[Symbol.asyncDispose]());

  it('agent and proxy that join at once are one node', async () => {
    const args = host(lab, { token: await token(lab) });
    const [a, b] = await Promise.all([ensureIdentity({ ...args, kind: 'agent' }, tools()), ensureIdentity({ ...args, kind: 'proxy' }, tools())]);
    expect(a).toEqual(b);
    expect(lab.world.values('nodes').map(({ id }) => id)).toEqual([a.nodeId]);
    expect(await ensureIdentity({ ...args, token: 'not looked at any more' }, tools())).toEqual(a);
    expect((await readFile(join(directory, 'host/identity/node.json'), 'utf8')).includes(a.nodeId)).toBe(true);
  });

  it('a master of another authority never sees the token', async () => {
    const pem = await createAuthority('tsorch cluster CA', Date.now());
    const authority = await Authority.load(pem);
    const { certificate, privateKey } = await authority.issue({ subject: { commonName: 'master:m1', organizationalUnit: 'master' }, names: ['127.0.0.1'], now: Date.now() });
    let heard = 0;
    const fake = createServer({ cert: `${certificate}${pem.certificate}`, key: privateKey }, (request, response) => {
      heard++;
      request.resume();
      response.end('{}');
    });
    await new Promise<void>((resolve) => fake.listen(0, '127.0.0.1', resolve));
    try {
      const args = host(lab, { token: await token(lab), master: `127.0.0.1:${(fake.address() as AddressInfo).port}` });
      await expect(ensureIdentity(args, tools())).rejects.toMatchObject({ code: 'unauthenticated', hint: expect.stringContaining('token') as string });
      expect(heard).toBe(0);
    } finally {
      fake.closeAllConnections();
      fake.close();
    }
  });

  it('a master that shows the right authority without being its own is not spoken to', async () => {
    const pem = await createAuthority('somebody', Date.now());
    const { certificate, privateKey } = await (await Authority.load(pem)).issue({ subject: { commonName: 'master:m1', organizationalUnit: 'master' }, names: ['127.0.0.1'], now: Date.now() });
    let heard = 0;
    // The cluster's authority is no secret: anyone can append it to a chain of their own.
    const fake = createServer({ cert: `${certificate}${lab.trust.ca}`, key: privateKey }, (request, response) => {
      heard++;
      request.resume();
      response.end('{}');
    });
    await new Promise<void>((resolve) => fake.listen(0, '127.0.0.1', resolve));
    try {
      const ended = ensureIdentity(host(lab, { token: await token(lab), master: `127.0.0.1:${(fake.address() as AddressInfo).port}` }), { ...tools(), signal: AbortSignal.any([stop.signal, AbortSignal.timeout(1500)]) });
      await expect(ended).rejects.toThrow();
      expect(heard).toBe(0);
    } finally {
      fake.closeAllConnections();
      fake.close();
    }
  });

  it('tokens: wrong, expired, of another role, of another cluster, revoked', async () => {
    const text = await token(lab);
    const parts = parseToken(text)!;
    const id = parts.id;
    const attempt = (value: string) => ensureIdentity(host(lab, { token: value, stateDir: join(directory, createHash('sha256').update(value).digest('hex').slice(0, 8)) }), tools());
    await expect(attempt(formatToken({ ...parts, secret: '0'.repeat(32) }))).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(attempt(formatToken({ ...parts, id: '00000000' }))).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(attempt(formatToken({ ...parts, role: 'admin' }))).rejects.toMatchObject({ code: 'invalid' });
    await expect(attempt(formatToken({ ...parts, caDigest: '0'.repeat(64) }))).rejects.toMatchObject({ code: 'unauthenticated' });
    const short = await lab.ok<{ token: string }>('POST', '/v1/tokens', { role: 'node', ttlMs: 1000 });
    await until('it is over', () => Date.now() > (lab.world.get('tokens', parseToken(short.token)!.id)?.expiresAt ?? 0));
    await expect(attempt(short.token)).rejects.toMatchObject({ code: 'unauthenticated', message: expect.stringContaining('expired') as string });
    expect(lab.world.maps.nodes.size).toBe(0);
    await attempt(text);
    await lab.ok('DELETE', `/v1/tokens/${id}`);
    await expect(ensureIdentity(host(lab, { token: text, name: 'beta', stateDir: join(directory, 'beta') }), tools())).rejects.toMatchObject({ code: 'unauthenticated' });
    expect(JSON.stringify(await lab.ok('GET', '/v1/tokens'))).not.toContain(parts.secret);
  });

  it('a token of one role gives no other, and a name in use is refused while its node is connected', async () => {
    const made = await lab.ok<{ token: string }>('POST', '/v1/tokens', { role: 'viewer' });
    const { csr, privateKey } = await createRequest('admin:root');
    const reply = await lab.call<{ certificate: string; ca: string }>('POST', '/v1/enrol', { as: null, body: { token: made.token, csr, name: 'ann', labels: {} } });
    expect(reply.status).toBe(200);
    const person = { ca: reply.body.ca, cert: reply.body.certificate, key: privateKey };
    expect((await lab.call('GET', '/v1/nodes', { as: person })).status).toBe(200);
    expect((await lab.call('POST', '/v1/tokens', { as: person, body: { role: 'admin' } })).status).toBe(403);
    const first = await ensureIdentity(host(lab, { token: await token(lab) }), tools());
    const session = new SessionHost({ id: first.nodeId, port: lab.serving.grpcPort, credentials: first.credentials, heartbeatMs: 200 }).hello();
    try {
      await until('it is connected', () => session.welcome !== undefined);
      await expect(ensureIdentity(host(lab, { token: await token(lab), stateDir: join(directory, 'other') }), tools())).rejects.toMatchObject({ code: 'conflict', hint: expect.stringContaining('--name') as string });
    } finally {
      session.close();
    }
  });
});
