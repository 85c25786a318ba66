/** A pod network in memory: refuses what the real one refuses, and shows what it was told. */
import { TsorchError } from '../../model/errors.ts';
import { checkAddress, checkConfig, checkLocalConfig, pinPath } from './checks.ts';
import { contains, tunnelMac } from './names.ts';
import type { HostNetworkConfig, LocalNetworkConfig, Peer, PodAttachment, PodNetwork } from './port.ts';

/** What the kernel would hold. Hand it to a second fake to play an agent that is started again. */
export interface FakeKernel {
  readonly pods: Map<string, string | null>;
  peers: readonly Peer[];
  /** The configuration in force; absent before `prepareHost` and after `teardown`. */
  config: HostNetworkConfig | undefined;
  local?: LocalNetworkConfig | undefined;
}

export class FakePodNetwork implements PodNetwork {
  /** User namespaces that pods' networks belong to. */
  readonly users = new Map<string, string>();
  readonly kernel: FakeKernel;
  #prepared: HostNetworkConfig | undefined;
  #local: LocalNetworkConfig | undefined;
  #failures = new Map<keyof PodNetwork, Error>();

  constructor(kernel: FakeKernel = { pods: new Map(), peers: [], config: undefined }) {
    this.kernel = kernel;
  }

  /** The next call of this method throws. */
  failNext(method: keyof PodNetwork, error: Error): void {
    this.#failures.set(method, error);
  }

  async prepareHost(config: HostNetworkConfig): Promise<{ readonly vtepMac: string }> {
    this.#enter('prepareHost');
    checkConfig(config);
    this.#prepared = config;
    this.kernel.config = config;
    return { vtepMac: tunnelMac(config.subnet) };
  }

  async prepareLocal(config: LocalNetworkConfig): Promise<void> {
    this.#enter('prepareLocal');
    checkLocalConfig(config);
    this.#local = config;
    this.kernel.local = config;
  }

  async setPeers(peers: readonly Peer[]): Promise<void> {
    this.#enter('setPeers');
    const { subnet } = this.#ready();
    this.kernel.peers = peers.filter((p) => p.subnet !== subnet);
  }

  async attach(pod: PodAttachment): Promise<{ readonly netns: string }> {
    this.#enter('attach');
    const local = this.#local;
    const isLocal = local !== undefined && (pod.ip === null || contains(local.podCidr, pod.ip));
    const { subnet, netnsDir } = isLocal ? { subnet: local.podCidr, netnsDir: local.netnsDir } : this.#ready();
    if (pod.ip !== null) checkAddress(subnet, { id: pod.id, ip: pod.ip });
    const netns = pinPath(netnsDir, pod.id);
    this.kernel.pods.set(pod.id, pod.ip);
    if (pod.users !== undefined) this.users.set(pod.id, pod.users);
    return { netns };
  }

  async detach(podId: string): Promise<void> {
    this.#enter('detach');
    pinPath('', podId);
    this.kernel.pods.delete(podId);
  }

  async list(): Promise<readonly { readonly id: string; readonly ip: string | null }[]> {
    this.#enter('list');
    return [...this.kernel.pods].map(([id, ip]) => ({ id, ip })).toSorted((a, b) => (a.id < b.id ? -1 : 1));
  }

  async traffic(podId: string): Promise<{ readonly received: number; readonly sent: number } | null> {
    this.#enter('traffic');
    return (this.kernel.pods.get(podId) ?? null) === null ? null : { received: 0, sent: 0 };
  }

  async teardown(): Promise<void> {
    this.#enter('teardown');
    this.kernel.pods.clear();
    this.kernel.peers = [];
    this.kernel.config = undefined;
    this.kernel.local = undefined;
    this.#prepared = undefined;
    this.#local = undefined;
  }

  #ready(): HostNetworkConfig {
    if (!this.#prepared) throw new TsorchError('unavailable', 'the host network is not prepared yet');
    return this.#prepared;
  }

  #enter(method: keyof PodNetwork): void {
    const failure = this.#failures.get(method);
    this.#failures.delete(method);
    if (failure) throw failure;
  }
}
