/** What this host says of itself in its Hello. */
import fs from 'node:fs';
import os from 'node:os';
import type { GenericCapacity } from '../model/generic.ts';
import type { NodeStatus } from '../model/node.ts';

export interface NodeFacts {
  readonly nodeId: string;
  readonly address: string;
  readonly version: string;
  readonly bootId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly volumeDrivers: NonNullable<NodeStatus['volumeDrivers']>;
  readonly capacity?: { readonly cpus: number; readonly memory: number };
  /** Counted resources that whoever started the agent says it has. */
  readonly generic?: GenericCapacity;
  readonly isShortOfDisk?: boolean;
}

/** `blobPort` is null while nothing is served there. */
export function nodeStatus(facts: NodeFacts, vtepMac: string, blobPort: number | null): NodeStatus {
  return {
    id: facts.nodeId,
    address: facts.address,
    capacity: { ...(facts.capacity ?? { cpus: os.availableParallelism(), memory: os.totalmem() }), ...(facts.generic && Object.keys(facts.generic).length > 0 ? { generic: facts.generic } : {}) },
    os: os.platform(),
    arch: os.machine(),
    engineLabels: { kernel: os.release(), ...builtIns(), ...facts.labels },
    vtepMac,
    version: facts.version,
    bootId: facts.bootId,
    ...(facts.volumeDrivers.length === 0 ? {} : { volumeDrivers: facts.volumeDrivers }),
    ...(blobPort === null ? {} : { blobPort }),
    ...(facts.isShortOfDisk === true ? { pressure: ['disk'] } : {}),
  };
}

/** What classic Swarm said of every engine: `constraint:operatingsystem==Debian*`. */
function builtIns(): Readonly<Record<string, string>> {
  return { kernelversion: os.release(), operatingsystem: systemName(), storagedriver: 'overlayfs', executiondriver: 'containerd' };
}

function systemName(): string {
  try {
    return /^PRETTY_NAME="?([^"\n]*)/m.exec(fs.readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux';
  } catch {
    return 'Linux';
  }
}

/** Another after every boot. */
export function readBootId(): string {
  return fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
