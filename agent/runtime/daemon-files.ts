/** Where a private containerd keeps its things, and the configuration it is started with. */
import { join } from 'node:path';
import { TsorchError } from '../../model/errors.ts';

export interface DaemonPaths {
  readonly config: string;
  /** Images, snapshots, records: survives reboots. */
  readonly root: string;
  /** Running containers' bundles: worthless after a reboot. */
  readonly state: string;
  readonly socket: string;
  readonly log: string;
  /** Who it is, for the agent that comes after. */
  readonly record: string;
}

/** A unix address holds 108 bytes with the NUL, and containerd appends `.ttrpc` for a second socket. */
const longestSocket = 107 - '.ttrpc'.length;

/** Throws `invalid` when the run directory's path is too long for a socket. */
export function daemonPaths(stateDir: string, runDir: string): DaemonPaths {
  const socket = join(runDir, 'containerd.sock');
  if (Buffer.byteLength(socket) > longestSocket) {
    throw new TsorchError('invalid', `the run directory ${runDir} is too long: a unix socket's path holds ${longestSocket} bytes`, { hint: 'choose a shorter one, such as /run/tsorch' });
  }
  return {
    config: join(stateDir, 'containerd.toml'),
    root: join(stateDir, 'containerd'),
    state: join(runDir, 'containerd'),
    socket,
    log: join(stateDir, 'containerd.log'),
    record: join(runDir, 'containerd.json'),
  };
}

/** What tsorch does not use costs memory and start-up time. Names of all containerd versions; unknown ones are ignored. */
const disabledPlugins = [
  'io.containerd.grpc.v1.cri',
  'io.containerd.cri.v1.images',
  'io.containerd.cri.v1.runtime',
  'io.containerd.podsandbox.controller.v1.cri',
  'io.containerd.snapshotter.v1.aufs',
  'io.containerd.snapshotter.v1.blockfile',
  'io.containerd.snapshotter.v1.btrfs',
  'io.containerd.snapshotter.v1.devmapper',
  'io.containerd.snapshotter.v1.zfs',
  'io.containerd.internal.v1.opt',
  'io.containerd.internal.v1.restart',
  'io.containerd.internal.v1.tracing',
  'io.containerd.nri.v1.nri',
  'io.containerd.tracing.processor.v1.otlp',
];

export function daemonConfig(paths: DaemonPaths): string {
  const text = (value: string) => JSON.stringify(value);
  return `# Written by tsorch at every start of the agent.
version = 2
root = ${text(paths.root)}
state = ${text(paths.state)}
imports = []
disabled_plugins = [
${disabledPlugins.map((name) => `  ${text(name)},\n`).join('')}]

[grpc]
  address = ${text(paths.socket)}

[debug]
  level = "info"
`;
}
