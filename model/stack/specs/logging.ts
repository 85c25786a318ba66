/** `logging`: how much of its output a container leaves behind. Where it goes is the same for all: files on the host. */
import type { ContainerSpec } from '../../spec.ts';
import type { Reader } from './reader.ts';

type Logging = NonNullable<ContainerSpec['logging']>;

/** Docker's sizes here are decimal, unlike those of memory. */
const powers: Readonly<Record<string, number>> = { '': 0, k: 1, m: 2, g: 3, t: 4, p: 5 };
/** What docker's drivers keep where only half is said. */
const defaults = { 'json-file': { maxSize: 10_000_000, maxFile: 1 }, local: { maxSize: 20_000_000, maxFile: 5 } } as const;
/** Less would be given up before anybody can read it. */
const smallest = 4096;

export function makeLogging(logging: Reader): Logging | undefined {
  const options = logging.at('options');
  for (const [key, option] of options.children()) {
    if (key !== 'max-size' && key !== 'max-file') option.warn(`${key} has no effect: output is kept as it was written`, 'remove it; max-size and max-file are honoured');
  }
  if (!options.has('max-size') && !options.has('max-file')) return undefined;
  const { maxSize, maxFile } = defaults[logging.text('driver') === 'local' ? 'local' : 'json-file'];
  return { maxSize: sizeOf(options) ?? maxSize, maxFile: filesOf(options) ?? maxFile };
}

function sizeOf(options: Reader): number | undefined {
  const text = options.text('max-size');
  if (text === undefined) return undefined;
  if (text.trim() === '-1') return -1;
  const parts = /^(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?$/i.exec(text.trim());
  const bytes = parts ? Math.floor(Number(parts[1]) * 1000 ** (powers[(parts[2] ?? '').toLowerCase()] ?? 0)) : Number.NaN;
  if (Number.isSafeInteger(bytes) && bytes >= smallest) return bytes;
  options.at('max-size').error(Number.isSafeInteger(bytes) ? `${bytes} bytes of output are too few` : `${JSON.stringify(text)} is no size`, 'write such as 10m, or -1 for no limit');
  return undefined;
}

function filesOf(options: Reader): number | undefined {
  const text = options.text('max-file');
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,5}$/.test(text.trim())) return Number(text);
  options.at('max-file').error(`${JSON.stringify(text)} is no number of files`, 'write such as "3"');
  return undefined;
}
