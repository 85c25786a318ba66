/** A private containerd for a test file: names and directories of this run's own; what a killed one left is cleaned before. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ContainerdImages } from '../../../../agent/images/containerd.ts';
import { ContainerdClient } from '../../../../agent/runtime/client.ts';
import { type ContainerdRuntime, openContainerdRuntime } from '../../../../agent/runtime/containerd.ts';
import { type Daemon, startContainerd } from '../../../../agent/runtime/daemon.ts';
import { stopContainerd } from '../../../../agent/runtime/teardown.ts';
import type { CreateRequest, ImageHandle } from '../../../../agent/runtime/port.ts';
import { mount, unmountAll } from '../../../../lib/linux/mount.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { silentLog } from '../../../../lib/log.ts';
import type { ContainerSpec } from '../../../../model/spec.ts';
import { abandoned, own, unmountBelow } from '../../../own.ts';

export interface ContainerdHost {
  /** Has state and logs in it. */
  readonly base: string;
  readonly stateDir: string;
  readonly runDir: string;
  readonly logDir: string;
  readonly cgroupPrefix: string;
  readonly daemon: Daemon;
  readonly client: ContainerdClient;
  readonly runtime: ContainerdRuntime;
  readonly images: ContainerdImages;
  /** Stops everything and checks nothing. */
  close(): Promise<void>;
}

interface HostPaths {
  readonly base: string;
  readonly stateDir: string;
  readonly runDir: string;
  readonly cgroupPrefix: string;
}

const parent = '/var/tmp';
const prefix = 'tsorch-test-rt-';

/** `name` is one process's own. */
function hostPaths(name: string): HostPaths {
  const base = join(parent, prefix + name);
  return { base, stateDir: join(base, 'state'), runDir: join('/run', prefix + name), cgroupPrefix: `tsorch-test-rt/${name}` };
}

async function clean({ base, stateDir, runDir, cgroupPrefix }: HostPaths): Promise<void> {
  await stopContainerd({ stateDir, runDir, cgroupPrefix, clock: systemClock, log: silentLog });
  // Secrets and pins of an agent that was killed, the disk that was asked for.
  for (const directory of [runDir, base]) unmountBelow(directory);
  unmountAll(base);
  for (const directory of [base, runDir]) await rm(directory, { recursive: true, force: true });
}

/** `diskBytes`: everything but what is in /run is on a disk of that size. */
export async function startHost(name: string, options: { readonly runtime?: string; readonly cdiDirectories?: readonly string[]; readonly diskBytes?: number; readonly patienceMs?: number } = {}): Promise<ContainerdHost> {
  for (const left of abandoned(parent, name, prefix)) await clean(hostPaths(left));
  const paths = hostPaths(own(name));
  const { base, stateDir, runDir, cgroupPrefix } = paths;
  const [clock, log] = [systemClock, silentLog];
  const logDir = join(base, 'logs');
  const { diskBytes, ...rest } = options;
  if (diskBytes !== undefined) {
    await mkdir(base, { recursive: true });
    mount('tmpfs', base, 'tmpfs', 0, `size=${diskBytes}`);
  }
  for (const directory of [stateDir, runDir, logDir]) await mkdir(directory, { recursive: true });
  const watching = new AbortController();
  const daemon = await startContainerd({ stateDir, runDir, clock, log, signal: watching.signal });
  const client = new ContainerdClient({ socket: daemon.socket });
  const runtime = await openContainerdRuntime({ client, runDir, clock, log, cgroupPrefix, ...rest });
  const images = new ContainerdImages({ client, clock, log, runDir });
  return {
    base, stateDir, runDir, logDir, cgroupPrefix, daemon, client, runtime, images,
    close: async () => {
      watching.abort();
      await daemon.done;
      client.close();
      await clean(paths);
    },
  };
}

export const plainSpec: ContainerSpec = {
  name: 'c', image: 'tsorch-test:busybox', pullPolicy: 'never', env: {}, labels: {}, annotations: {}, groupAdd: [], mounts: [], secrets: [], configs: [],
  init: false, tty: false, stdinOpen: false, readOnly: false, privileged: false, capAdd: [], capDrop: [], securityOpt: [], devices: [], ulimits: {}, limits: {},
};

export function request(id: string, image: ImageHandle, logDir: string, spec: Partial<ContainerSpec>, rest: Partial<CreateRequest> = {}): CreateRequest {
  return {
    id, image, podId: id.split('.')[0] ?? id, labels: { 'a.label': 'of its own' }, spec: { ...plainSpec, ...spec }, hostname: 'test-host', netns: null, mounts: [], env: {}, sysctls: {},
    stdout: join(logDir, `${id}.out`), stderr: join(logDir, `${id}.err`), ...rest,
  };
}
