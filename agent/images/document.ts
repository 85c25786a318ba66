/** Image configurations: what runs, and what its layers unpack to. Pure. */
import { diffIdsOf } from '../../lib/oci/configuration.ts';
import { parseJson } from '../../lib/oci/manifest.ts';
import type { ImageConfig } from '../runtime/port.ts';

export { chainIds } from '../../lib/oci/configuration.ts';

/** A configuration as read: what runs, and the digests of the layers unpacked. */
export interface ImageDocument {
  readonly config: ImageConfig;
  readonly diffIds: readonly string[];
}

export function parseImage(data: Uint8Array, what: string): ImageDocument {
  const diffIds = diffIdsOf(data, what);
  const value = parseJson(data, what) as RawImage;
  const raw = value.config ?? {};
  const check = raw.Healthcheck;
  return {
    diffIds,
    config: {
      architecture: value.architecture ?? '',
      os: value.os ?? 'linux',
      ...(value.variant ? { variant: value.variant } : {}),
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
  readonly variant?: string;
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
