/** `storage_opt:` of a container. */
import { TsorchError } from '../../../model/errors.ts';
import { parseBytes } from '../../../model/stack/values/bytes.ts';

/** Bytes that the writable layer may take; null without a limit. Throws `invalid`. */
export function layerSize(options: Readonly<Record<string, string>> | undefined): number | null {
  const entries = Object.entries(options ?? {});
  const unknown = entries.find(([name]) => name !== 'size');
  if (unknown) throw new TsorchError('invalid', `storage_opt: ${JSON.stringify(unknown[0])} is not known`, { hint: 'known is `size`' });
  const text = entries[0]?.[1];
  if (text === undefined) return null;
  const bytes = parseBytes(text);
  if (bytes === null || bytes <= 0) throw new TsorchError('invalid', `storage_opt: size: ${JSON.stringify(text)} is no size`, { hint: 'write such as 10G' });
  return bytes;
}
