/** Platforms as image indexes name them, `os/architecture[/variant]`, and which of them a machine runs. Pure. */
import { TsorchError } from '../../model/errors.ts';

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  /** `v7` of arm, `v8` of arm64, `v2` of amd64. */
  readonly variant?: string;
}

/** What people and kernels call the architectures, as images call them. */
const names: Readonly<Record<string, Pick<Platform, 'architecture' | 'variant'>>> = {
  x86_64: { architecture: 'amd64' },
  'x86-64': { architecture: 'amd64' },
  x64: { architecture: 'amd64' },
  aarch64: { architecture: 'arm64' },
  i386: { architecture: '386' },
  i686: { architecture: '386' },
  ia32: { architecture: '386' },
  armhf: { architecture: 'arm', variant: 'v7' },
  armv7l: { architecture: 'arm', variant: 'v7' },
  armel: { architecture: 'arm', variant: 'v6' },
  armv6l: { architecture: 'arm', variant: 'v6' },
  ppc64el: { architecture: 'ppc64le' },
};

/** The variant that is meant when none is said. */
const usual: Readonly<Record<string, string>> = { arm: 'v7', arm64: 'v8', amd64: 'v1' };

/** `linux/arm/v7`, `arm64`, `linux/amd64`. Throws `invalid`. */
export function parsePlatform(text: string): Platform {
  const parts = text.toLowerCase().split('/');
  const [first = '', second, third] = parts;
  const fine = parts.length <= 3 && parts.every((part) => /^[a-z0-9_.-]+$/.test(part));
  if (!fine) throw new TsorchError('invalid', `${JSON.stringify(text)} is not a platform`, { hint: 'the form is os/architecture[/variant], such as linux/arm64' });
  return second === undefined ? architecture('linux', first) : architecture(first, second, third);
}

/** A machine's platform by its architecture, as Node or uname name it. */
export function platformOf(name: string): Platform {
  return architecture('linux', name);
}

export function formatPlatform({ os, architecture: name, variant }: Platform): string {
  return `${os}/${name}${variant === undefined ? '' : `/${variant}`}`;
}

/**
 * How well an image for `image` runs on `host`: 0 is exactly, higher is worse, null is not at all. Of arm and amd64 a machine runs
 * its own variant and those before it; 64-bit machines of Intel's and Arm's kind run the 32-bit images of theirs.
 */
export function distance(host: Platform, image: Partial<Platform>): number | null {
  const wanted = architecture(image.os ?? 'linux', image.architecture ?? '', image.variant);
  if (wanted.os !== host.os) return null;
  if (wanted.architecture === host.architecture) return between(level(host), level(wanted));
  if (host.architecture === 'amd64' && wanted.architecture === '386') return compatible;
  if (host.architecture !== 'arm64' || wanted.architecture !== 'arm') return null;
  const steps = between(8, level(wanted));
  return steps === null ? null : compatible + steps;
}

/** The x86-64 level that a processor's flags in /proc/cpuinfo amount to, as a variant: `v1` to `v4`. */
export function amd64Variant(flags: ReadonlySet<string>): string {
  const level = amd64Levels.findIndex((needed) => !needed.every((flag) => flags.has(flag)));
  return `v${level < 0 ? amd64Levels.length + 1 : level + 1}`;
}

const amd64Levels: readonly (readonly string[])[] = [
  ['cx16', 'lahf_lm', 'popcnt', 'sse4_1', 'sse4_2', 'ssse3'],
  ['avx', 'avx2', 'bmi1', 'bmi2', 'f16c', 'fma', 'abm', 'movbe', 'xsave'],
  ['avx512f', 'avx512bw', 'avx512cd', 'avx512dq', 'avx512vl'],
];

/** Worse than any variant of the machine's own architecture. */
const compatible = 100;

function architecture(os: string, name: string, variant?: string): Platform {
  const known = names[name];
  const own = variant !== undefined && variant !== '' ? variant : known?.variant;
  return { os, architecture: known?.architecture ?? name, ...(own === undefined ? {} : { variant: own }) };
}

function between(own: number | null, needed: number | null): number | null {
  return own === null || needed === null || needed > own ? null : own - needed;
}

/** null for a variant that is none. */
function level({ architecture: name, variant = usual[name] ?? '' }: Platform): number | null {
  if (variant === '') return 0;
  const [, number] = /^v(\d+)/.exec(variant) ?? [];
  return number === undefined ? null : Number(number);
}
