/** The port that hosts open for each other: who gets in, what there is to be had, and how much of it at a time. */
import { randomBytes } from 'node:crypto';
import { request } from 'node:https';
import { createConnection } from 'node:net';
import { connect } from 'node:tls';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { MemoryServedBlobs } from '../../../../agent/peers/blobs.ts';
import { PeerClient } from '../../../../agent/peers/client.ts';
import { BlobServer } from '../../../../agent/peers/server.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { silentLog } from '../../../../lib/log.ts';
import { sha256 } from '../../../../lib/oci/manifest.ts';
import type { Credentials } from '../../../../lib/pki/credentials.ts';
import { makeTrust, type TestTrust } from './trust.ts';

const stop = new AbortController();
const { signal } = new AbortController();
const blobs = new MemoryServedBlobs();
const small = randomBytes(1000);
const large = randomBytes(3 << 20);
const peers = new Set(['n1', 'n2', 'n3', 'n4']);
let trust: TestTrust;
let server: BlobServer;
const who = new Map<string, Partial<Credentials> & { readonly ca: string }>();

beforeAll(async () => {
  trust = await makeTrust();
  const other = await makeTrust();
  for (const data of [small, large]) blobs.blobs.set(sha256(data), data);
  server = await start();
  who.set('nobody', { ca: trust.ca });
  who.set('a node of another cluster', { ...(await other.node('n2')), ca: trust.ca });
  who.set('a node whose certificate is over', await trust.node('n2', { now: Date.now() - 7_200_000 }));
  who.set('a node that was removed', await trust.node('n9'));
  who.set('an admin', await trust.person('admin', 'n2'));
  who.set('a viewer', await trust.person('viewer', 'n2'));
  who.set('a master', await trust.person('master', 'n2', ['localhost', '127.0.0.1']));
  who.set('a node', await trust.node('n2'));
});

afterAll(() => stop.abort());

async function start(options: Partial<Parameters<typeof BlobServer.start>[0]> = {}): Promise<BlobServer> {
  return BlobServer.start({ blobs, credentials: await trust.node('n1'), isPeer: (id) => peers.has(id), address: '127.0.0.1', port: 0, clock: systemClock, log: silentLog, signal: stop.signal, ...options });
}

interface Answer {
  readonly status: number;
  readonly body: Buffer;
  readonly headers: NodeJS.Dict<string | string[]>;
}

function call(path: string, tls: object, options: { readonly method?: string; readonly range?: string; readonly port?: number } = {}): Promise<Answer | 'shut out'> {
  return new Promise((resolve) => {
    const req = request({
      host: '127.0.0.1', port: options.port ?? server.port, path, method: options.method ?? 'GET', agent: false, servername: 'n1', timeout: 5000,
      headers: options.range === undefined ? {} : { range: options.range }, ...tls,
    }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', () => resolve('shut out'));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks), headers: response.headers }));
    });
    req.on('timeout', () => req.destroy());
    req.on('error', () => resolve('shut out'));
    req.end();
  });
}

const blobPath = (data: Uint8Array) => `/v1/blobs/${sha256(data)}`;
const node = () => who.get('a node')!;
const at = (id: string, port = server.port) => ({ id, address: '127.0.0.1', port });

async function read(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part);
  return Buffer.concat(parts);
}

