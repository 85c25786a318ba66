/**
 * One pull: the manifest for this platform, its configuration, then all layers at once, each unpacked as soon as it and those before it
 * are here. Sources are asked in turn; one that sent something corrupt is not asked for it again.
 */
import type { Clock } from '../../lib/clock.ts';
import { choosePlatform, type Descriptor, isIndex, type Manifest, parseIndex, parseManifest, sha256 } from '../../lib/oci/manifest.ts';
import { distance, formatPlatform, type Platform } from '../../lib/oci/platform.ts';
import type { ImageReference } from '../../lib/oci/reference.ts';
import { isTransient, retryDelay } from '../../lib/oci/retry.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import type { PullProgress } from '../runtime/port.ts';
import { type BlobStore, chunks } from './blobs.ts';
import { type ImageDocument, parseImage } from './document.ts';
import type { Downloads } from './downloads.ts';
import { checkParts, roomFor } from './layers.ts';
import type { BlobSource, SourceDocument } from './source.ts';

export interface PullOptions {
  readonly reference: ImageReference;
  /** The reference as people know it, for errors. */
  readonly name: string;
  readonly sources: readonly BlobSource[];
  readonly store: BlobStore;
  readonly downloads: Downloads;
  readonly platform: Platform;
  /** Of another platform than ours, whether it runs here all the same. */
  readonly emulated: (platform: Platform) => boolean;
  readonly clock: Clock;
  readonly random: () => number;
  readonly signal: AbortSignal;
  readonly progress: (progress: PullProgress) => void;
  /** Unpacks the layers; `ready(i)` resolves when layer i is in the store. */
  readonly unpack: (manifest: Manifest, document: ImageDocument, ready: (index: number) => Promise<void>, unpacked: (layers: number) => void) => Promise<void>;
  /** Throws `exhausted` when there is no room for so many bytes. Absent: there always is. */
  readonly admit?: (bytes: number) => Promise<void>;
}

export interface Pulled {
  /** What the reference names: the manifest, or an index that has it. */
  readonly target: Descriptor;
  /** From the target to the manifest, both included. */
  readonly path: readonly Descriptor[];
  readonly manifest: Manifest;
  readonly document: ImageDocument;
  /** When and how the reference's tag was given, where the source knows better than we. */
  readonly arrival?: SourceDocument['arrival'];
}

const mostNested = 4;
const mostConfig = 8 << 20;
/** Of one blob; an attempt that got some of it does not count. */
const policy = { attempts: 5, first: 500, most: 10_000, patience: 60_000 };

export async function pullImage(options: PullOptions): Promise<Pulled> {
  const { store, name, platform, emulated } = options;
  if (options.sources.length === 0) throw new TsorchError('unsupported', `this node pulls from nowhere, so ${name} must be loaded`, { hint: 'load it with `tsorch image load`' });
  const path: Descriptor[] = [];
  let target: FoundManifest = await manifestOf(options, options.reference);
  const { arrival } = target;
  path.push(target.descriptor);
  while (isIndex(target.descriptor)) {
    if (path.length > mostNested) throw new TsorchError('invalid', `${name} is an index that is nested too deeply`);
    const chosen = choosePlatform(parseIndex(target.data, `the index of ${name}`), platform, name);
    target = await manifestOf(options, { ...options.reference, digest: chosen.digest });
    path.push(target.descriptor);
  }
  const manifest = parseManifest(target.data, `the manifest of ${name}`);
  checkParts(manifest.config, manifest.layers, name);
  if (manifest.config.size > mostConfig) throw new TsorchError('invalid', `the configuration of ${name} is larger than ${mostConfig >> 20} MiB`);
  await fetchBlob(options, manifest.config, options.signal, () => {});
  const document = parseImage(await store.read(manifest.config.digest), `the configuration of ${name}`);
  checkPlatform(document, platform, emulated, name);
  await layersOf(options, manifest, document);
  const [first] = path;
  if (!first) throw new TsorchError('internal', `${name} has no manifest`);
  return { target: first, path, manifest, document, ...(arrival ? { arrival } : {}) };
}

/** Images from before there were indexes, and indexes that are wrong, tell of their platform only here. */
export function checkPlatform({ config }: ImageDocument, host: Platform, emulated: (platform: Platform) => boolean, name: string): void {
  const { os, architecture, variant } = config;
  const own: Platform = { os: os || 'linux', architecture, ...(variant === undefined ? {} : { variant }) };
  if (architecture === '' || distance(host, own) !== null || emulated(own)) return;
  throw new TsorchError('unsupported', `image ${name} is for ${formatPlatform(own)}, and this node is ${formatPlatform(host)}`, { hint: 'build it for this platform, or say platform in the stack file so that it goes to a node that runs it' });
}

interface FoundManifest extends Pick<SourceDocument, 'data' | 'arrival'> {
  readonly descriptor: Descriptor;
}

