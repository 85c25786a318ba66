/**
 * `npm start`: a cluster on this machine with the voting example on it. Everything that is there already is left alone, so the
 * second time it takes seconds.
 */
import { homedir } from 'node:os';
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ApiClient } from '../cli/client.ts';
import { resolveMaster } from '../cli/context/resolve.ts';
import { codeOf } from '../cli/exit.ts';
import type { Io } from '../cli/io.ts';
import { run } from '../cli/run.ts';
import type { ImageListItem, NodeListItem, ServiceListItem } from '../model/api.ts';
import { describeError } from '../model/errors.ts';
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
    await loadImages(client, images);
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

/** What some host has not got. As a person would, but without reading archives of which nothing is missing. */
async function loadImages(client: ApiClient, images: readonly BuiltImage[]): Promise<void> {
  const present = () => client.get<ImageListItem[]>('/v1/images');
  const ready = (await client.get<NodeListItem[]>('/v1/nodes')).filter((node) => node.state === 'ready').map((node) => node.name);
  const missing = missingImages(images, ready, await present(), await readKnown());
  if (missing.length === 0) return;
  await tsorch('image', 'load', ...missing.map(({ path }) => path));
  await writeFile(knownFile, JSON.stringify(digestsOf(images, await present())));
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
