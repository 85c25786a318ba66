/** The registry client: one suite on a registry of our own and on Debian's, then what only one that misbehaves can show. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../../lib/clock.ts';
import type { RegistryCredentials } from '../../../../lib/oci/credentials.ts';
import type { Endpoint } from '../../../../lib/oci/endpoint.ts';
import { type Descriptor, mediaTypes, sha256 } from '../../../../lib/oci/manifest.ts';
import { firstAnswer, openEndpoints, type OpenOptions } from '../../../../lib/oci/open.ts';
import { noSettings, type Registries, type RegistrySettings } from '../../../../lib/oci/registries.ts';
import { pushBlob, pushManifest } from '../../../../lib/oci/upload.ts';
import { Authority, createAuthority } from '../../../../lib/pki/authority.ts';
import { puller, startDebianRegistry } from './debian-registry.ts';
import { FakeRegistry } from './fake-registry.ts';

const signal = new AbortController().signal;
const quick = { attempts: 3, first: 1, most: 5, patience: 2000 };
const impatient = { connect: 1000, answer: 300, stall: 300 };

function open(host: string, settings: Partial<RegistrySettings>, credentials: RegistryCredentials | null = null, more: Partial<OpenOptions> = {}): Endpoint {
  const [endpoint] = openAll(new Map([[host, { ...noSettings, ...settings }]]), host, credentials, more);
  if (!endpoint) throw new Error('no endpoint');
  return endpoint;
}

const opened: Endpoint[] = [];
function openAll(registries: Registries, host: string, credentials: RegistryCredentials | null = null, more: Partial<OpenOptions> = {}): readonly Endpoint[] {
  const endpoints = openEndpoints(host, { registries, credentials, env: {}, clock: systemClock, random: () => 0, retry: quick, certificates: '/nowhere', ...more });
  opened.push(...endpoints);
  return endpoints;
}
afterEach(() => {
  for (const endpoint of opened.splice(0)) endpoint.close();
});

const code = (promise: Promise<unknown>) => promise.then(() => 'resolved', (error: { code?: string }) => error.code);
async function read(data: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of data) parts.push(part);
  return Buffer.concat(parts);
}
async function* stream(data: Buffer): AsyncIterable<Uint8Array> {
  for (let at = 0; at < data.length; at += 10_000) yield data.subarray(at, at + 10_000);
}
const describeBlob = (data: Buffer, mediaType = 'application/octet-stream'): Descriptor => ({ mediaType, digest: sha256(data), size: data.length });
const manifestOf = (config: Descriptor, layers: readonly Descriptor[]) => Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.manifest, config, layers }));

interface Subject {
  readonly endpoint: (credentials?: RegistryCredentials | null) => Endpoint;
  readonly credentials: RegistryCredentials | null;
  close(): Promise<void>;
}

function registryContract(name: string, start: () => Promise<Subject>): void {
  describe(`registry contract: ${name}`, () => {
    let subject: Subject;
    let endpoint: Endpoint;
    const blob = Buffer.from('0123456789'.repeat(30_000));
    const config = Buffer.from('{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}');
    const manifest = manifestOf(describeBlob(config, mediaTypes.config), [describeBlob(blob, mediaTypes.layer)]);

    beforeAll(async () => {
      subject = await start();
      const pusher = subject.endpoint();
      for (const data of [blob, config]) expect(await pushBlob(pusher, 'team/app', { descriptor: describeBlob(data), open: () => stream(data) }, signal)).toBe('sent');
      await pushManifest(pusher, 'team/app', '1', { mediaType: mediaTypes.manifest, data: manifest }, signal);
    });
    afterAll(() => subject?.close());
    beforeEach(() => {
      endpoint = subject.endpoint();
    });

    test('what was pushed is there, by tag and by digest', async () => {
      expect(await endpoint.resolve('team/app', '1', signal)).toEqual({ mediaType: mediaTypes.manifest, digest: sha256(manifest), size: manifest.length });
      for (const reference of ['1', sha256(manifest)]) expect(await endpoint.manifest('team/app', reference, signal)).toEqual({ mediaType: mediaTypes.manifest, data: manifest });
    });

    test.each([[0], [1], [299_999], [300_000]])('a blob from byte %i on', async (offset) => {
      expect((await read(await endpoint.blob('team/app', describeBlob(blob), offset, signal))).equals(blob.subarray(offset))).toBe(true);
    });

    test('a blob that is there is not sent again, a neighbour\'s is mounted', async () => {
      const upload = { descriptor: describeBlob(blob), open: () => stream(blob), from: 'team/app' };
      expect(await pushBlob(endpoint, 'team/app', upload, signal)).toBe('present');
      expect(await pushBlob(endpoint, 'team/other', upload, signal)).toBe('mounted');
      expect((await read(await endpoint.blob('team/other', describeBlob(blob), 0, signal))).length).toBe(blob.length);
    });

    test('a blob that is not what its digest says is not taken', async () => {
      const lie = { ...describeBlob(Buffer.from('other')), size: 5 };
      expect(await code(pushBlob(endpoint, 'team/app', { descriptor: lie, open: () => stream(Buffer.from('wrong')) }, signal))).not.toBe('resolved');
      expect(await endpoint.has('team/app', lie.digest, 'repository:team/app:pull', signal)).toBe(false);
    });

    test('what is not there is not found', async () => {
      expect(await code(endpoint.resolve('team/app', 'none', signal))).toBe('not-found');
      expect(await code(endpoint.manifest('team/none', '1', signal))).toBe('not-found');
      expect(await code(endpoint.blob('team/app', describeBlob(Buffer.from('absent')), 0, signal))).toBe('not-found');
    });

    test('without or with wrong credentials', async () => {
      if (subject.credentials === null) return;
      for (const credentials of [null, { kind: 'basic', username: 'puller', password: 'wrong' } as const]) {
        const failed = await subject.endpoint(credentials).manifest('team/app', '1', signal).catch((error: unknown) => error);
        expect(failed).toMatchObject({ code: 'unauthenticated', hint: expect.stringContaining('docker login') as string });
      }
    });

    test('who stops reading, or gives up, holds nothing', async () => {
      for await (const part of await endpoint.blob('team/app', describeBlob(blob), 0, signal)) {
        expect(part.length).toBeGreaterThan(0);
        break;
      }
      const stop = new AbortController();
      const reading = read(await endpoint.blob('team/app', describeBlob(blob), 0, stop.signal));
      stop.abort();
      expect(['aborted', 'resolved']).toContain(await code(reading));
      expect(await code(endpoint.manifest('team/app', '1', stop.signal))).toBe('aborted');
    });
  });
}

const fakeSubject = async (options: Parameters<typeof FakeRegistry.start>[0], credentials: RegistryCredentials | null): Promise<Subject> => {
  const registry = await FakeRegistry.start(options);
  return { credentials, endpoint: (own = credentials) => open(registry.host, { plainHttp: true }, own), close: () => registry.close() };
};
registryContract('fake', () => fakeSubject({}, null));
registryContract('fake, tokens', () => fakeSubject({ auth: { scheme: 'bearer', username: puller.username, password: puller.password } }, puller));
registryContract('fake, identity token', () => fakeSubject({ auth: { scheme: 'bearer', username: puller.username, password: puller.password, identity: 'idtoken' } }, { kind: 'identity', token: 'idtoken' }));
registryContract('Debian\'s, plain', async () => {
  const registry = await startDebianRegistry('plain');
  return { credentials: null, endpoint: () => open(registry.host, { plainHttp: true }), close: () => registry.close() };
});
registryContract('Debian\'s, TLS and password', async () => {
  const registry = await startDebianRegistry('secure', { secure: true });
  return { credentials: puller, endpoint: (own: RegistryCredentials | null = puller) => open(registry.host, { ca: [registry.caFile ?? ''] }, own), close: () => registry.close() };
});

describe('a registry that misbehaves', () => {
  let registry: FakeRegistry;
  const blob = Buffer.from('abcdefghij'.repeat(20_000));
  const what = describeBlob(blob);
  const manifest = manifestOf(describeBlob(Buffer.from('{}')), []);

  beforeEach(async () => {
    registry = await FakeRegistry.start();
    registry.putBlob(blob);
    registry.put('app', '1', mediaTypes.manifest, manifest);
  });
  afterEach(() => registry.close());
  const plain = (more: Partial<OpenOptions> = {}) => open(registry.host, { plainHttp: true }, null, { timeouts: impatient, ...more });

  test.each([[429], [500], [502], [503], [504]])('%i is tried again', async (status) => {
    registry.fail(/manifests/, { kind: 'status', status }, 2);
    expect((await plain().manifest('app', '1', signal)).data).toEqual(manifest);
    expect(registry.asked(/manifests/)).toHaveLength(3);
  });

  test('trouble that does not pass is told', async () => {
    registry.fail(/manifests/, { kind: 'status', status: 503 }, 9);
    await expect(plain().manifest('app', '1', signal)).rejects.toMatchObject({ code: 'unavailable', message: `${registry.host} answers 503 to app:1: as it was told` });
    expect(registry.asked(/manifests/)).toHaveLength(3);
  });

  test('Retry-After is kept to, and one that asks for much is not waited for', async () => {
    registry.fail(/manifests/, { kind: 'status', status: 429, headers: { 'retry-after': '1' } });
    const slept: number[] = [];
    const clock = { ...systemClock, sleep: async (ms: number) => void slept.push(ms) };
    await plain({ clock }).manifest('app', '1', signal);
    expect(slept).toEqual([1000]);
    registry.fail(/manifests/, { kind: 'status', status: 429, headers: { 'retry-after': '3600' } });
    await expect(plain().manifest('app', '1', signal)).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('come back in 3600 s') as string });
    expect(registry.asked(/manifests/)).toHaveLength(3);
  });

  test.each([[400, 'unsupported'], [403, 'forbidden'], [404, 'not-found']])('%i is final', async (status, expected) => {
    registry.fail(/manifests/, { kind: 'status', status }, 9);
    expect(await code(plain().manifest('app', '1', signal))).toBe(expected);
    expect(registry.asked(/manifests/)).toHaveLength(1);
  });

  test('a body that ends early or stops coming is an error, and the rest is to be had', async () => {
    for (const [fault, expected] of [[{ kind: 'cut', after: 70_000 }, 'unavailable'], [{ kind: 'stall', after: 70_000 }, 'timeout']] as const) {
      registry.fail(/blobs/, fault);
      const endpoint = plain();
      const parts: Uint8Array[] = [];
      const reading = (async () => {
        for await (const part of await endpoint.blob('app', what, 0, signal)) parts.push(part);
      })();
      expect(await code(reading)).toBe(expected);
      const got = Buffer.concat(parts);
      expect(got.length).toBe(70_000);
      expect(Buffer.concat([got, await read(await endpoint.blob('app', what, got.length, signal))]).equals(blob)).toBe(true);
    }
  });

  test('one that knows no ranges sends all, and what is known is left out', async () => {
    registry.fail(/blobs/, { kind: 'no-range' });
    expect((await read(await plain().blob('app', what, 150_001, signal))).equals(blob.subarray(150_001))).toBe(true);
  });

  test('more than its descriptor says is refused', async () => {
    registry.fail(/blobs/, { kind: 'longer' });
    expect(await code(plain().blob('app', what, 0, signal).then(read))).toBe('invalid');
  });

  test('a manifest without end is refused, one without digest is hashed', async () => {
    registry.put('app', 'big', mediaTypes.manifest, Buffer.alloc((4 << 20) + 1, 32));
    expect(await code(plain().manifest('app', 'big', signal))).toBe('invalid');
    registry.fail(/HEAD/, { kind: 'no-digest' });
    expect(await plain().resolve('app', '1', signal)).toMatchObject({ digest: sha256(manifest) });
  });

  test('no answer is waited for only so long', async () => {
    registry.fail(/manifests/, { kind: 'silence' }, 9);
    await expect(plain().manifest('app', '1', signal)).rejects.toMatchObject({ code: 'timeout', message: expect.stringContaining('gave no answer') as string });
  });

  test('nobody there', async () => {
    await registry.close();
    await expect(plain().manifest('app', '1', signal)).rejects.toMatchObject({ code: 'unavailable', message: `${registry.host} cannot be reached: connection refused` });
  });

  test('redirects lead on, without the credentials, and not for ever', async () => {
    const other = await FakeRegistry.start({ address: '127.0.0.2' });
    try {
      other.putBlob(blob);
      const endpoint = open(registry.host, { plainHttp: true }, { kind: 'basic', username: 'a', password: 'b' });
      registry.fail(/blobs/, { kind: 'status', status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } });
      registry.fail(/blobs/, { kind: 'redirect', location: `${other.url}/v2/app/blobs/${what.digest}` });
      expect((await read(await endpoint.blob('app', what, 10, signal))).length).toBe(blob.length - 10);
      expect(registry.requests.at(-1)?.headers.authorization).toMatch(/^Basic /);
      expect(other.requests).toHaveLength(1);
      expect(other.requests[0]?.headers).not.toHaveProperty('authorization');
      expect(other.requests[0]?.headers.range).toBe('bytes=10-');
      registry.fail(/blobs/, { kind: 'redirect', location: `/v2/app/blobs/${what.digest}` }, 99);
      await expect(endpoint.blob('app', what, 0, signal)).rejects.toMatchObject({ code: 'unsupported', message: expect.stringContaining('more than 5') as string });
    } finally {
      await other.close();
    }
  });

  test('tokens: one for many requests, a new one when it is refused or too old', async () => {
    const guarded = await FakeRegistry.start({ auth: { scheme: 'bearer', username: 'u', password: 'p', expiresIn: 300 } });
    try {
      guarded.put('app', '1', mediaTypes.manifest, manifest);
      guarded.putBlob(blob);
      let now = 0;
      const clock = { ...systemClock, monotonic: () => now };
      const endpoint = open(guarded.host, { plainHttp: true }, { kind: 'basic', username: 'u', password: 'p' }, { clock });
      await endpoint.manifest('app', '1', signal);
      await Promise.all([0, 1, 2].map(() => endpoint.blob('app', what, 0, signal).then(read)));
      expect(guarded.asked(/token/)).toHaveLength(1);
      expect(guarded.asked(/token/)[0]?.path).toContain('scope=repository%3Aapp%3Apull');
      guarded.revoke();
      await endpoint.manifest('app', '1', signal);
      expect(guarded.asked(/token/)).toHaveLength(2);
      now = 299_000;
      await endpoint.manifest('app', '1', signal);
      expect(guarded.asked(/token/)).toHaveLength(3);
      // Only the first request of all, and the one with the token taken back, were refused.
      expect(guarded.asked(/v2/)).toHaveLength(1 + 1 + 3 + 2 + 1);
      guarded.fail(/token/, { kind: 'status', status: 500 });
      guarded.revoke();
      await endpoint.manifest('app', '1', signal);
    } finally {
      await guarded.close();
    }
  });

  test('mirrors first, with the registry\'s name and without its credentials; a dead or empty one is passed over', async () => {
    const [mirror, empty] = [await FakeRegistry.start(), await FakeRegistry.start()];
    try {
      mirror.put('hub/app', '1', mediaTypes.manifest, manifest);
      const dead = 'http://127.0.0.1:9';
      const registries = new Map([[registry.host, { ...noSettings, plainHttp: true, mirrors: [new URL(dead), new URL(empty.url), new URL(`${mirror.url}/v2/hub/`)] }]]);
      const endpoints = openAll(registries, registry.host, { kind: 'basic', username: 'u', password: 'p' });
      expect(endpoints).toHaveLength(4);
      const answer = await firstAnswer(endpoints, (endpoint) => endpoint.manifest('app', '1', signal));
      expect(answer.data).toEqual(manifest);
      expect(mirror.requests[0]?.path).toBe(`/v2/hub/app/manifests/1?ns=${encodeURIComponent(registry.host)}`);
      expect(mirror.requests[0]?.headers).not.toHaveProperty('authorization');
      expect(registry.requests).toEqual([]);
      await mirror.close();
      await firstAnswer(endpoints, (endpoint) => endpoint.manifest('app', '1', signal));
      expect(registry.requests).toHaveLength(1);
      await expect(firstAnswer(endpoints, (endpoint) => endpoint.manifest('app', '2', signal))).rejects.toMatchObject({ code: 'not-found', message: `${registry.host} has no app:2` });
    } finally {
      await mirror.close();
      await empty.close();
    }
  });
});

describe('TLS', () => {
  let directory: string;
  let registry: FakeRegistry;
  let authority: Authority;
  let caFile: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tsorch-oci-tls-'));
    const pem = await createAuthority('test', Date.now());
    authority = await Authority.load(pem);
    const { certificate, privateKey } = await authority.issue({ subject: { commonName: 'r' }, names: ['127.0.0.1'], now: Date.now() });
    caFile = join(directory, 'ca.pem');
    await writeFile(caFile, pem.certificate);
    registry = await FakeRegistry.start({ tls: { cert: certificate, key: privateKey, ca: pem.certificate } });
    registry.put('app', '1', mediaTypes.manifest, manifestOf(describeBlob(Buffer.from('{}')), []));
    const client = await authority.issue({ subject: { commonName: 'client' }, now: Date.now() });
    const docker = join(directory, 'certs.d', registry.host);
    const { mkdir } = await import('node:fs/promises');
    await mkdir(docker, { recursive: true });
    await writeFile(join(docker, 'ca.crt'), pem.certificate);
    await writeFile(join(docker, 'client.cert'), client.certificate);
    await writeFile(join(docker, 'client.key'), client.privateKey);
  });
  afterAll(async () => {
    await registry?.close();
    await rm(directory, { recursive: true, force: true });
  });

  test('Docker\'s directory has the CA and the client\'s certificate', async () => {
    expect((await open(registry.host, {}, null, { certificates: join(directory, 'certs.d') }).manifest('app', '1', signal)).mediaType).toBe(mediaTypes.manifest);
  });
  test('so has the configuration', async () => {
    const docker = join(directory, 'certs.d', registry.host);
    const client = { cert: join(docker, 'client.cert'), key: join(docker, 'client.key') };
    await open(registry.host, { ca: [caFile], client }).manifest('app', '1', signal);
    await open(registry.host, { insecure: true, client }).manifest('app', '1', signal);
  });
  test('a certificate of nobody we know is refused at once, and says what to do', async () => {
    const failed = await open(registry.host, {}).manifest('app', '1', signal).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: 'unauthenticated', message: expect.stringContaining(`the certificate of ${registry.host} is not trusted`) as string, hint: expect.stringContaining(`/etc/docker/certs.d/${registry.host}/ca.crt`) as string });
  });
  test('without the certificate that it asks for', async () => {
    expect(await code(open(registry.host, { ca: [caFile] }).manifest('app', '1', signal))).not.toBe('resolved');
  });
  test('files that are missing or none', async () => {
    expect(await code(open(registry.host, { ca: [join(directory, 'none.pem')] }).manifest('app', '1', signal))).toBe('invalid');
    await writeFile(join(directory, 'bad.key'), 'x');
    expect(await code(open(registry.host, { client: { cert: caFile, key: join(directory, 'bad.key') } }).manifest('app', '1', signal))).toBe('invalid');
  });
  test('plain HTTP is spoken only when that was said', async () => {
    const plain = await FakeRegistry.start();
    try {
      const failed = await open(plain.host, {}).manifest('app', '1', signal).catch((error: unknown) => error);
      expect(failed).toMatchObject({ code: 'unsupported', hint: expect.stringContaining('plain_http') as string });
      expect(plain.requests).toEqual([]);
    } finally {
      await plain.close();
    }
  });

  test('a proxy by environment, and who is left out of it', async () => {
    const tunnels: string[] = [];
    const proxy = createServer();
    proxy.on('connect', (request, socket, head) => {
      tunnels.push(request.url ?? '');
      const [host, port] = (request.url ?? '').split(':');
      const upstream = connect(Number(port), host, () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        upstream.write(head);
        upstream.pipe(socket).pipe(upstream);
      });
      upstream.on('error', () => socket.destroy());
      socket.on('error', () => upstream.destroy());
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    try {
      const env = { HTTPS_PROXY: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` };
      const certificates = join(directory, 'certs.d');
      await open(registry.host, {}, null, { certificates, env }).manifest('app', '1', signal);
      expect(tunnels).toEqual([registry.host]);
      await open(registry.host, {}, null, { certificates, env: { ...env, NO_PROXY: '127.0.0.1' } }).manifest('app', '1', signal);
      expect(tunnels).toHaveLength(1);
    } finally {
      for (const endpoint of opened.splice(0)) endpoint.close();
      await stopServer(proxy);
    }
  });
});

async function stopServer(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise<void>((resolve) => void server.close(() => resolve()));
}
