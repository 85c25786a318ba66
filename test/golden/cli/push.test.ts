/** `image push` and `image load` against a master that takes pushes. */
import { createServer, type Server } from 'node:http';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { archives, digestOf, dockerArchive, incompressible, ociArchive, tinyImage } from '../../unit/cli/push/images.ts';
import type { BuiltImage } from '../../contract/agent/runtime/busybox.ts';
import { runCli, type RunOptions } from './harness.ts';
import { PushMaster } from './push-master.ts';

let master: PushMaster;
let directory: string;
let image: BuiltImage;
const servers: Server[] = [];

beforeEach(async () => {
  master = new PushMaster();
  await master.start();
  directory = await mkdtemp(join(tmpdir(), 'ts-push-'));
  image = await tinyImage('one', incompressible(300_000), 'three');
});
afterEach(async () => {
  await master.stop();
  for (const server of servers.splice(0)) server.close();
  await rm(directory, { recursive: true, force: true });
});

const digests = (of: BuiltImage) => of.layers.map((layer) => `sha256:${digestOf(layer)}`);
const push = (argv: readonly string[], options: RunOptions = {}) => runCli(['image', 'push', ...argv], { master, cwd: directory, ...options, env: { TMPDIR: directory, DOCKER_HOST: `unix://${directory}/docker.sock`, CONTAINERD_ADDRESS: join(directory, 'containerd.sock'), PATH: directory, ...options.env } });
/** How long it took is nobody's business. */
const timeless = (text: string) => text.replaceAll(/in [\d.]+ m?s/g, 'in a moment').replaceAll(/as [\d.]+ [KM]iB/g, 'as less');

async function save(name: string, data: Uint8Array): Promise<void> {
  await writeFile(join(directory, name), data);
}

/** A Docker with these images; those of `published` came from a registry. */
async function docker(images: Readonly<Record<string, Buffer>>, published: readonly string[] = []): Promise<string[]> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const url = decodeURIComponent(request.url ?? '');
    asked.push(url);
    const [, name = '', what] = /^\/images\/(.*)\/(json|get)$/.exec(url) ?? [];
    const data = images[name];
    if (!data) response.writeHead(404, { 'content-type': 'application/json' }).end(JSON.stringify({ message: `No such image: ${name}` }));
    else if (what === 'json') response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ Id: 'sha256:x', Size: data.length, RepoDigests: published.includes(name) ? [`${name}@sha256:x`] : [] }));
    else response.writeHead(200, { 'content-type': 'application/x-tar' }).end(data);
  });
  servers.push(server);
  await new Promise<void>((resolve) => void server.listen(join(directory, 'docker.sock'), resolve));
  return asked;
}

