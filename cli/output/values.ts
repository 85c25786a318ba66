/** How sizes, times and ages are written and read. */
import { parseBytes } from '../../model/stack/values/bytes.ts';
import { UsageError } from '../exit.ts';

/** `512 MiB`, three digits at most. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : Number(value.toPrecision(3))} ${units[unit]}`;
}

/** `5s`, `3m`, `2h`, `4d`: the largest unit says enough. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 90) return `${seconds}s`;
  if (seconds < 90 * 60) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 36 * 3600) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86400)}d`;
}

/** Elapsed time of a step: `850 ms`, `1.2 s`, `2 m 05 s`. */
export function formatElapsed(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} m ${String(Math.floor(ms / 1000) % 60).padStart(2, '0')} s`;
}

export function formatCpus(cpus: number): string {
  return String(Number(cpus.toFixed(2)));
}

export function formatLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}

/** `0.0.0.0`-less port mapping: `5000->80/tcp`, host ports marked. */
export function formatPorts(ports: readonly { readonly published: number; readonly target: number; readonly protocol: string; readonly mode: string; readonly hostIp?: string }[]): string {
  return ports.map((port) => `${port.hostIp ? `${port.hostIp}:` : ''}${port.published}->${port.target}/${port.protocol}${port.mode === 'host' ? ' (host)' : ''}`).join(', ');
}

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `90`, `90s`, `2m`, `1h30m` to milliseconds; a bare number is seconds. */
export function parseDuration(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) throw new UsageError(`'${text}' is not a duration; write for example 30s, 2m or 1h30m`);
  let total = 0;
  for (const [, value, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) total += Number(value) * (unitsMs[unit ?? 's'] ?? 0);
  return total;
}

/** A moment: a duration ago, a date (`2026-01-31T12:00:00Z`) or seconds since the epoch, to milliseconds since the epoch. */
export function parseMoment(text: string, now: number): number {
  if (/^\d{9,}(\.\d+)?$/.test(text)) return Number(text) * 1000;
  if (/^[\d.]+(ms|s|m|h|d)?/.test(text) && !/^\d{4}-/.test(text)) return now - parseDuration(text);
  const date = Date.parse(text);
  if (Number.isNaN(date)) throw new UsageError(`'${text}' is not a time; write for example 10m, 2026-01-31T12:00:00Z or seconds since 1970`);
  return date;
}

/** `K=V` words to a record. */
export function parsePairs(words: readonly string[], what: string): Record<string, string> {
  return Object.fromEntries(
    words.map((word) => {
      const at = word.indexOf('=');
      if (at <= 0) throw new UsageError(`'${word}' is not a ${what}; write KEY=VALUE`);
      return [word.slice(0, at), word.slice(at + 1)];
    }),
  );
}

/** `--blob-port`; null for 0, which is none. */
export function parseBlobPort(text: string): number | null {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65_535) throw new UsageError(`--blob-port ${text}: write a port, or 0 for none`);
  return port === 0 ? null : port;
}

/** `--blob-rate`: bytes per second, `50M`, `1g`. */
export function parseRate(text: string): number {
  const rate = parseBytes(text);
  if (rate === null || rate < 1) throw new UsageError(`--blob-rate ${text}: write bytes per second, such as 50M`);
  return rate;
}

/** How pod traffic travels between hosts. */
export function parseUnderlay(text: string): 'auto' | 'vxlan' | 'route' {
  if (text === 'auto' || text === 'vxlan' || text === 'route') return text;
  throw new UsageError(`--underlay ${text}: choose auto, vxlan or route`);
}

/** `85` → 0.85. */
export function parsePercent(flag: string, text: string): number {
  const percent = Number(text.replace(/%$/, ''));
  if (!/^\d{1,3}(\.\d+)?%?$/.test(text) || percent < 1 || percent > 100) throw new UsageError(`${flag} ${text}: write a percentage, for example 85`);
  return percent / 100;
}
