/** Hosts: where pods live, and from which addresses other hosts speak for themselves (published ports, health checks). */
import type { PeerEntry } from '../../model/table.ts';
import { formatIp4, parseIp4, parsePrefix } from './address.ts';
import { emptyFragment } from './fragment.ts';
import type { Fragment, HostContext } from './fragment.ts';
import type { SetElement } from './rule.ts';

export function nodeFragment(node: PeerEntry, host: HostContext): Fragment {
  const elements: SetElement[] = [];
  const subnet = parsePrefix(node.subnet);
  if (subnet) {
    elements.push({ set: 'podnets', key: node.subnet });
    if (node.id === host.nodeId) elements.push({ set: 'own', key: node.subnet });
    // The first address of a host's subnet is the host itself, on its overlay device.
    elements.push({ set: node.id === host.nodeId ? 'known' : 'nodes', key: formatIp4(subnet.first) });
  }
  if (node.id !== host.nodeId && parseIp4(node.address) !== undefined) elements.push({ set: 'nodes', key: node.address });
  return { ...emptyFragment, elements };
}