describe('who gets in', () => {
  it.each([
    ['nobody', 'shut out'], ['a node of another cluster', 'shut out'], ['a node whose certificate is over', 'shut out'],
    ['a node that was removed', 403], ['an admin', 403], ['a viewer', 403], ['a master', 403], ['a node', 200],
  ] as const)('%s: %s', async (name, outcome) => {
    const answer = await call(blobPath(small), who.get(name)!);
    expect(answer === 'shut out' ? answer : answer.status).toBe(outcome);
    if (answer !== 'shut out') expect(answer.body.equals(small)).toBe(outcome === 200);
  });

  it('a node that was removed while its connection is open', async () => {
    const own = await trust.node('n4');
    const client = new PeerClient(() => own);
    expect(await client.ask(at('n1'), sha256(small), 0, signal).then(async (answer) => answer.kind === 'blob' && (await read(answer.body)).length)).toBe(small.length);
    peers.delete('n4');
    await expect(client.ask(at('n1'), sha256(small), 0, signal)).rejects.toMatchObject({ code: 'forbidden' });
    client.close();
  });

  it('answers nothing in plain text', async () => {
    const said = await new Promise<string>((resolve) => {
      const socket = createConnection({ host: '127.0.0.1', port: server.port }, () => socket.write(`GET ${blobPath(small)} HTTP/1.1\r\nHost: n1\r\n\r\n`));
      let text = '';
      socket.setTimeout(3000, () => socket.destroy());
      socket.on('data', (data: Buffer) => { text += data.toString('latin1'); });
      socket.on('error', () => {});
      socket.on('close', () => resolve(text));
    });
    expect(said === '' || said.charCodeAt(0) === 21 || /^HTTP\/1\.[01] 400 /.test(said), JSON.stringify(said)).toBe(true);
  });

  it.each(['TLSv1.1', 'TLSv1.2'] as const)('does not speak %s', async (version) => {
    const outcome = await new Promise<string>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port: server.port, ...node(), servername: 'n1', minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' }, () => {
        resolve(`spoke ${socket.getProtocol()}`);
        socket.destroy();
      });
      socket.on('error', () => resolve('refused'));
    });
    expect(outcome).toBe('refused');
  });

  it('a reader sees through whoever answers in the place of another node', async () => {
    const client = new PeerClient(() => node() as Credentials);
    await expect(client.ask(at('n3'), sha256(small), 0, signal)).rejects.toMatchObject({ code: 'unavailable', message: expect.stringMatching(/altname/i) });
    client.close();
  });

  it('new connections see a new certificate', async () => {
    const serial = () => new Promise<string>((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: server.port, ...node(), servername: 'n1' }, () => {
        resolve(socket.getPeerCertificate().serialNumber);
        socket.destroy();
      });
      socket.on('error', reject);
    });
    const before = await serial();
    server.rotate(await trust.node('n1'));
    expect(await serial()).not.toBe(before);
    expect(await call(blobPath(small), node())).toMatchObject({ status: 200 });
  });
});

describe('what there is', () => {
  it.each<[string, () => string, { readonly method?: string; readonly range?: string }, number]>([
    ['a blob', () => blobPath(large), {}, 200],
    ['a blob from the middle on', () => blobPath(large), { range: 'bytes=1000000-' }, 206],
    ['the length of a blob', () => blobPath(large), { method: 'HEAD' }, 200],
    ['a range behind the end', () => blobPath(small), { range: 'bytes=1001-' }, 416],
    ['a range with an end', () => blobPath(small), { range: 'bytes=0-10' }, 416],
    ['several ranges', () => blobPath(small), { range: 'bytes=0-,5-' }, 416],
    ['a blob that is not here', () => blobPath(Buffer.from('x')), {}, 404],
    ['a path', () => '/v1/blobs/../../etc/passwd', {}, 404],
    ['a path behind a digest', () => `${blobPath(small)}/../x`, {}, 404],
    ['a digest in capitals', () => blobPath(small).toUpperCase(), {}, 404],
    ['a list', () => '/v1/blobs/', {}, 404],
    ['the root', () => '/', {}, 404],
    ['a change', () => blobPath(small), { method: 'PUT' }, 405],
    ['a removal', () => blobPath(small), { method: 'DELETE' }, 405],
  ])('%s', async (_what: string, path, options, status) => {
    const answer = await call(path(), node(), options);
    expect(answer).toMatchObject({ status });
    if (answer === 'shut out') return;
    if (status === 200 && options.method === undefined) expect(answer.body.equals(large)).toBe(true);
    if (status === 206) {
      expect(answer.body.equals(large.subarray(1_000_000))).toBe(true);
      expect(answer.headers['content-range']).toBe(`bytes 1000000-${large.length - 1}/${large.length}`);
    }
    if (options.method === 'HEAD') expect(answer.headers['content-length']).toBe(String(large.length));
  });

  it('says of a blob that is being fetched that it is coming', async () => {
    const client = new PeerClient(() => node() as Credentials);
    const digest = sha256('soon');
    expect(await client.ask(at('n1'), digest, 0, signal)).toEqual({ kind: 'absent' });
    blobs.underWay.add(digest);
    expect(await client.ask(at('n1'), digest, 0, signal)).toEqual({ kind: 'coming' });
    client.close();
  });

  it('an empty blob', async () => {
    blobs.blobs.set(sha256(''), Buffer.alloc(0));
    const client = new PeerClient(() => node() as Credentials);
    const answer = await client.ask(at('n1'), sha256(''), 0, signal);
    expect(answer).toMatchObject({ kind: 'blob', size: 0 });
    client.close();
  });
});

