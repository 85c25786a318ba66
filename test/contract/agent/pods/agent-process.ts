/** An agent in a process of its own, on a real containerd and the network of the namespace it is started in. Told what to run, and asked how it is, by IPC. */
import { credentials } from '@grpc/grpc-js';
import { ContainerdImages } from '../../../../agent/images/containerd.ts';
import { runAgent } from '../../../../agent/main.ts';
import { LinuxPodNetwork } from '../../../../agent/network/linux.ts';
import { ContainerdClient } from '../../../../agent/runtime/client.ts';
import { openContainerdRuntime } from '../../../../agent/runtime/containerd.ts';
import { systemClock as clock } from '../../../../lib/clock.ts';
import { createLog, silentLog } from '../../../../lib/log.ts';
import type { Assignment } from '../../../../model/assignment.ts';
import type { PodStatus } from '../../../../model/pod.ts';

export interface AgentPaths {
  readonly socket: string;
  /** The runtime's. */
  readonly runtimeDir: string;
  readonly cgroupPrefix: string;
  readonly stateDir: string;
  readonly runDir: string;
}

export type Told = { readonly assign: readonly Assignment[] } | { readonly look: number };

export interface Seen {
  readonly look: number;
  readonly pods: readonly PodStatus[];
}

// The test was killed: nobody else would end this process.
process.on('disconnect', () => process.exit());

const paths = JSON.parse(process.argv[2] ?? '') as AgentPaths;
const log = process.env['TSORCH_TEST_LOG'] ? createLog('agent', 'debug') : silentLog;
const client = new ContainerdClient({ socket: paths.socket });
const agent = await runAgent({
  nodeId: 'n1',
  // Nobody is there: the test speaks for the leader.
  master: { address: '127.0.0.1:1', credentials: credentials.createInsecure() },
  stateDir: paths.stateDir,
  runDir: paths.runDir,
  address: '192.0.2.1',
  runtime: await openContainerdRuntime({ client, runDir: paths.runtimeDir, clock, log, cgroupPrefix: paths.cgroupPrefix }),
  images: new ContainerdImages({ client, clock, log, runDir: paths.runtimeDir }),
  network: new LinuxPodNetwork({ log, netnsDir: `${paths.runDir}/netns` }),
  hostname: 'host-1',
  log,
  clock,
  signal: new AbortController().signal,
});
process.on('message', (told: Told) => {
  if ('assign' in told) agent.pods.assign({ upsert: told.assign, remove: [], full: true });
  else process.send?.({ look: told.look, pods: agent.pods.statuses() } satisfies Seen);
});
process.send?.({ look: -1, pods: [] } satisfies Seen);
