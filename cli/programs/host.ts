/**
 * `tsorch host`, `agent`, `proxy`: the programs of one host. The only place where agent and proxy meet, as two guests of one process;
 * they share the node's identity and nothing else.
 */
import { createSocket } from 'node:dgram';
import { mkdir } from 'node:fs/promises';
import { hostname, release, version } from 'node:os';
import path from 'node:path';
import { ContainerdImages } from '../../agent/images/containerd.ts';
import { type CollectPolicy, collectPolicy } from '../../agent/images/collect.ts';
import { RegistrySources } from '../../agent/images/registry-source.ts';
import { DiskRoom } from '../../agent/images/room.ts';
import { runAgent, teardownHost, type HostOptions } from '../../agent/main.ts';
import type { ManifestSettings } from '../../agent/manifests/open.ts';
import { LinuxPodNetwork } from '../../agent/network/linux.ts';
import { gatewayAddress } from '../../agent/network/port.ts';
import type { ServedBlobs } from '../../agent/peers/blobs.ts';
import { PeerClient } from '../../agent/peers/client.ts';
import { ContentBlobs } from '../../agent/peers/content.ts';
import { defaultPeerRate } from '../../agent/peers/rate.ts';
import { defaultBlobPort } from '../../agent/peers/server.ts';
import { PeerSources } from '../../agent/peers/source.ts';
import { readCgroupLayout } from '../../agent/runtime/cgroup.ts';
import { ContainerdClient } from '../../agent/runtime/client.ts';
import { defaultCgroupPrefix, openContainerdRuntime } from '../../agent/runtime/containerd.ts';
import { startContainerd } from '../../agent/runtime/daemon.ts';
import { daemonPaths } from '../../agent/runtime/daemon-files.ts';
import { stopContainerd } from '../../agent/runtime/teardown.ts';
import { systemClock } from '../../lib/clock.ts';
import { createLog, type Log } from '../../lib/log.ts';
import { RegistriesFile } from '../../lib/oci/registries-file.ts';
import { TsorchError } from '../../model/errors.ts';
import { parseGeneric, type GenericCapacity } from '../../model/generic.ts';
import { grpcTables, runProxy, teardownDataPlane } from '../../proxy/main.ts';
import { UsageError } from '../exit.ts';
import { parseBlobPort, parseDuration, parsePercent, parseRate } from '../output/values.ts';
import { masterUrl } from '../context/resolve.ts';
import { ownVersion } from '../version.ts';
import type { HostArguments } from './arguments.ts';
import { manifestSettings } from './manifests.ts';
import { openRunDir, removeRunDir } from './run-dir.ts';
import { settle } from './settle.ts';
import { ensureIdentity, identityDirectory, isJoined, readIdentity, type NodeIdentity } from './enrol.ts';
import { LivingIdentity } from './identity.ts';

const clock = systemClock;

/** Runs until the signal fires; pods and rules stay and work on. */
export async function runHostProgram(args: HostArguments, signal: AbortSignal): Promise<void> {
  const log = createLog(args.kind);
  if (args.teardown === true) return teardown(args, log, signal);
  void settle(clock, signal);
  try {
    await mkdir(args.stateDir, { recursive: true, mode: 0o700 });
    // Of two programs of one host, the one that puts something there.
    if (args.kind !== 'proxy') await openRunDir(args.runDir, log);
    const manifests = manifestSettings(args);
    if (args.master === undefined) {
      if (await isJoined(identityDirectory(args))) {
        throw new TsorchError('invalid', 'this host is of a cluster: which master? write --master HOST:PORT', { hint: `or take it out of there: tsorch ${args.kind} --teardown, then remove ${identityDirectory(args)}` });
      }
      log.info('this host stands alone');
      await runParts({ args, manifests, identity: null, log }, signal);
      return;
    }
    const first = await join({ args, manifests, log }, signal);
    const own = new AbortController();
    const either = AbortSignal.any([signal, own.signal]);
    try {
      await runParts({ args, manifests, log, identity: new LivingIdentity({ args, first, clock, log: log.child('identity'), signal: either, random: Math.random }) }, either);
    } finally {
      own.abort();
    }
  } catch (error) {
    if (!(signal.aborted && (error === signal.reason || (error instanceof TsorchError && error.code === 'aborted')))) throw error;
  }
}

/** What the programs of this host run with. */
interface Setting {
  readonly args: HostArguments;
  readonly manifests: ManifestSettings | undefined;
  /** null: the host stands alone. */
  readonly identity: LivingIdentity | null;
  readonly log: Log;
}

/** A host that has no node's id of its own. */
const aloneId = 'alone';

/** How long a host with manifests waits for a master that it has never seen before it begins without. */
const firstPatienceMs = 3000;

