/** Blobs from other nodes, when all goes well and when it does not. Real TLS, contents in memory. */
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryServedBlobs, type ServedBlobs } from '../../../../agent/peers/blobs.ts';
import type { PeerSource } from '../../../../agent/peers/source.ts';
import { sha256 } from '../../../../lib/oci/manifest.ts';
import { anyReference, descriptorOf, fetchInto, imageOf, Swarm, type SwarmHost } from './swarm.ts';

let swarm: Swarm;
const { signal } = new AbortController();
const data = randomBytes(5 << 20);
const blob = descriptorOf(data);

beforeEach(async () => {
  swarm = await Swarm.make();
});
afterEach(() => swarm.close());

interface MemoryHost extends SwarmHost {
  readonly blobs: MemoryServedBlobs;
}

async function add(id: string, contents: readonly Uint8Array[] = [], options: Parameters<Swarm['add']>[2] = {}): Promise<MemoryHost> {
  const blobs = new MemoryServedBlobs();
  for (const each of contents) blobs.blobs.set(sha256(each), each);
  const host = await swarm.add(id, (sources): ServedBlobs => ({
    size: (digest) => blobs.size(digest), open: (digest, offset) => blobs.open(digest, offset), coming: (digest) => blobs.coming(digest) && !sources.seeks(digest),
  }), options);
  if (contents.length > 0) swarm.inventory.replace(id, [imageOf(...contents)]);
  return { ...host, blobs };
}

async function read(source: PeerSource, offset = 0): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of await source.blob(anyReference, blob, offset, signal)) parts.push(part);
  return Buffer.concat(parts);
}

describe('a blob', () => {
  it('comes from whoever has it, whole or from an offset on', async () => {
    await add('n1', [data]);
    const reader = await add('n2');
    const source = reader.sources.open();
    expect((await read(source)).equals(data)).toBe(true);
    expect((await read(source, 3_000_000)).equals(data.subarray(3_000_000))).toBe(true);
    expect((await read(source, data.length)).length).toBe(0);
    expect(source.bytes).toBe(2 * data.length - 3_000_000);
  });

  it('that nobody has is asked for elsewhere at once, and without a master too', async () => {
    const reader = await add('n1');
    await add('n2');
    await expect(read(reader.sources.open())).rejects.toMatchObject({ code: 'not-found' });
    swarm.masterAway = true;
    await expect(read(reader.sources.open())).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('that a node is said to have and has not comes from another one', async () => {
    const empty = await add('n1', [data]);
    empty.blobs.blobs.clear();
    await add('n2', [data]);
    const reader = await add('n3');
    expect((await read(reader.sources.open())).equals(data)).toBe(true);
  });

  it('a node that cannot be reached is passed over', async () => {
    (await add('n1', [data])).kill();
    await add('n2', [data]);
    const reader = await add('n3');
    for (let n = 0; n < 3; n++) expect((await read(reader.sources.open())).equals(data)).toBe(true);
  });

  it('goes on elsewhere when its sender dies in the middle', async () => {
    const [one, two] = [await add('n1', [data]), await add('n2', [data])];
    const reader = await add('n3');
    const source = reader.sources.open();
    const parts: Uint8Array[] = [];
    let killed: MemoryHost | undefined;
    for await (const part of await source.blob(anyReference, blob, 0, signal)) {
      parts.push(part);
      if (killed || Buffer.concat(parts).length < 1 << 20) continue;
      killed = one.server.sent > 0 ? one : two;
      killed.kill();
    }
    expect(Buffer.concat(parts).equals(data)).toBe(true);
    // Nothing was read twice.
    expect(source.bytes).toBe(data.length);
    expect([one, two].find((host) => host !== killed)?.server.sent).toBeGreaterThan(0);
  });

  it('ends in an error when its last sender dies, and nothing is left waiting', async () => {
    const one = await add('n1', [data]);
    const reader = await add('n2');
    let bytes = 0;
    await expect((async () => {
      for await (const part of await reader.sources.open().blob(anyReference, blob, 0, signal)) {
        bytes += part.length;
        one.kill();
        swarm.inventory.drop('n1');
      }
    })()).rejects.toMatchObject({ code: 'not-found' });
    expect(bytes).toBeLessThan(data.length);
    expect(reader.sources.seeks(blob.digest)).toBe(false);
  });

  it('a reader that gives up stops the sender', async () => {
    const one = await add('n1', [data], { bytesPerSecond: 1 << 20 });
    const reader = await add('n2');
    const over = new AbortController();
    await expect((async () => {
      for await (const _ of await reader.sources.open().blob(anyReference, blob, 0, over.signal)) over.abort();
    })()).rejects.toMatchObject({ code: 'aborted' });
    await expect.poll(async () => (await swarm.hosts.get('n2')!.sources.open().blob(anyReference, blob, data.length - 10, signal).then(async (body) => {
      for await (const _ of body);
      return one.server.sent;
    }))).toBeLessThan(data.length);
  });
});

describe('a corrupt blob', () => {
  const broken = Buffer.concat([data.subarray(0, -1), Buffer.from([(data.at(-1) ?? 0) ^ 1])]);

  async function liar(id: string, content: Uint8Array): Promise<void> {
    const host = await add(id, [data]);
    host.blobs.blobs.set(blob.digest, content);
  }

  it('is refused, and comes from another node', async () => {
    await liar('n1', broken);
    await liar('n2', broken);
    await add('n3', [data]);
    const reader = await add('n4');
    let corrupt = 0;
    for (let n = 0; n < 12; n++) {
      await read(reader.sources.open()).then((got) => expect(got.equals(data)).toBe(true), (error: unknown) => {
        expect(error).toMatchObject({ code: 'invalid' });
        corrupt++;
      });
    }
    // Whoever has sent it is not asked for it again.
    expect(corrupt).toBeLessThanOrEqual(2);
    expect((await fetchInto(reader, reader.blobs, blob, signal)).length).toBe(data.length);
  });

  it('of another size is not even read', async () => {
    await liar('n1', data.subarray(0, 1000));
    await add('n2', [data]);
    const reader = await add('n3');
    const source = reader.sources.open();
    for (let n = 0; n < 4; n++) expect((await read(source)).equals(data)).toBe(true);
    expect(source.bytes).toBe(4 * data.length);
  });

  it('that nobody has otherwise is an error, and the last byte is never given out', async () => {
    await liar('n1', broken);
    const reader = await add('n2');
    let bytes = 0;
    await expect((async () => {
      for await (const part of await reader.sources.open().blob(anyReference, blob, 0, signal)) bytes += part.length;
    })()).rejects.toMatchObject({ code: 'invalid', message: expect.stringContaining('n1') });
    expect(bytes).toBeLessThan(data.length);
    await expect(read(reader.sources.open())).rejects.toMatchObject({ code: 'not-found' });
  });
});

describe('a document', () => {
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, config: {}, layers: [] }));
  const name = 'docker.io/library/app:1';

  const named = async () => {
    await add('n1', [manifest]);
    swarm.inventory.replace('n1', [{ ...imageOf(manifest), target: { ...descriptorOf(manifest), mediaType: 'application/vnd.oci.image.manifest.v1+json' }, names: [{ name, since: 7, from: 'archive' }] }]);
    return (await add('n2')).sources.open();
  };

  it('is found by its tag, with the time it was given', async () => {
    expect(await (await named()).manifest(anyReference, signal)).toMatchObject({ mediaType: 'application/vnd.oci.image.manifest.v1+json', data: manifest, arrival: { since: 7, from: 'archive' } });
  });

  it('is found by its digest; its tag counts only if it still means it', async () => {
    const source = await named();
    expect(await source.manifest({ ...anyReference, digest: sha256(manifest) }, signal)).toMatchObject({ data: manifest, arrival: { since: 7 } });
    const { tag: _, ...untagged } = anyReference;
    expect(await source.manifest({ ...untagged, digest: sha256(manifest) }, signal)).not.toHaveProperty('arrival');
  });

  it('is not found by its tag when the registry is to say what that means, but by its digest', async () => {
    await named();
    const [source] = await swarm.hosts.get('n2')!.sources.for(anyReference, { fresh: true });
    await expect(source!.manifest(anyReference, signal)).rejects.toMatchObject({ code: 'not-found' });
    expect(await source!.manifest({ ...anyReference, digest: sha256(manifest) }, signal)).toMatchObject({ data: manifest });
  });

  it('is not found under another tag', async () => {
    await expect((await named()).manifest({ ...anyReference, tag: '2' }, signal)).rejects.toMatchObject({ code: 'not-found' });
  });
});

