/** Arguments, environment and working directory of a container: the image's, overridden by Docker's rules. */
import { posix } from 'node:path';
import { TsorchError } from '../../../model/errors.ts';
import type { ContainerSpec } from '../../../model/spec.ts';
import type { ImageConfig } from '../port.ts';

const defaultPath = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * The command alone keeps the image's entrypoint; an entrypoint drops the image's command, because that was written for
 * the other entrypoint. Empty arrays clear. Throws `invalid` when nothing is left to run.
 */
export function containerArgs(spec: Pick<ContainerSpec, 'entrypoint' | 'command'>, image: Pick<ImageConfig, 'entrypoint' | 'cmd'>): readonly string[] {
  const args =
    spec.entrypoint === undefined
      ? [...image.entrypoint, ...(spec.command ?? image.cmd)]
      : [...spec.entrypoint, ...(spec.command ?? [])];
  if (args[0] === undefined || args[0] === '') {
    throw new TsorchError('invalid', 'there is no command to run', { hint: 'set `command:` or `entrypoint:`, the image has neither' });
  }
  return refuseNul(args, 'the command');
}

export interface EnvSources {
  readonly image: readonly string[];
  /** The stack file's; null unsets. */
  readonly spec: Readonly<Record<string, string | null>>;
  /** The agent's; gives way to the stack file. */
  readonly extra: Readonly<Record<string, string>>;
  /** `NAME=value` that the container's devices need; nothing overrides them. */
  readonly devices: readonly string[];
  readonly hostname: string;
  readonly tty: boolean;
  /** From passwd; the default of HOME. */
  readonly home: string;
}

/** `NAME=value` strings: defaults, then the image's, then ours, then the stack file's. Names keep their first place. */
export function containerEnv(sources: EnvSources): readonly string[] {
  const env = new Map<string, string>();
  const put = (entry: string) => {
    const at = entry.indexOf('=', 1);
    if (at < 0) env.set(entry, '');
    else env.set(entry.slice(0, at), entry.slice(at + 1));
  };
  put(defaultPath);
  put(`HOSTNAME=${sources.hostname}`);
  if (sources.tty) put('TERM=xterm');
  sources.image.forEach(put);
  for (const [name, value] of Object.entries(sources.extra)) env.set(name, value);
  for (const [name, value] of Object.entries(sources.spec)) {
    if (name === '' || name.includes('=')) {
      throw new TsorchError('invalid', `environment variable name ${JSON.stringify(name)} is empty or contains "="`);
    }
    if (value === null) env.delete(name);
    else env.set(name, value);
  }
  sources.devices.forEach(put);
  if (!env.has('HOME') && sources.spec['HOME'] !== null) env.set('HOME', sources.home);
  return refuseNul([...env].map(([name, value]) => `${name}=${value}`), 'the environment');
}

/** Relative to the image's, as in a Dockerfile; `/` when there is none. */
export function workingDir(spec: string | undefined, image: string): string {
  return posix.resolve('/', image, spec ?? '');
}

function refuseNul(texts: readonly string[], what: string): readonly string[] {
  if (texts.some((text) => text.includes('\0'))) throw new TsorchError('invalid', `${what} contains a NUL character`);
  return texts;
}
