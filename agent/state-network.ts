/**
 * This host's side of the cluster's network: as the last master said, kept on disk so that a start without a master brings
 * back addresses and routes.
 */
import path from 'node:path';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { Loop } from '../lib/loop.ts';
import type { Peers, Welcome } from '../proto/gen/tsorch/node.ts';
import type { HostNetworkConfig, Peer, PodNetwork } from './network/port.ts';
import type { PeerAddress } from './peers/client.ts';
import { isRecord, readJson, writeWhole } from './state.ts';

export interface HostNetworkOptions {
  readonly network: PodNetwork;
  readonly stateDir: string;
  /** This host's address on the underlay. */
  readonly address: string;
  readonly netnsDir: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** The host is ready for pods. */
  onReady(): void;
  /** The VXLAN device's MAC is known, or another than before. */
  onMac(): void;
}

interface Kept {
  readonly nodeName: string;
  readonly vtepMac: string;
  readonly config: Omit<HostNetworkConfig, 'address' | 'netnsDir'> | null;
  readonly peers: readonly KnownPeer[];
  readonly serviceCidr?: string;
}

/** With the port of its image blobs, 0 when it has none. */
interface KnownPeer extends Peer {
  readonly blobPort: number;
}

export class HostNetwork {
  readonly #options: HostNetworkOptions;
  readonly #loop: Loop;
  #kept: Kept;
  /** What the kernel was last told. */
  #applied: { config: string; peers: string } = { config: '', peers: '' };

  private constructor(options: HostNetworkOptions, kept: Kept) {
    this.#options = options;
    this.#kept = kept;
    const { clock, log, signal } = options;
    this.#loop = new Loop({ name: 'host network', clock, log, signal, run: () => this.#apply(), maxBackoffMs: 5000 });
    if (kept.config) this.#loop.mark();
  }

  static async open(options: HostNetworkOptions): Promise<HostNetwork> {
    return new HostNetwork(options, parse(await readJson(file(options.stateDir))));
  }

  /** Whether a master has ever said what this host's part of the network is. */
  static async wasJoined(stateDir: string): Promise<boolean> {
    return parse(await readJson(file(stateDir))).config !== null;
  }

  get done(): Promise<void> {
    return this.#loop.done;
  }

  /** Empty until the host was once prepared. */
  get vtepMac(): string {
    return this.#kept.vtepMac;
  }

  /** The name that the cluster knows this node by; empty before the first Welcome ever. */
  get nodeName(): string {
    return this.#kept.nodeName;
  }

  /** Whether it is another node of the cluster, as far as a master has told. */
  isPeer(node: string): boolean {
    return this.#kept.peers.some(({ id }) => id === node);
  }

  /** Where a node serves image blobs; null when it does not. */
  blobAddress(node: string): PeerAddress | null {
    const peer = this.#kept.peers.find(({ id }) => id === node);
    return peer && peer.blobPort > 0 ? { id: node, address: peer.address, port: peer.blobPort } : null;
  }

  /** Blocks of addresses that the cluster has for itself. */
  get ranges(): readonly string[] {
    const { config, serviceCidr } = this.#kept;
    return [...(config ? [config.podCidr] : []), ...(serviceCidr ? [serviceCidr] : [])];
  }

  welcome(welcome: Welcome): void {
    const underlay = welcome.underlay === 'vxlan' || welcome.underlay === 'route' ? welcome.underlay : 'auto';
    this.#kept = { ...this.#kept, nodeName: welcome.nodeName, serviceCidr: welcome.serviceCidr, config: { subnet: welcome.subnet, podCidr: welcome.podCidr, underlay } };
    this.#loop.mark();
  }

  setPeers(change: Peers): void {
    const peers = new Map(change.full ? [] : this.#kept.peers.map((peer) => [peer.id, peer]));
    for (const { id, address, subnet, vtepMac, blobPort } of change.upsert) peers.set(id, { id, address, subnet, vtepMac, blobPort });
    for (const id of change.remove) peers.delete(id);
    this.#kept = { ...this.#kept, peers: [...peers.values()] };
    this.#loop.mark();
  }

  /** What cannot be kept, on a full disk, holds all the same, and is tried to be kept again. */
  async #apply(): Promise<void> {
    const results = await Promise.allSettled([this.#save(), this.#tellKernel()]);
    for (const result of results.reverse()) if (result.status === 'rejected') throw result.reason;
  }

  async #save(): Promise<void> {
    await writeWhole(file(this.#options.stateDir), JSON.stringify(this.#kept), { sync: false });
  }

  async #tellKernel(): Promise<void> {
    const { network, address, netnsDir } = this.#options;
    const { config, peers } = this.#kept;
    if (!config) return;
    const wanted = JSON.stringify(config);
    if (wanted !== this.#applied.config) {
      const { vtepMac } = await network.prepareHost({ ...config, address, netnsDir });
      this.#applied = { config: wanted, peers: '' };
      const known = this.#kept.vtepMac === vtepMac;
      this.#kept = { ...this.#kept, vtepMac };
      // It is to be kept too.
      if (!known) this.#loop.mark();
      this.#options.onReady();
      if (!known) this.#options.onMac();
    }
    const routed = peers.map(({ id, address: at, subnet, vtepMac }): Peer => ({ id, address: at, subnet, vtepMac }));
    const known = JSON.stringify(routed);
    if (known === this.#applied.peers) return;
    await network.setPeers(routed);
    this.#applied = { ...this.#applied, peers: known };
  }
}

function file(stateDir: string): string {
  return path.join(stateDir, 'network.json');
}

function parse(value: unknown): Kept {
  const nothing: Kept = { nodeName: '', vtepMac: '', config: null, peers: [] };
  if (!isRecord(value) || typeof value['vtepMac'] !== 'string' || !Array.isArray(value['peers'])) return nothing;
  return { ...nothing, ...(value as unknown as Kept) };
}