describe('an archive', () => {
  test.each(archives)('of %s: its layers, its manifest, its names', async (_kind, make) => {
    await save('vote.tar', await make(image, 'vote:1'));
    const result = await push(['vote.tar']);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    const [commit] = master.commits;
    expect(commit).toMatchObject({ push: 'feedbeef00000000', seed: 'node-2', nodes: ['node-2', 'node-1'] });
    expect(commit?.images[0]?.references).toEqual(['docker.io/library/vote:1']);
    const manifest = JSON.parse(commit?.images[0]?.manifest ?? '') as { config: { digest: string }; layers: { digest: string }[] };
    expect(master.blobs.get(manifest.config.digest)?.equals(image.config)).toBe(true);
    expect(manifest.layers.every(({ digest }) => master.blobs.has(digest))).toBe(true);
    expect(master.received).toHaveLength(3);
  });

  test('what is said in a pipe', async () => {
    await save('vote.tar', await dockerArchive(image, ['vote:1']));
    const { stdout } = await push(['vote.tar']);
    const [first, second, third] = digests(image).map((digest) => digest.slice(0, 19));
    expect(timeless(stdout)).toBe(
      `vote:1: 0 of 3 layers were there already; 299 KiB to send\n${first}: sent 2 KiB\n${second}: sent 295 KiB\n${third}: sent 2 KiB\nsent 299 KiB to node-2 as less in a moment\n`
      + 'node-2: vote:1\nnode-1: vote:1 (3 MiB from other nodes)\n',
    );
  });

  test('what is there already is skipped, and said', async () => {
    await save('vote.tar', await dockerArchive(image, ['vote:1']));
    await push(['vote.tar']);
    master.received.length = 0;
    expect((await push(['vote.tar'])).stdout).toBe('vote:1: all 3 layers were there already\nnode-2: vote:1\nnode-1: vote:1 (3 MiB from other nodes)\n');
    expect(master.received).toEqual([]);
    await save('vote2.tar', await dockerArchive({ ...(await tinyImage('one', 'changed', 'three')) }, ['vote:2']));
    expect((await push(['vote2.tar'])).stdout).toContain('vote:2: 2 of 3 layers were there already; 2 KiB to send\n');
    expect(master.received).toHaveLength(1);
  });

  test('layers that are not compressed are compressed on their way', async () => {
    await save('vote.tar', await dockerArchive(await tinyImage(Buffer.alloc(1_000_000, 7)), ['vote:1']));
    await push(['vote.tar']);
    expect(master.received[0]).toMatchObject({ encoding: 'zstd' });
    expect(master.received[0]?.bytes).toBeLessThan(10_000);
    await save('vote.tar', await ociArchive(await tinyImage(Buffer.alloc(1_000_000, 8)), 'vote:1'));
    await push(['vote.tar']);
    expect(master.received[1]).toMatchObject({ encoding: null });
  });

  test('from standard input, to nodes one names', async () => {
    const result = await push(['-', '--node', 'node-1', '--node', 'node-3'], { stdin: await dockerArchive(image, ['vote:1']) });
    expect(result.code).toBe(0);
    expect(master.plans[0]?.nodes).toEqual(['node-1', 'node-3']);
    await push(['-', '--node', 'all'], { stdin: await dockerArchive(image, ['vote:1']) });
    expect(master.plans[1]?.nodes).toBe('all');
    await push(['-'], { stdin: await dockerArchive(image, ['vote:1']) });
    expect(master.plans[2]?.nodes).toBe('needed');
  });

  test('image load sends it to all nodes', async () => {
    await save('vote.tar', await dockerArchive(image, ['vote:1']));
    expect(await runCli(['image', 'load', 'vote.tar'], { master, cwd: directory, env: { TMPDIR: directory } })).toMatchObject({ code: 0 });
    expect(await runCli(['image', 'load', '-', '--node', 'node-1'], { master, stdin: await dockerArchive(image, ['vote:1']), env: { TMPDIR: directory } })).toMatchObject({ code: 0 });
    expect(master.plans.map(({ nodes }) => nodes)).toEqual(['all', ['node-1']]);
  });
});

describe('when it does not go well', () => {
  test('a blob that breaks off goes on where it was', async () => {
    await save('vote.tar', await dockerArchive(await tinyImage(incompressible(200_000)), ['vote:1']));
    master.breakAfter = [50_000, 120_000];
    expect(await push(['vote.tar'])).toMatchObject({ code: 0, stderr: '' });
    expect(master.received.map(({ offset }) => offset)).toEqual([0, 50_000, 120_000]);
  });

  test('what one push has not sent to its end the next one goes on with', async () => {
    await save('vote.tar', await dockerArchive(await tinyImage(incompressible(200_000)), ['vote:1']));
    const stop = new AbortController();
    master.breakAfter = [150_000];
    master.onBreak = () => stop.abort();
    expect((await push(['vote.tar'], { signal: stop.signal })).code).not.toBe(0);
    expect((await push(['vote.tar'])).stdout).toContain('vote:1: 0 of 1 layers were there already, 1 of the others in part; 50.5 KiB to send');
    expect(master.received.at(-1)).toMatchObject({ offset: 150_000 });
  });

  test('a node that fails makes it fail', async () => {
    await save('vote.tar', await dockerArchive(image, ['vote:1']));
    master.events = () => [{ node: 'node-2', kind: 'done', references: ['vote:1'], bytes: 0 }, { node: 'node-1', kind: 'failed', error: 'no space left' }];
    const { code, stderr } = await push(['vote.tar']);
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'error: node-1: no space left\n' });
  });

  test('a master that breaks off has not succeeded', async () => {
    await save('vote.tar', await dockerArchive(image, ['vote:1']));
    master.events = () => [{ node: 'node-2', kind: 'done', references: ['vote:1'], bytes: 0 }];
    expect(await push(['vote.tar'])).toMatchObject({ code: 6, stderr: expect.stringContaining('before node-1 had it; push again') });
  });

  test('a blob that nobody takes is an error with what to do', async () => {
    await save('vote.tar', await dockerArchive(image, ['vote:1']));
    master.onPrefix('PUT /v1/images/blobs/', (_request, response) => response.writeHead(422, { 'content-type': 'application/json' }).end(JSON.stringify({ error: { code: 'exhausted', message: 'no space left for it', hint: 'free disk space on the host' } })));
    expect(await push(['vote.tar'])).toMatchObject({ code: 1, stderr: 'error: no space left for it; free disk space on the host\n' });
    expect(master.commits).toEqual([]);
  });

  test('a file that is no archive', async () => {
    await save('vote.tar', Buffer.alloc(3000, 1));
    expect(await push(['vote.tar'])).toMatchObject({ code: 3, stderr: expect.stringContaining('the archive cannot be read') });
  });
});

