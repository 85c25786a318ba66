/**
 * What one thing of the table (a service, a pod, a node) asks of the kernel. Fragments are small and independent, so a
 * change of the table costs what changed and not what there is.
 */
import type { Rule, SetElement } from './rule.ts';

/** Numbers as in address.ts; port 0 keeps the port that was asked for. */
export interface Backend {
  readonly ip: number;
  readonly port: number;
}

export interface Fragment {
  readonly elements: readonly SetElement[];
  /** Chains it jumps to, by name. Two fragments that name the same chain mean the same rules. */
  readonly chains: readonly { readonly name: string; readonly rules: readonly Rule[] }[];
  /** For connect-time translation: `10.48.0.3` (any port and protocol) or `127.0.0.1:8080/tcp` → where it leads. */
  readonly balancers: readonly { readonly key: string; readonly backends: readonly Backend[] }[];
}

export const emptyFragment: Fragment = { elements: [], chains: [], balancers: [] };

/** What a host's rules depend on besides the table. */
export interface HostContext {
  readonly nodeId: string;
  /** Every address of this host on which published ports answer, without 127.0.0.1. */
  readonly addresses: readonly string[];
  /** `nftables`: there is no connect-time translation, so nftables balances virtual addresses exactly. */
  readonly mode: 'ebpf' | 'nftables';
}