/** Agent and proxy, until one of them fails or the signal fires. */
async function runParts(setting: Setting, signal: AbortSignal): Promise<void> {
  const { args, log } = setting;
  const own = new AbortController();
  const either = AbortSignal.any([signal, own.signal]);
  const parts = [
    ...(args.kind === 'proxy' ? [] : [agent(setting, log.child('agent'), either)]),
    ...(args.kind === 'agent' ? [] : [proxy(setting, log.child('proxy'), either)]),
  ];
  try {
    await Promise.all(parts);
  } finally {
    // One that failed takes the other along: whoever supervises starts both again.
    own.abort();
    await Promise.allSettled(parts);
  }
}

/** Who this host is. While it waits to join, its own manifests run: no master is needed for them. */
async function join(setting: Omit<Setting, 'identity'>, signal: AbortSignal): Promise<NodeIdentity> {
  const { args, manifests, log } = setting;
  const joining = ensureIdentity(args, { clock, log, signal });
  if (!manifests) return joining;
  joining.catch(() => {});
  const soon = await Promise.race([joining, clock.sleep(firstPatienceMs, signal).then(() => null)]);
  if (soon) return soon;
  log.info('no master yet: the manifests of this host run without');
  const over = new AbortController();
  const parts = runParts({ ...setting, identity: null }, AbortSignal.any([signal, over.signal]));
  try {
    return await Promise.race([joining, parts.then(() => joining)]);
  } finally {
    // They begin again as a node, and find their pods as they were.
    over.abort();
    await parts.catch(() => {});
  }
}

async function agent({ args, manifests, identity }: Setting, log: Log, signal: AbortSignal): Promise<void> {
  const client = identity ? new PeerClient(() => identity.credentials) : null;
  const peers = client ? new PeerSources({ client, clock, random: Math.random, log: log.child('peers') }) : null;
  const { options, containerd, blobs, close } = await openHost(args, identity?.current.nodeId ?? aloneId, log, signal, peers);
  try {
    const running = await runAgent({
      ...options, labels: engineLabels(containerd), version: ownVersion(), nodeLabels: args.labels, ...(args.genericResource ? { generic: genericResources(args.genericResource) } : {}), ...(manifests ? { manifests } : {}),
      ...(identity ? { master: { address: identity.current.grpc, credentials: () => identity.channelCredentials() } } : {}),
      ...(identity && peers && client ? { peering: { blobs, identity, sources: peers, client, ...(await peeringOf(args, options.address)) } } : {}),
    });
    await running.done;
  } finally {
    client?.close();
    await close();
  }
}

async function peeringOf(args: HostArguments, address: string): Promise<{ readonly port: number | null; readonly bytesPerSecond: number }> {
  return {
    port: args.blobPort === undefined ? defaultBlobPort : parseBlobPort(args.blobPort),
    bytesPerSecond: args.blobRate === undefined ? await defaultPeerRate(address) : parseRate(args.blobRate),
  };
}

async function proxy({ args, identity }: Setting, log: Log, signal: AbortSignal): Promise<void> {
  const stateDir = path.join(args.stateDir, 'proxy');
  await mkdir(stateDir, { recursive: true });
  await runProxy({
    nodeId: identity?.current.nodeId ?? aloneId, cgroupRoot: args.cgroupRoot ?? (await wholeMachine()), localDir: path.join(args.stateDir, 'local'),
    ...(identity ? { connect: () => grpcTables({ address: identity.current.grpc, credentials: identity.channelCredentials() }) } : {}),
    bpfDir: args.bpfDir ?? '/sys/fs/bpf/tsorch', dnsAddress: gatewayAddress, resolvers: { file: '/etc/resolv.conf' }, mode: 'ebpf', stateDir, clock, log, signal,
  });
}