describe('how much at a time', () => {
  let held: Awaited<ReturnType<PeerClient['ask']>>[];
  const clients: PeerClient[] = [];
  const huge = randomBytes(32 << 20);

  beforeEach(() => {
    blobs.blobs.set(sha256(huge), huge);
    held = [];
  });

  const clientOf = async (id: string) => {
    const own = await trust.node(id);
    const client = new PeerClient(() => own);
    clients.push(client);
    return client;
  };

  afterAll(() => {
    for (const client of clients) client.close();
  });

  it('three streams, two for one node; documents pass; a place is free again when its reader has gone', async () => {
    const over = new AbortController();
    const [two, three] = [await clientOf('n2'), await clientOf('n3')];
    const ask = async (client: PeerClient) => {
      const answer = await client.ask(at('n1'), sha256(huge), 0, over.signal);
      held.push(answer);
      return answer.kind;
    };
    expect([await ask(two), await ask(two), await ask(two)]).toEqual(['blob', 'blob', 'busy']);
    expect([await ask(three), await ask(three)]).toEqual(['blob', 'busy']);
    expect((await three.ask(at('n1'), sha256(small), 0, signal)).kind).toBe('blob');
    over.abort();
    await expect.poll(async () => {
      const answer = await three.ask(at('n1'), sha256(huge), huge.length - (2 << 20), signal);
      return answer.kind === 'blob' ? (await read(answer.body)).equals(huge.subarray(-(2 << 20))) : answer.kind;
    }).toBe(true);
  });

  it('keeps to its rate, all streams together', async () => {
    const rate = 16 << 20;
    const limited = await start({ bytesPerSecond: rate });
    const began = performance.now();
    const sizes = await Promise.all(['n2', 'n3'].map(async (id) => {
      const answer = await (await clientOf(id)).ask(at('n1', limited.port), sha256(large), 0, signal);
      return answer.kind === 'blob' ? (await read(answer.body)).length : answer.kind;
    }));
    expect(sizes).toEqual([large.length, large.length]);
    // Never faster: being slower is the machine's right.
    expect((performance.now() - began) / 1000).toBeGreaterThan((2 * large.length) / rate - 0.2);
    expect(limited.sent).toBe(2 * large.length);
  });

  it('a reader that broke off goes on where it was', async () => {
    const client = await clientOf('n2');
    const over = new AbortController();
    const first = await client.ask(at('n1'), sha256(huge), 0, over.signal);
    const parts: Uint8Array[] = [];
    if (first.kind !== 'blob') throw new Error(first.kind);
    await expect((async () => {
      for await (const part of first.body) {
        parts.push(part);
        if (parts.length === 5) over.abort();
      }
    })()).rejects.toMatchObject({ code: 'aborted' });
    const got = Buffer.concat(parts);
    await expect.poll(async () => {
      const rest = await client.ask(at('n1'), sha256(huge), got.length, signal);
      return rest.kind === 'blob' && Buffer.concat([got, await read(rest.body)]).equals(huge);
    }).toBe(true);
  });
});
