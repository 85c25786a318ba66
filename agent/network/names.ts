/**
 * Names and numbers by which things of ours are known in the kernel: found again after a restart, and told from others'.
 * All follow from ids and subnets, so nothing has to be remembered.
 */
import { createHash } from 'node:crypto';
import { ipv4Bytes, macText, parsePrefix } from '../../lib/linux/address.ts';

/** The VXLAN device. */
export const tunnelName = 'tsorch0';
export const tunnelPort = 4789;
export const tunnelId = 29811;
/** Outer IPv4, UDP and VXLAN headers and the inner Ethernet header. */
export const tunnelOverhead = 50;

/** Marks our routes, `proto 116` in `ip route`. */
export const routeProtocol = 116;
/** Of the route that catches addresses no node has; behind any other route to the same prefix. */
export const catchAllMetric = 29811;
/** Marks the host's ends of pods. */
export const podLinkGroup = 29811;
/** Host's ends about to be deleted, all at once. */
export const staleLinkGroup = 29812;

/** Every pod's gateway has it: pods know it without asking. */
export const gatewayMac = 'ee:ee:ee:ee:ee:ee';

const vethPrefix = 'tsv';
/** Far above the indexes that the kernel gives out itself. */
const firstIndex = 1 << 24;

/** The host's end of a pod: at most 15 characters. */
export function vethName(podId: string): string {
  return vethPrefix + digest(podId).toString('hex', 0, 6);
}

export function isVethName(name: string): boolean {
  return /^tsv[\da-f]{12}$/.test(name);
}

/** Index to try for the host's end, so that none has to be asked for. `attempt` leads around the taken ones. */
export function vethIndex(podId: string, attempt: number): number {
  return firstIndex + ((digest(podId).readUInt32LE(6) + attempt) % (1 << 30));
}

/** MAC of a pod's eth0, made of its address: the host's neighbour entry is right before the pod has said anything. */
export function podMac(ip: string): string {
  return macText([0x0a, 0x74, ...ipv4Bytes(ip)]);
}

/** MAC of the VXLAN device of the node with this subnet: the same after a reboot, so that peers need not learn another. */
export function tunnelMac(subnet: string): string {
  return macText([0x0e, 0x74, ...ipv4Bytes(parsePrefix(subnet).address)]);
}

/** The host's own address among its pods, the subnet's first: what it sends through the tunnel comes from there. */
export function hostAddress(subnet: string): string {
  return parsePrefix(subnet).address;
}

/** Whether `prefix` covers the address. */
export function contains(prefix: string, address: string): boolean {
  const { address: network, length } = parsePrefix(prefix);
  return parsePrefix(`${address}/${length}`).address === network;
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