describe('an image by its name', () => {
  /** A `ctr` that has one image. */
  async function ctr(name: string, archive: Buffer): Promise<void> {
    await save('containerd.sock', Buffer.alloc(0));
    await save('ctr.tar', archive);
    await save('ctr', Buffer.from(`#!/bin/sh\ncase "$*" in *"--namespace moby images ls"*) echo ${name} ;; *"images export - ${name}") exec /bin/cat ${directory}/ctr.tar ;; esac\n`));
    await chmod(join(directory, 'ctr'), 0o755);
  }

  test('from Docker', async () => {
    const asked = await docker({ 'vote:1': await dockerArchive(image, ['vote:1']) });
    expect(await push(['vote:1'])).toMatchObject({ code: 0, stderr: '' });
    expect(asked).toEqual(['/images/vote:1/json', '/images/vote:1/get']);
    expect(master.commits[0]?.images[0]?.references).toEqual(['docker.io/library/vote:1']);
  });

  test('from containerd, when Docker has none', async () => {
    await docker({});
    await ctr('docker.io/library/vote:1', await ociArchive(image, 'docker.io/library/vote:1'));
    expect(await push(['vote:1'])).toMatchObject({ code: 0, stderr: '' });
    expect(master.commits[0]?.images[0]?.references).toEqual(['docker.io/library/vote:1']);
  });

  test('an archive without a name gets the one that was asked for', async () => {
    await docker({ 'team/vote': await dockerArchive(image, null) });
    await push(['team/vote']);
    expect(master.commits[0]?.images[0]?.references).toEqual(['docker.io/team/vote:latest']);
  });

  test('that nobody has: what was tried, and what to do', async () => {
    await docker({});
    await ctr('docker.io/library/other:1', Buffer.alloc(1));
    expect(await push(['vote:1'])).toEqual({
      code: 4, stdout: '',
      stderr: `error: there is no image vote:1 on this machine: no such file; Docker at ${directory}/docker.sock has none; containerd has none; build it, or name an archive made by \`docker save\`\n`,
    });
  });

  test('without Docker and containerd', async () => {
    expect(await push(['vote:1'])).toMatchObject({ code: 4, stderr: expect.stringMatching(/no such file; there is no Docker at .*docker.sock: no such socket; there is no containerd at .*containerd.sock; build it/) });
    expect(await push(['vote:1', '--from', 'docker'])).toMatchObject({ code: 4, stderr: expect.not.stringContaining('ctr') });
    expect(await push(['vote:1'], { env: { DOCKER_HOST: 'ssh://me@there' } })).toMatchObject({ code: 4, stderr: expect.stringContaining('docker save NAME | tsorch image push -') });
  });

  test('a file of that name goes first', async () => {
    await docker({ vote: await dockerArchive(await tinyImage('from docker'), ['vote:docker']) });
    await save('vote', await dockerArchive(image, ['vote:file']));
    await push(['vote']);
    await push(['vote', '--from', 'docker']);
    expect(master.commits.map(({ images }) => images[0]?.references[0])).toEqual(['docker.io/library/vote:file', 'docker.io/library/vote:docker']);
  });
});

test('apply says what to do about an image that lies in the Docker of this machine', async () => {
  const asked = await docker({ 'vote:1': Buffer.alloc(1), 'redis:7': Buffer.alloc(1) }, ['redis:7']);
  await save('stack.yml', Buffer.from('services: { vote: { image: "vote:1" }, cache: { image: "redis:7" }, db: { image: "postgres:15" }, web: { image: "vote:1" } }'));
  master.on('PUT /v1/stacks/shop', { stack: 'shop', services: {}, networks: {}, volumes: {}, warnings: [] });
  const apply = () => runCli(['apply', '-f', 'stack.yml', '-p', 'shop'], { master, cwd: directory, env: { DOCKER_HOST: `unix://${directory}/docker.sock` } });
  master.on('GET /v1/images/missing', ['vote:1', 'redis:7']);
  expect((await apply()).stderr).toBe('warning: image vote:1 is on no node, but in Docker on this machine; bring it there: tsorch image push vote:1\n');
  expect(master.requests.find(({ method }) => method === 'GET')?.url).toBe('/v1/images/missing?name=vote%3A1&name=redis%3A7&name=postgres%3A15');
  expect(asked.toSorted()).toEqual(['/images/redis:7/json', '/images/vote:1/json']);
  master.on('GET /v1/images/missing', []);
  expect((await apply()).stderr).toBe('');
});
