/** Counted resources (`reservations.generic`): what nodes say they have by label, what is taken of it. */
import type { NodeView } from '../../model/node.ts';

/** `tsorch.resource.gpu=2`: the node has two of kind `gpu`. People set it on the node; it goes before what the host says of itself. */
export const resourceLabel = 'tsorch.resource.';

/** By kind. */
export type Counted = Readonly<Record<string, number>>;

export function countedOf({ node, status }: NodeView): ReadonlyMap<string, number> {
  const counted = new Map<string, number>();
  for (const labels of [status?.engineLabels ?? {}, node.labels]) {
    for (const [key, value] of Object.entries(labels)) {
      // A number that is none has none of it: a pod waits and says so, and never gets what is not there.
      if (key.startsWith(resourceLabel)) counted.set(key.slice(resourceLabel.length), /^\d{1,9}$/.test(value) ? Number(value) : 0);
    }
  }
  return counted;
}

/** Adds (1) or takes away (-1) what a pod takes of its node: by kind, then by node number. */
export function takeCounted(taken: Map<string, Map<number, number>>, counted: Counted | undefined, node: number, sign: 1 | -1): void {
  for (const [kind, amount] of Object.entries(counted ?? {})) {
    let nodes = taken.get(kind);
    if (!nodes) taken.set(kind, (nodes = new Map()));
    const left = (nodes.get(node) ?? 0) + sign * amount;
    if (left === 0) nodes.delete(node);
    else nodes.set(node, left);
    if (nodes.size === 0) taken.delete(kind);
  }
}
