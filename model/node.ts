/** A host with an agent. `Node` is the master's record; `NodeStatus` is what its agent said when its session began. */
import type { GenericCapacity } from './generic.ts';

export interface Node {
  /** From its certificate; never reused. */
  readonly id: string;
  /** The host name it joined with, unique in the cluster. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly availability: 'active' | 'pause' | 'drain';
  /** The pods' subnet on this node, such as `10.32.1.0/24`; given once, for ever. */
  readonly subnet: string;
  readonly createdAt: number;
}

export interface NodeStatus {
  readonly id: string;
  /** Where other nodes send overlay traffic. */
  readonly address: string;
  readonly capacity: { readonly cpus: number; readonly memory: number; readonly generic?: GenericCapacity };
  readonly os: string;
  readonly arch: string;
  readonly engineLabels: Readonly<Record<string, string>>;
  /** MAC of its VXLAN device. */
  readonly vtepMac: string;
  readonly version: string;
  /** Where it serves image blobs to other nodes; absent when it does not. */
  readonly blobPort?: number;
  /** Distinguishes boots: containers do not survive a new one. */
  readonly bootId: string;
  /** Volume plugins that answer on this host, by name; `local` goes without saying. Absent: an agent that knows no plugins. */
  readonly volumeDrivers?: readonly VolumeDriverStatus[];
  /** What it is short of; it takes no new pods then. Absent: nothing. */
  readonly pressure?: readonly 'disk'[];
  /** Of the host's own manifests: how many stacks count, and what does not load or cannot be, a line each. Absent: it has none. */
  readonly manifests?: { readonly stacks: number; readonly problems: readonly string[] };
}

export interface VolumeDriverStatus {
  readonly name: string;
  /** `global`: a volume of it is the same on every node that has the driver. */
  readonly scope: 'local' | 'global';
}

/** `ready`: it has a session. `unknown`: the session is lost, its pods may still run. `down`: given up, its pods are replaced. */
export type NodeState = 'ready' | 'unknown' | 'down';

/** A node as schedulers and people see it. */
export interface NodeView {
  readonly node: Node;
  readonly status: NodeStatus | null;
  readonly state: NodeState;
}
