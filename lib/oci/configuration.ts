/** What an image's configuration says of its layers. Pure. */
import { TsorchError } from '../../model/errors.ts';
import { parseJson, sha256 } from './manifest.ts';

/** Digests of the layers unpacked, the lowest first. `what` names the document in errors. Throws `invalid`. */
export function diffIdsOf(data: Uint8Array, what: string): readonly string[] {
  const value = parseJson(data, what) as { readonly rootfs?: { readonly diff_ids?: unknown } } | null;
  const diffIds = value?.rootfs?.diff_ids ?? [];
  if (typeof value !== 'object' || value === null || !Array.isArray(diffIds) || !diffIds.every((id) => typeof id === 'string' && /^sha256:[0-9a-f]{64}$/.test(id))) {
    throw new TsorchError('invalid', `${what} is not an image configuration`);
  }
  return diffIds as readonly string[];
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
