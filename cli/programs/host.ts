/**
 * `tsorch host`, `agent`, `proxy`: the programs of one host. The only place where agent and proxy meet, as two guests of one process;
 * they share the node's identity and nothing else.
 */
import { createSocket } from 'node:dgram';
import { mkdir, rm } from 'node:fs/promises';
import { hostname, release, version } from 'node:os';
import { isAbsolute, join, relative } from 'node:path';
import { ContainerdImages } from '../../agent/images/containerd.ts';
import { RegistrySources } from '../../agent/images/registry-source.ts';
import { runAgent, teardownHost, type HostOptions } from '../../agent/main.ts';
import { LinuxPodNetwork } from '../../agent/network/linux.ts';
import { gatewayAddress } from '../../agent/network/port.ts';
import type { ServedBlobs } from '../../agent/peers/blobs.ts';
import { ContentBlobs } from '../../agent/peers/content.ts';
import { defaultPeerRate } from '../../agent/peers/rate.ts';
import { defaultBlobPort } from '../../agent/peers/server.ts';
import { readCgroupLayout } from '../../agent/runtime/cgroup.ts';
import { ContainerdClient } from '../../agent/runtime/client.ts';
import { openContainerdRuntime } from '../../agent/runtime/containerd.ts';
import { startContainerd } from '../../agent/runtime/daemon.ts';
import { daemonPaths } from '../../agent/runtime/daemon-files.ts';
import { stopContainerd } from '../../agent/runtime/teardown.ts';
import { systemClock } from '../../lib/clock.ts';
import { createLog, type Log } from '../../lib/log.ts';
import { RegistriesFile } from '../../lib/oci/registries-file.ts';
import { TsorchError } from '../../model/errors.ts';
import { grpcTables, runProxy, teardownDataPlane } from '../../proxy/main.ts';
import { parseBlobPort, parseRate } from '../output/values.ts';
import { masterUrl } from '../context/resolve.ts';
import { ownVersion } from '../version.ts';
import type { HostArguments } from './arguments.ts';
import { settle } from './settle.ts';
import { ensureIdentity, identityDirectory, readIdentity } from './enrol.ts';
import { LivingIdentity } from './identity.ts';

const clock = systemClock;

/** Runs until the signal fires; pods and rules stay and work on. */
export async function runHostProgram(args: HostArguments, signal: AbortSignal): Promise<void> {
  const log = createLog(args.kind);
  if (args.teardown === true) return teardown(args, log, signal);
  void settle(clock, signal);
  try {
    await mkdir(args.stateDir, { recursive: true, mode: 0o700 });
    await mkdir(args.runDir, { recursive: true, mode: 0o711 });
    const first = await ensureIdentity(args, { clock, log, signal });
    const own = new AbortController();
    const either = AbortSignal.any([signal, own.signal]);
    const identity = new LivingIdentity({ args, first, clock, log: log.child('identity'), signal: either, random: Math.random });
    const parts = [
      ...(args.kind === 'proxy' ? [] : [agent(args, identity, log.child('agent'), either)]),
      ...(args.kind === 'agent' ? [] : [proxy(args, identity, log.child('proxy'), either)]),
    ];
    try {
      await Promise.all(parts);
    } finally {
      // One that failed takes the other along: whoever supervises starts both again.
      own.abort();
      await Promise.allSettled(parts);
    }
  } catch (error) {
    if (!(signal.aborted && (error === signal.reason || (error instanceof TsorchError && error.code === 'aborted')))) throw error;
  }
}

async function agent(args: HostArguments, identity: LivingIdentity, log: Log, signal: AbortSignal): Promise<void> {
  const { options, containerd, blobs, close } = await openHost(args, identity.current.nodeId, log, signal);
  const port = args.blobPort === undefined ? defaultBlobPort : parseBlobPort(args.blobPort);
  const bytesPerSecond = args.blobRate === undefined ? await defaultPeerRate(options.address) : parseRate(args.blobRate);
  try {
    const running = await runAgent({
      ...options, peering: { blobs, identity, port, bytesPerSecond }, labels: engineLabels(containerd), master: { address: identity.current.grpc, credentials: () => identity.channelCredentials() }, version: ownVersion(),
    });
    await running.done;
  } finally {
    await close();
  }
}

async function proxy(args: HostArguments, identity: LivingIdentity, log: Log, signal: AbortSignal): Promise<void> {
  const stateDir = join(args.stateDir, 'proxy');
  await mkdir(stateDir, { recursive: true });
  await runProxy({
    nodeId: identity.current.nodeId, connect: () => grpcTables({ address: identity.current.grpc, credentials: identity.channelCredentials() }), cgroupRoot: args.cgroupRoot ?? (await wholeMachine()),
    bpfDir: args.bpfDir ?? '/sys/fs/bpf/tsorch', dnsAddress: gatewayAddress, resolvers: { file: '/etc/resolv.conf' }, mode: 'ebpf', stateDir, clock, log, signal,
  });
}

