/** Answers a node that looks for an image. */
import type { LocateReply, LocateRequest } from '../../proto/gen/tsorch/node.ts';
import type { ImageInventory } from './inventory.ts';

/** An image has some hundred layers at most. */
const mostDigests = 1000;

export function locateImages(inventory: ImageInventory, node: string, request: LocateRequest, now: number, random: () => number): LocateReply {
  const named = request.reference === '' ? null : inventory.seek(node, request.reference);
  return {
    image: named ? JSON.stringify(named) : '',
    blobs: request.digests.slice(0, mostDigests).map((digest) => {
      const { holders, seekers, first } = inventory.locate(node, digest, now, random);
      return { holders: [...holders], seekers: [...seekers], first };
    }),
  };
}
