/** The data plane of a Linux host: nftables for isolation and ports, eBPF for virtual addresses where it can be had. */
import { networkInterfaces } from 'node:os';
import type { ServiceTable } from '../model/table.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import type { DataPlane } from './dataplane.ts';
import { EbpfPlane, teardownEbpf } from './ebpf/plane.ts';
import { decodeVipSlots } from './nftables/decode.ts';
import { NftablesPlane } from './nftables/plane.ts';
import { printBackend } from './rules/print.ts';
import { RuleState } from './rules/state.ts';
import type { RuleChanges } from './rules/state.ts';

export interface LinuxDataPlaneOptions {
  readonly nodeId: string;
  /** `ebpf` becomes `nftables`, with a warning, where programs cannot be attached. */
  readonly mode: 'ebpf' | 'nftables';
  /** See EbpfOptions. */
  readonly cgroupRoot: string;
  readonly bpfDir: string;
  readonly dnsAddress: string;
  readonly clock: Clock;
  readonly log: Log;
  /** This host's addresses. Default: those of its interfaces now. */
  readonly addresses?: () => readonly string[];
}

const lookAtAddressesEveryMs = 5000;
const forgetEveryMs = 5000;

export class LinuxDataPlane implements DataPlane {
  readonly #options: LinuxDataPlaneOptions;
  readonly #nftables: NftablesPlane;
  #ebpf: EbpfPlane | undefined;
  /** undefined: the kernel may hold anything, so all of it is to be replaced. */
  #state: RuleState | undefined;
  #addresses: readonly string[] = [];
  #addressesAt = -Infinity;
  /** Endpoints gone since flows were last looked for. */
  readonly #toForget = new Set<string>();
  #forgetAt = -Infinity;

  constructor(options: LinuxDataPlaneOptions) {
    this.#options = options;
    this.#nftables = new NftablesPlane({ dnsAddress: options.dnsAddress });
    if (options.mode === 'ebpf') this.#ebpf = this.#tryEbpf(() => new EbpfPlane(options));
    else teardownEbpf(options.bpfDir);
  }

  /** How virtual addresses are served here. */
  get mode(): 'ebpf' | 'nftables' {
    return this.#ebpf ? 'ebpf' : 'nftables';
  }

  async apply(table: ServiceTable): Promise<void> {
    const addresses = this.#ownAddresses(table);
    if (!this.#state || this.#nftables.isMissing) this.#replace(table, addresses);
    else this.#change(this.#state, table, addresses);
  }

  balancers(): ReadonlyMap<string, readonly string[]> {
    if (this.#ebpf) return new Map([...this.#ebpf.entries()].map(([key, backends]) => [key, backends.map(printBackend)]));
    return decodeVipSlots(this.#nftables.elements('vip-slots'));
  }

  close(): void {
    this.#ebpf?.close();
    this.#nftables[Symbol.dispose]();
  }

  #change(state: RuleState, table: ServiceTable, addresses: readonly string[]): void {
    const before = state.table;
    try {
      const changes = state.update(table, addresses);
      // Isolation knows a pod before anybody is sent there.
      this.#nftables.apply(changes);
      this.#ebpf?.apply(changes.balancers);
      this.#forget(changes);
    } catch (error) {
      this.#state = undefined;
      this.#options.log.warn('a change failed, replacing everything', { error, services: before.services.size });
      this.#replace(table, addresses);
    }
  }

  #replace(table: ServiceTable, addresses: readonly string[]): void {
    const { nodeId, log, clock } = this.#options;
    const started = clock.monotonic();
    this.#state = undefined;
    for (;;) {
      const state = new RuleState({ nodeId, addresses, mode: this.mode });
      const changes = state.update(table);
      this.#nftables.replace(state);
      const ebpf = this.#ebpf;
      if (ebpf) {
        this.#ebpf = ebpf.attached ? (ebpf.replace(state.balancers()), ebpf) : this.#tryEbpf(() => (ebpf.replace(state.balancers()), ebpf));
        // Not to be had after all: once more, with rules for it.
        if (!this.#ebpf) {
          ebpf.close();
          continue;
        }
      }
      this.#forget({ ...changes, goneEndpoints: [], goneUdpEndpoints: [] });
      this.#state = state;
      log.info('kernel programmed', { mode: this.mode, services: table.services.size, pods: table.pods.size, ms: Math.round(clock.monotonic() - started) });
      return;
    }
  }

  /**
   * At once where a UDP port is published; other endpoints are collected, since looking for flows costs more than a change
   * does. Failing here must not hold up the table.
   */
  #forget({ goneEndpoints, goneUdpEndpoints, newUdpPorts }: RuleChanges): void {
    const now = this.#options.clock.monotonic();
    for (const address of goneEndpoints) this.#toForget.add(address);
    const due = this.#toForget.size > 0 && now >= this.#forgetAt;
    if (!due && goneUdpEndpoints.length === 0 && newUdpPorts.length === 0) return;
    try {
      const count = this.#nftables.forgetFlows([...goneUdpEndpoints, ...this.#toForget], newUdpPorts);
      this.#toForget.clear();
      this.#forgetAt = now + forgetEveryMs;
      if (count > 0) this.#options.log.debug('forgot udp flows', { count });
    } catch (error) {
      this.#options.log.warn('cannot forget udp flows', { error });
    }
  }

  #tryEbpf(make: () => EbpfPlane): EbpfPlane | undefined {
    try {
      return make();
    } catch (error) {
      this.#options.log.warn('no eBPF on this host: virtual addresses are served by nftables', { error });
      return undefined;
    }
  }

  #ownAddresses(table: ServiceTable): readonly string[] {
    const now = this.#options.clock.monotonic();
    if (now >= this.#addressesAt) {
      this.#addresses = (this.#options.addresses ?? interfaceAddresses)();
      this.#addressesAt = now + lookAtAddressesEveryMs;
    }
    const own = table.nodes.get(this.#options.nodeId)?.address;
    return [...new Set([...this.#addresses, ...(own ? [own] : [])])].sort();
  }
}

/** IPv4 addresses of this host that others may know. */
export function interfaceAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((list) => list ?? [])
    .filter(({ family, internal, address }) => family === 'IPv4' && !internal && !address.startsWith('169.254.'))
    .map(({ address }) => address);
}

/** Removes everything a proxy leaves in the kernel. Succeeds when there is nothing. */
export function teardownDataPlane({ bpfDir, dnsAddress = '169.254.1.1' }: { readonly bpfDir: string; readonly dnsAddress?: string }): void {
  using nftables = new NftablesPlane({ dnsAddress });
  nftables.teardown();
  teardownEbpf(bpfDir);
}