async function manifestOf(options: PullOptions, reference: ImageReference): Promise<FoundManifest> {
  const { store, name } = options;
  const known = reference.digest !== undefined && (await store.has(reference.digest)) ? await store.read(reference.digest) : null;
  const document: SourceDocument = known === null ? await fetchManifest(options, reference) : { mediaType: mediaTypeOf(known), data: known };
  const descriptor = { mediaType: document.mediaType, digest: sha256(document.data), size: document.data.length };
  if (reference.digest !== undefined && descriptor.digest !== reference.digest) throw new TsorchError('invalid', `the manifest of ${name} is corrupt: it has the digest ${descriptor.digest}`);
  if (known === null) await store.write(descriptor.digest, descriptor.size, chunks(document.data));
  return { descriptor, data: document.data, ...(document.arrival ? { arrival: document.arrival } : {}) };
}

/** A corrupt answer is like none. */
async function fetchManifest({ sources, signal, name }: PullOptions, reference: ImageReference): Promise<SourceDocument> {
  return await eachSource(sources, signal, async (source) => {
    const answer = await source.manifest(reference, signal);
    if (reference.digest !== undefined && sha256(answer.data) !== reference.digest) throw new TsorchError('invalid', `${source.name} sends a manifest of ${name} that is not ${reference.digest}`);
    return answer;
  });
}

function mediaTypeOf(data: Buffer): string {
  const { mediaType, manifests } = JSON.parse(data.toString('utf8')) as { mediaType?: string; manifests?: unknown };
  return mediaType ?? (manifests === undefined ? 'application/vnd.oci.image.manifest.v1+json' : 'application/vnd.oci.image.index.v1+json');
}

async function layersOf(options: PullOptions, manifest: Manifest, document: ImageDocument): Promise<void> {
  const { store, progress, signal } = options;
  // An image may have the same layer twice.
  const blobs = new Map(manifest.layers.map((layer) => [layer.digest, layer]));
  const missing = new Set<string>();
  for (const { digest } of blobs.values()) if (!(await store.has(digest))) missing.add(digest);
  const wanted = [...blobs.values()].filter(({ digest }) => missing.has(digest));
  if (wanted.length > 0) await options.admit?.(roomFor(wanted));
  const total = wanted.reduce((sum, { size }) => sum + size, 0);
  const here = new Map<string, number>();
  let unpacked = 0;
  const tell = () => {
    const bytes = [...here.values()].reduce((sum, each) => sum + each, 0);
    progress(bytes < total ? { kind: 'downloading', bytes, total } : { kind: 'unpacking', layers: unpacked, total: manifest.layers.length });
  };
  tell();
  // One that fails ends the others: what they have got stays for the next attempt.
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const downloads = new Map(wanted.map((layer) => [
    layer.digest,
    fetchBlob(options, layer, either, (bytes) => {
      here.set(layer.digest, bytes);
      tell();
    }),
  ]));
  const all = [...downloads.values()];
  try {
    const unpacking = options.unpack(manifest, document, async (index) => await downloads.get(manifest.layers[index]?.digest ?? ''), (layers) => {
      unpacked = layers;
      tell();
    });
    await Promise.all([...all, unpacking]);
  } catch (error) {
    stop.abort(new TsorchError('aborted', 'another layer failed'));
    throw error;
  } finally {
    await Promise.allSettled(all);
  }
}

/** Until it is here, or is not worth trying any more. */
async function fetchBlob(options: PullOptions, descriptor: Descriptor, signal: AbortSignal, told: (bytes: number) => void): Promise<void> {
  const { store, sources, name, reference, clock, random, downloads } = options;
  const liars = new Set<BlobSource>();
  let failures = 0;
  let corrupt = 0;
  await downloads.run(descriptor.digest, signal, async () => {
    for (;;) {
      let best = 0;
      let begun: number | null = null;
      let asked: BlobSource | undefined;
      try {
        await store.receive(
          descriptor,
          async (offset) => {
            begun = offset;
            const honest = sources.filter((source) => !liars.has(source));
            // When all of them lied, the line may have: each gets its second chance.
            return await eachSource(honest.length > 0 ? honest : sources, signal, async (source) => {
              asked = source;
              return await source.blob(reference, descriptor, offset, signal);
            });
          },
          (bytes) => {
            best = bytes;
            told(bytes);
          },
        );
        return;
      } catch (error) {
        if (isCode(error, 'invalid') && asked !== undefined) {
          liars.add(asked);
          told(0);
          if (++corrupt === 2) throw new TsorchError('invalid', `layer ${descriptor.digest} of ${name} came corrupt twice, last from ${asked.name}`, { cause: error, hint: 'the registry has it damaged, or something on the way changes it: push the image again, or look at proxies and mirrors' });
          continue;
        }
        if (!isTransient(error) || signal.aborted) throw error;
        failures = begun !== null && best > begun ? 1 : failures + 1;
        const wait = retryDelay(failures, null, random, policy);
        if (wait === null) throw error;
        await clock.sleep(wait, signal);
      }
    }
  });
}

/** The first answer. When there is none, what the registry says, or else the last error that says more than that somebody has not got it. */
async function eachSource<T>(sources: readonly BlobSource[], signal: AbortSignal, ask: (source: BlobSource) => Promise<T>): Promise<T> {
  let failure: unknown;
  for (const source of sources) {
    try {
      return await ask(source);
    } catch (error) {
      if (signal.aborted) throw error;
      if (source.decides || !isCode(error, 'not-found')) failure = error;
      else failure ??= error;
    }
  }
  throw failure;
}