/** Containerd, images and network of this host, ready. */
async function openHost(args: HostArguments, nodeId: string, log: Log, signal: AbortSignal): Promise<{ readonly options: HostOptions; readonly containerd: string; readonly blobs: ServedBlobs; readonly close: () => Promise<void> }> {
  const daemon = await startContainerd({ stateDir: args.stateDir, runDir: args.runDir, log: log.child('containerd'), clock, signal });
  const client = new ContainerdClient({ socket: daemon.socket });
  const prefix = await cgroupPrefix(args);
  const runtime = await openContainerdRuntime({ client, runDir: args.runDir, clock, log: log.child('runtime'), ...(prefix === undefined ? {} : { cgroupPrefix: prefix }) });
  const registries = new RegistriesFile(args.registryConfig);
  // What is wrong in it is told now, and not by the first pod.
  if (args.teardown !== true) await registries.read();
  const sources = [new RegistrySources({ registries: () => registries.read(), env: process.env, clock, random: Math.random })];
  const images = new ContainerdImages({ client, runDir: args.runDir, sources, clock, log: log.child('images') });
  await images.sweep();
  const network = new LinuxPodNetwork({ log: log.child('network'), clock, netnsDir: join(args.runDir, 'netns') });
  return {
    options: { nodeId, stateDir: args.stateDir, runDir: args.runDir, address: args.address ?? (await addressTowards(args)), runtime, images, network, log, clock, signal, hostname: args.name ?? hostname() },
    containerd: daemon.version,
    blobs: new ContentBlobs({ client, root: daemonPaths(args.stateDir, args.runDir).root, coming: (digest) => images.downloads.coming(digest) }),
    async close() {
      await daemon.done;
      client.close();
    },
  };
}

/** Pods, containerd, rules, pins, namespaces: all of it goes; images, volumes and the identity stay in the state directory. */
async function teardown(args: HostArguments, log: Log, signal: AbortSignal): Promise<void> {
  const identity = args.master === undefined ? null : await readIdentity(identityDirectory(args), args);
  const prefix = await cgroupPrefix(args);
  const work = new AbortController();
  try {
    const { options, close } = await openHost(args, identity?.nodeId ?? 'none', log, AbortSignal.any([signal, work.signal]));
    await teardownHost(options);
    work.abort();
    await close();
  } catch (error) {
    log.warn('pods could not be removed one by one, ending them all', { error });
    work.abort();
  }
  await stopContainerd({ stateDir: args.stateDir, runDir: args.runDir, log, clock, ...(prefix === undefined ? {} : { cgroupPrefix: prefix }) });
  teardownDataPlane({ bpfDir: args.bpfDir ?? '/sys/fs/bpf/tsorch', dnsAddress: gatewayAddress });
  await rm(args.runDir, { recursive: true, force: true });
}

/** What classic Swarm calls engine labels: `engine.labels.kernelversion` and the like. */
function engineLabels(containerd: string): Record<string, string> {
  return { containerd, storagedriver: 'overlayfs', kernelversion: release(), operatingsystem: version() };
}

/** This host's address as the master sees it: that of the route there. Nothing is sent. */
async function addressTowards(args: HostArguments): Promise<string> {
  const socket = createSocket('udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.connect(9, new URL(masterUrl(args.master ?? '127.0.0.1')).hostname, resolve);
    });
    return socket.address().address;
  } catch (cause) {
    throw new TsorchError('invalid', `there is no route to the master: ${(cause as Error).message}`, { cause, hint: 'say this host\'s own address with --address' });
  } finally {
    socket.close();
  }
}

/** `--cgroup-root` below the cgroup2 mount, as the path that containers get in every hierarchy. */
async function cgroupPrefix(args: HostArguments): Promise<string | undefined> {
  if (args.cgroupRoot === undefined) return undefined;
  const { v2: cgroup2 } = await readCgroupLayout();
  const path = cgroup2 === null ? '' : relative(cgroup2, args.cgroupRoot);
  if (path === '' || path.startsWith('..') || isAbsolute(path)) throw new TsorchError('invalid', `--cgroup-root ${args.cgroupRoot} is not below the cgroup2 mount ${cgroup2 ?? '(there is none)'}`);
  return path;
}

async function wholeMachine(): Promise<string> {
  const { v2: cgroup2 } = await readCgroupLayout();
  if (cgroup2 === null) throw new TsorchError('unsupported', 'cgroup2 is mounted nowhere, and load balancing attaches there', { hint: 'mount -t cgroup2 none /sys/fs/cgroup/unified' });
  return cgroup2;
}