/** Containerd, images and network of this host, ready. */
async function openHost(args: HostArguments, nodeId: string, log: Log, signal: AbortSignal, peers: PeerSources | null): Promise<{ readonly options: HostOptions; readonly containerd: string; readonly blobs: ServedBlobs; readonly close: () => Promise<void> }> {
  const daemon = await startContainerd({ stateDir: args.stateDir, runDir: args.runDir, log: log.child('containerd'), clock, signal });
  const client = new ContainerdClient({ socket: daemon.socket });
  const prefix = await cgroupPrefix(args);
  const runtime = await openContainerdRuntime({ client, runDir: args.runDir, clock, log: log.child('runtime'), ...(prefix === undefined ? {} : { cgroupPrefix: prefix }) });
  const registries = new RegistriesFile(args.registryConfig);
  // What is wrong in it is told now, and not by the first pod.
  if (args.teardown !== true) await registries.read();
  // What another node has need not come from outside.
  const sources = [...(peers ? [peers] : []), new RegistrySources({ registries: () => registries.read(), env: process.env, clock, random: Math.random })];
  const room = new DiskRoom(daemonPaths(args.stateDir, args.runDir).root);
  const images = new ContainerdImages({ client, runDir: args.runDir, admit: (bytes) => room.admit(bytes), sources, clock, log: log.child('images') });
  await images.sweep();
  const network = new LinuxPodNetwork({ log: log.child('network'), clock, netnsDir: path.join(args.runDir, 'netns') });
  return {
    options: { nodeId, stateDir: args.stateDir, runDir: args.runDir, address: args.address ?? (args.master === undefined ? await ownAddress() : await addressTowards(new URL(masterUrl(args.master)).hostname)), runtime, images, imageRoom: room, imagePolicy: imagePolicyOf(args), network, log, clock, signal, hostname: args.name ?? hostname() },
    containerd: daemon.version,
    blobs: new ContentBlobs({ client, root: daemonPaths(args.stateDir, args.runDir).root, coming: (digest) => images.downloads.coming(digest) && peers?.seeks(digest) !== true }),
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
    const { options, close } = await openHost(args, identity?.nodeId ?? 'none', log, AbortSignal.any([signal, work.signal]), null);
    await teardownHost(options);
    work.abort();
    await close();
  } catch (error) {
    log.warn('pods could not be removed one by one, ending them all', { error });
    work.abort();
  }
  await stopContainerd({ stateDir: args.stateDir, runDir: args.runDir, log, clock, cgroupPrefix: prefix ?? defaultCgroupPrefix });
  teardownDataPlane({ bpfDir: args.bpfDir ?? '/sys/fs/bpf/tsorch', dnsAddress: gatewayAddress });
  await removeRunDir(args.runDir);
}

function genericResources(texts: readonly string[]): GenericCapacity {
  const parsed = parseGeneric(texts);
  if ('error' in parsed) throw new UsageError(`--generic-resource: ${parsed.error}`);
  return parsed.ok;
}

/** What classic Swarm calls engine labels: `engine.labels.kernelversion` and the like. */
function engineLabels(containerd: string): Record<string, string> {
  return { containerd, storagedriver: 'overlayfs', kernelversion: release(), operatingsystem: version() };
}

/** This host's address as the master sees it: that of the route there. Nothing is sent. */
async function addressTowards(host: string): Promise<string> {
  const socket = createSocket('udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.connect(9, host, resolve);
    });
    return socket.address().address;
  } catch (cause) {
    throw new TsorchError('invalid', `there is no route to the master: ${(cause as Error).message}`, { cause, hint: 'say this host\'s own address with --address' });
  } finally {
    socket.close();
  }
}

/** Of a host that stands alone: where it speaks to the world from, by an address that nobody has. Empty when it does not. */
function ownAddress(): Promise<string> {
  return addressTowards('203.0.113.1').catch(() => '');
}

/** `--cgroup-root` below the cgroup2 mount, as the path that containers get in every hierarchy. */
async function cgroupPrefix(args: HostArguments): Promise<string | undefined> {
  if (args.cgroupRoot === undefined) return undefined;
  const { v2: cgroup2 } = await readCgroupLayout();
  const prefix = cgroup2 === null ? '' : path.relative(cgroup2, args.cgroupRoot);
  if (prefix === '' || prefix.startsWith('..') || path.isAbsolute(prefix)) throw new TsorchError('invalid', `--cgroup-root ${args.cgroupRoot} is not below the cgroup2 mount ${cgroup2 ?? '(there is none)'}`);
  return prefix;
}

async function wholeMachine(): Promise<string> {
  const { v2: cgroup2 } = await readCgroupLayout();
  if (cgroup2 === null) throw new TsorchError('unsupported', 'cgroup2 is mounted nowhere, and load balancing attaches there', { hint: 'mount -t cgroup2 none /sys/fs/cgroup/unified' });
  return cgroup2;
}

function imagePolicyOf({ imageGcHigh, imageGcLow, imageGcAge }: HostArguments): CollectPolicy {
  const high = imageGcHigh === undefined ? collectPolicy.high : parsePercent('--image-gc-high', imageGcHigh);
  const low = imageGcLow === undefined ? Math.min(collectPolicy.low, high) : parsePercent('--image-gc-low', imageGcLow);
  if (low > high) throw new UsageError(`--image-gc-low ${imageGcLow} is above --image-gc-high ${imageGcHigh}`);
  return { ...collectPolicy, high, low, ...(imageGcAge === undefined ? {} : { maxAgeMs: parseDuration(imageGcAge) }) };
}
