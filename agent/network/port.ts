/**
 * What an agent needs of the kernel's network. `linux.ts` is the real one (netlink through koffi), `fake.ts` for tests
 * and hollow nodes.
 */
export interface PodNetwork {
  /**
   * Makes the host ready: forwarding, `rp_filter`, the gateway address, the VXLAN device. Idempotent; keeps what it finds.
   * Resolves to the MAC of the VXLAN device.
   */
  prepareHost(config: HostNetworkConfig): Promise<{ readonly vtepMac: string }>;
  /** Makes the host ready for pods that no other host knows of. Needs no cluster, and stands beside it. Idempotent. */
  prepareLocal(config: LocalNetworkConfig): Promise<void>;
  /** Routes to every other node's pods; adds, changes and removes until they are as given. */
  setPeers(peers: readonly Peer[]): Promise<void>;
  /** A pinned namespace with `eth0` at the pod's address, or nothing but loopback. Idempotent. */
  attach(pod: PodAttachment): Promise<{ readonly netns: string }>;
  /** Removes namespace, address and routes. Succeeds when there is nothing. */
  detach(podId: string): Promise<void>;
  /** Pods attached now, by what the kernel says. */
  list(): Promise<readonly { readonly id: string; readonly ip: string | null }[]>;
  /** Bytes over the pod's interface so far; null when it has none. */
  traffic(podId: string): Promise<{ readonly received: number; readonly sent: number } | null>;
  /** Removes all of it, for `leave` and `down`. */
  teardown(): Promise<void>;
}

export interface PodAttachment {
  readonly id: string;
  /** null: nothing but loopback. */
  readonly ip: string | null;
  /** Path of the pin of a user namespace that the network namespace shall belong to; absent: the host's. */
  readonly users?: string;
}

export interface HostNetworkConfig {
  /** This host's own address on the underlay. */
  readonly address: string;
  /** The pods' subnet here, `10.32.1.0/24`. */
  readonly subnet: string;
  /** All pods of the cluster, `10.32.0.0/12`. */
  readonly podCidr: string;
  /** `auto` routes plainly to peers on the same link and through VXLAN to the others. */
  readonly underlay: 'auto' | 'vxlan' | 'route';
  /** Where namespaces are pinned. */
  readonly netnsDir: string;
}

export interface LocalNetworkConfig {
  /** Addresses of pods that never leave this host, `10.31.0.0/17`. */
  readonly podCidr: string;
  readonly netnsDir: string;
}

export interface Peer {
  readonly id: string;
  readonly address: string;
  readonly subnet: string;
  readonly vtepMac: string;
}

/** Every pod's gateway and name server: link-local, the same on every host. */
export const gatewayAddress = '169.254.1.1';