describe('many at once', () => {
  it('spread it among themselves: the only node that had it sends a part of what all get', async () => {
    // So slow that one node could not serve them all in the time they take.
    const options = { streams: 2, bytesPerSecond: 12 << 20 };
    const seed = await add('seed', [data], options);
    const readers = await Promise.all(Array.from({ length: 12 }, (_, n) => add(`n${n}`, [], options)));
    await Promise.all(readers.map((reader) => fetchInto(reader, reader.blobs, blob, signal)));
    const sent = [seed, ...readers].map(({ server }) => server.sent);
    expect(sent.reduce((sum, each) => sum + each, 0)).toBe(readers.length * data.length);
    expect(seed.server.sent).toBeLessThanOrEqual(readers.length * 0.75 * data.length);
    expect(readers.filter(({ server }) => server.sent > 0).length).toBeGreaterThan(1);
  });

  it('that all lack it bring it from outside once', async () => {
    const hosts = await Promise.all(Array.from({ length: 6 }, (_, n) => add(`n${n}`)));
    let outside = 0;
    await Promise.all(hosts.map(async (host) => {
      host.blobs.underWay.add(blob.digest);
      const body = await host.sources.open().blob(anyReference, blob, 0, signal).catch(() => null);
      if (body === null) {
        outside++;
        await new Promise((resolve) => setTimeout(resolve, 300));
      } else for await (const _ of body);
      host.blobs.underWay.delete(blob.digest);
      host.blobs.blobs.set(blob.digest, data);
    }));
    expect(outside).toBe(1);
  });

  it('nobody waits for those who wait', async () => {
    const hosts = await Promise.all(Array.from({ length: 3 }, (_, n) => add(`n${n}`)));
    const outcomes = await Promise.all(hosts.map(async (host) => {
      host.blobs.underWay.add(blob.digest);
      try {
        return await read(host.sources.open());
      } catch (error) {
        return (error as { code?: string }).code;
      } finally {
        host.blobs.underWay.delete(blob.digest);
      }
    }));
    expect(outcomes).toEqual(['not-found', 'not-found', 'not-found']);
  });
});
