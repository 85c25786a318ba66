/**
 * Isolation: which pods may talk. A pod's signature stands for its set of networks; pods with equal sets share one, so
 * there are far fewer signatures than pods.
 */
import type { NetworkEntry, PodEntry } from '../../model/table.ts';
import { parseIp4 } from './address.ts';
import { emptyFragment } from './fragment.ts';
import type { Fragment, HostContext } from './fragment.ts';
import type { SetElement } from './rule.ts';

/** Signatures given so far. An id stays with its set of networks for as long as the rules live. */
export interface Signatures {
  readonly ids: ReadonlyMap<string, number>;
  /** The networks of signature `id`, at `id - 1`. */
  readonly networks: readonly (readonly string[])[];
}

export const noSignatures: Signatures = { ids: new Map(), networks: [] };

function signatureKey(networks: readonly string[]): string {
  return JSON.stringify([...networks].sort());
}

/** Adds what the pods need; the same object when they need nothing new. */
export function addSignatures(signatures: Signatures, pods: Iterable<PodEntry>): Signatures {
  const missing = new Set<string>();
  for (const pod of pods) {
    const key = signatureKey(pod.networks);
    if (!signatures.ids.has(key)) missing.add(key);
  }
  if (missing.size === 0) return signatures;
  const ids = new Map(signatures.ids);
  const networks = [...signatures.networks];
  for (const key of [...missing].sort()) {
    networks.push(JSON.parse(key) as string[]);
    ids.set(key, networks.length);
  }
  return { ids, networks };
}

export function podFragment(pod: PodEntry, host: HostContext, signatures: Signatures, networks: ReadonlyMap<string, NetworkEntry>): Fragment {
  const own = signatures.ids.get(signatureKey(pod.networks));
  if (own === undefined || parseIp4(pod.ip) === undefined) return emptyFragment;
  const elements: SetElement[] = [{ set: 'signatures', key: pod.ip, data: String(own) }];
  if (pod.node === host.nodeId) {
    elements.push({ set: 'known', key: pod.ip });
    elements.push({ set: 'hairpin', key: `${pod.ip} . ${pod.ip}` });
    if (isSealed(pod, networks)) elements.push({ set: 'sealed', key: pod.ip });
    for (const [index, theirs] of signatures.networks.entries()) {
      if (theirs.some((network) => pod.networks.includes(network))) elements.push({ set: 'talk', key: `${index + 1} . ${pod.ip}` });
    }
  }
  return { ...emptyFragment, elements };
}

/** Whether all it is on are internal networks: then nothing leads out of the cluster for it. */
export function isSealed(pod: PodEntry, networks: ReadonlyMap<string, NetworkEntry>): boolean {
  return pod.networks.length > 0 && pod.networks.every((network) => networks.get(network)?.internal === true);
}
