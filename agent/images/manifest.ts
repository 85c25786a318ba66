/** OCI and Docker image documents: manifests, indexes, configurations. Pure. */
import { createHash } from 'node:crypto';
import { TsorchError } from '../../model/errors.ts';
import type { ImageConfig } from '../runtime/port.ts';

export const mediaTypes = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
} as const;

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: { readonly os?: string; readonly architecture?: string; readonly variant?: string };
}

export interface Manifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

/** A configuration as read: what runs, and the digests of the layers unpacked. */
export interface ImageDocument {
  readonly config: ImageConfig;
  readonly diffIds: readonly string[];
}

export function sha256(data: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`;
}

/** The name of a snapshot that has all layers up to each: the last one is the image's. */
export function chainIds(diffIds: readonly string[]): readonly string[] {
  const chain: string[] = [];
  for (const diffId of diffIds) {
    const parent = chain.at(-1);
    chain.push(parent === undefined ? diffId : sha256(`${parent} ${diffId}`));
  }
  return chain;
}

export function isIndex(descriptor: Descriptor): boolean {
  return descriptor.mediaType === mediaTypes.index || descriptor.mediaType === mediaTypes.dockerIndex;
}

export function parseManifest(data: Uint8Array, what: string): Manifest {
  const value = parseJson(data, what) as Partial<Manifest> | null;
  if (!isDescriptor(value?.config) || !Array.isArray(value.layers) || !value.layers.every(isDescriptor)) {
    throw new TsorchError('invalid', `${what} is not an image manifest: config or layers are missing or malformed`);
  }
  return { config: value.config, layers: value.layers };
}

export function parseIndex(data: Uint8Array, what: string): readonly Descriptor[] {
  const value = parseJson(data, what) as { readonly manifests?: unknown } | null;
  if (!Array.isArray(value?.manifests) || !value.manifests.every(isDescriptor)) throw new TsorchError('invalid', `${what} is not an image index: manifests are missing or malformed`);
  return value.manifests;
}

/** The manifest for a platform; one that names none fits all. Throws `unsupported` when there is no such image. */
export function choosePlatform(manifests: readonly Descriptor[], architecture: string, what: string): Descriptor {
  const fits = manifests.filter(({ platform }) => platform === undefined || (platform.os === 'linux' && platform.architecture === architecture));
  const best = fits.find(({ platform }) => platform !== undefined) ?? fits[0];
  if (best) return best;
  const there = manifests.map(({ platform }) => `${platform?.os}/${platform?.architecture}`).filter((name) => !name.includes('unknown'));
  throw new TsorchError('unsupported', `${what} has no image for linux/${architecture}, only for ${[...new Set(there)].join(', ') || 'nothing'}`);
}

export function parseImage(data: Uint8Array, what: string): ImageDocument {
  const value = parseJson(data, what) as RawImage | null;
  const diffIds = value?.rootfs?.diff_ids ?? [];
  if (typeof value !== 'object' || value === null || !Array.isArray(diffIds) || !diffIds.every((id) => typeof id === 'string' && /^sha256:[0-9a-f]{64}$/.test(id))) {
    throw new TsorchError('invalid', `${what} is not an image configuration`);
  }
  const raw = value.config ?? {};
  const check = raw.Healthcheck;
  return {
    diffIds,
    config: {
      architecture: value.architecture ?? '',
      os: value.os ?? 'linux',
      entrypoint: list(raw.Entrypoint),
      cmd: list(raw.Cmd),
      env: list(raw.Env),
      workingDir: raw.WorkingDir ?? '',
      user: raw.User ?? '',
      exposedPorts: Object.keys(raw.ExposedPorts ?? {}),
      volumes: Object.keys(raw.Volumes ?? {}),
      labels: raw.Labels ?? {},
      ...(raw.StopSignal ? { stopSignal: raw.StopSignal } : {}),
      ...(check?.Test && check.Test.length > 0 ? { healthcheck: healthcheck(check, check.Test) } : {}),
    },
  };
}

interface RawHealthcheck {
  readonly Test?: readonly string[];
  readonly Interval?: number;
  readonly Timeout?: number;
  readonly StartPeriod?: number;
  readonly StartInterval?: number;
  readonly Retries?: number;
}

interface RawImage {
  readonly architecture?: string;
  readonly os?: string;
  readonly rootfs?: { readonly diff_ids?: readonly string[] };
  readonly config?: {
    readonly Entrypoint?: readonly string[] | string | null;
    readonly Cmd?: readonly string[] | string | null;
    readonly Env?: readonly string[] | null;
    readonly WorkingDir?: string;
    readonly User?: string;
    readonly ExposedPorts?: Readonly<Record<string, unknown>> | null;
    readonly Volumes?: Readonly<Record<string, unknown>> | null;
    readonly StopSignal?: string;
    readonly Labels?: Readonly<Record<string, string>> | null;
    readonly Healthcheck?: RawHealthcheck | null;
  };
}

function healthcheck(raw: RawHealthcheck, test: readonly string[]): NonNullable<ImageConfig['healthcheck']> {
  return {
    test,
    ...(raw.Interval ? { interval: raw.Interval } : {}),
    ...(raw.Timeout ? { timeout: raw.Timeout } : {}),
    ...(raw.StartPeriod ? { startPeriod: raw.StartPeriod } : {}),
    ...(raw.StartInterval ? { startInterval: raw.StartInterval } : {}),
    ...(raw.Retries ? { retries: raw.Retries } : {}),
  };
}

/** Very old images have a string where a list belongs. */
function list(value: readonly string[] | string | null | undefined): readonly string[] {
  if (typeof value === 'string') return ['/bin/sh', '-c', value];
  return value ?? [];
}

export function parseJson(data: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(Buffer.from(data).toString('utf8'));
  } catch (cause) {
    throw new TsorchError('invalid', `${what} is not JSON`, { cause });
  }
}

function isDescriptor(value: unknown): value is Descriptor {
  const descriptor = value as Partial<Descriptor> | null | undefined;
  return typeof descriptor?.digest === 'string' && /^sha256:[0-9a-f]{64}$/.test(descriptor.digest) && typeof descriptor.size === 'number' && typeof descriptor.mediaType === 'string';
}
