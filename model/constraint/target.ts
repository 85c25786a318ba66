/** What constraints see of a node. */
import type { NodeView } from '../node.ts';
import type { ConstraintTarget } from './types.ts';

/** The label by which a host says that it is a manager too: agents beside a master set it on the engine, people on the node. */
export const roleLabel = 'tsorch.role';

/** A node that never had a session has no address, system or engine labels yet: they are empty. */
export function targetOf({ node, status }: NodeView): ConstraintTarget {
  return {
    id: node.id,
    name: node.name,
    address: status?.address ?? '',
    role: node.labels[roleLabel] ?? status?.engineLabels[roleLabel] ?? 'worker',
    os: status?.os ?? '',
    arch: status?.arch ?? '',
    labels: node.labels,
    engineLabels: status?.engineLabels ?? {},
  };
}
