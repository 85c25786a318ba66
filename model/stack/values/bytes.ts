/** `512m`, `1.5gb`, `64KiB`: powers of 1024 whatever the spelling, as Docker reads them. */
const powers: Readonly<Record<string, number>> = { '': 0, k: 1, m: 2, g: 3, t: 4, p: 5 };

/** Whole bytes; null when it is no size or beyond 2^53. */
export function parseBytes(text: string): number | null {
  const parts = /^(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?$/i.exec(text.trim());
  if (!parts) return null;
  const bytes = Math.floor(Number(parts[1]) * 1024 ** (powers[(parts[2] ?? '').toLowerCase()] ?? Number.NaN));
  return Number.isSafeInteger(bytes) ? bytes : null;
}
