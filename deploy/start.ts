/**
 * `npm start`: a cluster on this machine with the voting example on it. Everything that is there already is left alone, so the
 * second time it takes seconds.
 */
import { homedir } from 'node:os';
import { createReadStream } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ApiClient } from '../cli/client.ts';
import { resolveMaster } from '../cli/context/resolve.ts';
import { codeOf } from '../cli/exit.ts';
import type { Io } from '../cli/io.ts';
import { run } from '../cli/run.ts';
import type { ImageListItem, NodeListItem, ServiceListItem } from '../model/api.ts';
import { describeError, TsorchError } from '../model/errors.ts';
import { buildImages, type BuiltImage } from './images/build.ts';
import { createSteps } from './local/steps.ts';
import { digestsOf, missingImages, type KnownDigests } from './missing-images.ts';

const cache = '/var/cache/tsorch/images';
const knownFile = join(cache, 'out/loaded.json');
const root = resolve(import.meta.dirname, '..');
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => (stop.signal.aborted ? process.exit(130) : stop.abort(new Error(signal))));

const io: Io = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: { HOME: homedir(), ...process.env },
  cwd: root,
  now: () => Date.now(),
  signal: stop.signal,
};
const steps = createSteps({ write: (text) => process.stdout.write(text), isTTY: process.stdout.isTTY === true, now: io.now });

try {
  const started = io.now();
  await tsorch('up');
  const images = await steps.step('images', (say) => buildImages({ out: join(cache, 'out'), cache, names: [], say }), (built) => `${built.filter((image) => image.fresh).length} built, ${built.length} in all`);
  const client = new ApiClient(await resolveMaster({}, io.env), stop.signal);
  try {
    await steps.step('images on the hosts', (say) => loadImages(client, images, say), (count) => (count === 0 ? 'there already' : `${count} loaded`));
    await tsorch('apply', '-f', 'deploy/examples/voting/stack.yml', '--wait', '--timeout', '3m');
    await tsorch('ps', 'voting');
    await showAddresses(client, started);
  } finally {
    client.close();
  }
  process.exit(0);
} catch (error) {
  process.stderr.write(`error: ${describeError(error)}\n`);
  process.exit(codeOf(error));
}

/** A command as a person would type it, shown first; its failure is ours. */
async function tsorch(...argv: readonly string[]): Promise<void> {
  process.stdout.write(`\n$ tsorch ${argv.join(' ')}\n`);
  const code = await run(argv, io);
  if (code !== 0) process.exit(code);
}

/** Sends each node what it lacks, and nothing else. */
async function loadImages(client: ApiClient, images: readonly BuiltImage[], say: (detail: string) => void): Promise<number> {
  const [nodes, present] = await Promise.all([client.get<NodeListItem[]>('/v1/nodes'), client.get<ImageListItem[]>('/v1/images')]);
  const missing = missingImages(images, nodes.filter((node) => node.state === 'ready').map((node) => node.name), present, await readKnown());
  for (const { image, nodes: targets } of missing) {
    say(`${image.reference} to ${targets.join(', ')}`);
    for await (const message of client.upload<{ node: string; error?: string }>('/v1/images', createReadStream(image.path, { highWaterMark: 1 << 20 }), { node: targets })) {
      if (message.error) throw new TsorchError('internal', `${image.reference} cannot be loaded on ${message.node}: ${message.error}`);
    }
  }
  if (missing.length > 0) await writeFile(knownFile, JSON.stringify(digestsOf(images, await client.get<ImageListItem[]>('/v1/images'))));
  return missing.length;
}

async function readKnown(): Promise<KnownDigests> {
  try {
    return JSON.parse(await readFile(knownFile, 'utf8')) as KnownDigests;
  } catch {
    // Nothing was ever loaded; everything is then.
    return {};
  }
}

async function showAddresses(client: ApiClient, started: number): Promise<void> {
  const [services, nodes] = await Promise.all([client.get<ServiceListItem[]>('/v1/services', { stack: 'voting' }), client.get<NodeListItem[]>('/v1/nodes')]);
  const address = nodes.find((node) => node.state === 'ready')?.address ?? '';
  const lines = services.flatMap((service) => service.ports.map((port) => `  ${service.name.padEnd(8)} http://${address}:${port.published}   (the same on every node)`));
  process.stdout.write(
    `\nThe voting example runs, ${((io.now() - started) / 1000).toFixed(0)} s after the start:\n${lines.join('\n')}\n\nTry next:\n` +
      '  npx tsorch ps voting                    the pods and their hosts\n' +
      '  npx tsorch scale voting_vote=4 --wait   more of one service\n' +
      '  npx tsorch logs -f voting               what they write\n' +
      '  npx tsorch node drain node-1 --wait     move pods away from a host\n' +
      '  npm stop                                take it all down; npm start brings it back\n',
  );
}
