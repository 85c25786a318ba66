/** What can never work, refused in the same words by the real network and the fake. */
import path from 'node:path';
import { TsorchError } from '../../model/errors.ts';
import { contains, hostAddress } from './names.ts';
import type { HostNetworkConfig, LocalNetworkConfig } from './port.ts';

export function checkConfig(config: HostNetworkConfig): void {
  if (!within(config.podCidr, config.subnet.split('/')[0] ?? '')) {
    throw new TsorchError('invalid', `the pods' subnet ${config.subnet} is not within ${config.podCidr}`);
  }
  if (within(config.podCidr, config.address)) {
    throw new TsorchError('invalid', `the host's address ${config.address} is within the pods' range ${config.podCidr}`, {
      hint: 'choose a range for pods that no host or router uses',
    });
  }
}

export function checkLocalConfig({ podCidr }: LocalNetworkConfig): void {
  if (!within(podCidr, podCidr.split('/')[0] ?? '')) throw new TsorchError('invalid', `${podCidr} is no range of addresses`);
}

/** Where a pod's namespace is pinned. Refuses ids that are no file names. */
export function pinPath(netnsDir: string, podId: string): string {
  if (!/^[A-Za-z0-9][\w.-]*$/.test(podId)) throw new TsorchError('invalid', `not a pod id: ${JSON.stringify(podId)}`);
  return path.join(netnsDir, podId);
}

/** Refuses addresses that the other nodes would not route here, and the host's own. */
export function checkAddress(subnet: string, pod: { readonly id: string; readonly ip: string }): void {
  if (!within(subnet, pod.ip)) throw new TsorchError('invalid', `pod ${pod.id}: the address ${pod.ip} is not in this node's subnet ${subnet}`);
  if (pod.ip === hostAddress(subnet)) throw new TsorchError('invalid', `pod ${pod.id}: the address ${pod.ip} is the host's own`);
}

/** `contains`, where malformed text is the caller's mistake. */
function within(prefix: string, address: string): boolean {
  try {
    return contains(prefix, address);
  } catch (cause) {
    throw new TsorchError('invalid', cause instanceof Error ? cause.message : String(cause), { cause });
  }
}
