/** `1h30m`, `90s`, `1.5s`, `500ms`: Go's durations, and days and weeks besides, as Compose has them. */
const unitsNs: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9, d: 86_400e9, w: 604_800e9 };
const shape = /^(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h|d|w)/;

/** In milliseconds, rounded up so that no duration becomes none; null when it is no duration. */
export function parseDuration(text: string): number | null {
  const ns = parseNanoseconds(text);
  if (ns === null) return null;
  const ms = Math.ceil(ns / 1e6);
  return Number.isSafeInteger(ms) ? ms : null;
}

export function parseNanoseconds(text: string): number | null {
  if (text === '0') return 0;
  let rest = text;
  let total = 0;
  while (rest !== '') {
    const part = shape.exec(rest)?.[0];
    if (part === undefined) return null;
    const unit = /[^\d.]+$/.exec(part)?.[0] ?? '';
    total += Number.parseFloat(part) * (unitsNs[unit] ?? Number.NaN);
    rest = rest.slice(part.length);
  }
  return text === '' ? null : Math.round(total);
}

/** `1h0m0.5s`, `500ms`: the way Go prints them, and so Docker. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return ms === 0 ? '0s' : `${ms}ms`;
  const hours = Math.floor(ms / 3_600_000);
  const minutes = Math.floor(ms / 60_000) % 60;
  const seconds = (ms % 60_000) / 1000;
  return `${hours > 0 ? `${hours}h` : ''}${ms >= 60_000 ? `${minutes}m` : ''}${seconds}s`;
}
