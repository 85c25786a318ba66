/**
 * The agent of one host: takes up what runs, keeps it running, and follows a master while there is one. Ending it leaves
 * the pods as they are.
 */
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import type { Assignment } from '../model/assignment.ts';
import { targetOf } from '../model/constraint/target.ts';
import { TsorchError } from '../model/errors.ts';
import type { GenericCapacity } from '../model/generic.ts';
import type { NodeStatus } from '../model/node.ts';
import { containersOf } from '../model/spec.ts';
import type { Assignments } from '../proto/gen/tsorch/node.ts';
import { Contact, contactFile } from './contact.ts';
import type { CollectPolicy } from './images/collect.ts';
import { ImageCollector } from './images/collector.ts';
import { Inventory } from './images/inventory.ts';
import { Pulls } from './images/pulls.ts';
import type { DiskRoom } from './images/room.ts';
import { LogStore } from './logs/store.ts';
import type { Manifests } from './manifests/manifests.ts';
import { openManifests, type ManifestSettings } from './manifests/open.ts';
import type { PodNetwork } from './network/port.ts';
import { keepServing, type Peering } from './peers/keep.ts';
import { nodeStatus, readBootId } from './node-status.ts';
import { Pods, type PodsOptions, type PodSource } from './pods/pods.ts';
import type { Images, Runtime } from './runtime/port.ts';
import { type Master, Session } from './session.ts';
import { EpochFile } from './state-epoch.ts';
import { HostNetwork } from './state-network.ts';
import { DiskReserve } from './state-reserve.ts';
import { Sampler } from './stats/sampler.ts';
import { type StreamContext, serveStream } from './streams/serve.ts';
import { safeName } from './volumes/names.ts';
import { VolumeMover } from './volumes/move/mover.ts';
import { linuxMounter, type Mounter } from './volumes/mounter.ts';
import { PodFiles } from './volumes/pod-files.ts';
import { Plugins } from './volumes/plugins/plugins.ts';
import { DriverWatch } from './volumes/plugins/watch.ts';
import { Volumes } from './volumes/volumes.ts';

export interface HostOptions {
  readonly nodeId: string;
  /** Survives reboots. */
  readonly stateDir: string;
  /** Does not, as `/run/tsorch`. */
  readonly runDir: string;
  /** This host's address on the underlay. */
  readonly address: string;
  readonly runtime: Runtime;
  readonly images: Images;
  /** The disk they are on. Absent: none are collected, and there is always room. */
  readonly imageRoom?: DiskRoom;
  readonly imagePolicy?: CollectPolicy;
  readonly network: PodNetwork;
  readonly log: Log;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** The host's name; the system's unless told. */
  readonly hostname?: string;
  /** Where pods' network namespaces are pinned; `<runDir>/netns` unless told. */
  readonly netnsDir?: string;
  readonly bootId?: string;
  readonly mounter?: Mounter;
  /** Volume plugins; those of Docker's folders unless told. */
  readonly plugins?: Plugins;
  /** Bytes of output kept per stream and attempt. */
  readonly logLimit?: number;
  /** Creates at a time. */
  readonly concurrency?: number;
}

export interface AgentOptions extends HostOptions {
  /** Absent: the host stands alone, and runs what its manifests say. */
  readonly master?: Master;
  readonly manifests?: ManifestSettings;
  /** Labels that manifests' placement constraints see: what the host was started with. */
  readonly nodeLabels?: Readonly<Record<string, string>>;
  /** Engine labels: versions of containerd, runtime and the like. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly version?: string;
  /** What pods may use; the whole host unless told. CPUs and bytes. */
  readonly capacity?: { readonly cpus: number; readonly memory: number };
  /** Counted resources of the host besides. */
  readonly generic?: GenericCapacity;
  /** Absent: this host neither gives images to others nor gets them from there. */
  readonly peering?: Peering;
  /** Between 0 and 1, for jitter. */
  readonly random?: () => number;
}

export interface Agent {
  readonly pods: Pods;
  readonly logs: LogStore;
  readonly connected: boolean;
  /** Resolves when the signal has fired and nothing is under way any more. Pods run on. */
  readonly done: Promise<void>;
  /** Leaves the session, stops and removes every pod and the host's network. Named volumes and the state folder stay. */
  teardown(): Promise<void>;
}

/** Resolves when what was on disk is taken up; the session is dialled from then on. */
export async function runAgent(options: AgentOptions): Promise<Agent> {
  const { log, clock, signal, images, runtime } = options;
  const leave = new AbortController();
  const outside: { session?: Session; manifests?: Manifests | null; pods?: Pods } = {};
  const { pods, contact, pulls, logs, volumes, plugins, bootId, hostname, reserve } = await openHost(options, {
    report(status) {
      outside.session?.report(status);
      if (outside.pods?.isLocal(status.id)) outside.manifests?.mark();
    },
    gone(id) {
      outside.session?.gone(id);
      outside.manifests?.mark();
    },
  });
  outside.pods = pods;
  const netnsDir = options.netnsDir ?? path.join(options.runDir, 'netns');
  const network = await HostNetwork.open({
    network: options.network,
    stateDir: options.stateDir,
    address: options.address,
    netnsDir,
    clock,
    log: log.child('network'),
    signal,
    onReady: () => pods.setNetworkReady(),
    onMac: () => void outside.session?.hello().catch(() => {}),
  });
  const inventory = new Inventory({
    images, clock, log: log.child('images'), signal,
    onChange: ({ upsert, remove }) => outside.session?.reportImages({ upsert: upsert.map((image) => JSON.stringify(image)), remove }),
  });
  const room = options.imageRoom;
  const collector = room && new ImageCollector({
    images, disk: () => room.disk(), used: () => [...pods.images(), ...pulls.underWay.map((image) => ({ image }))], stateDir: options.stateDir,
    clock, log: log.child('images'), signal, changed: () => void outside.session?.hello().catch(() => {}), ...(options.imagePolicy ? { policy: options.imagePolicy } : {}),
  });
  if (collector) room.keptBy(collector);
  let blobPort: number | null = null;
  const drivers = await DriverWatch.start({ plugins, clock, signal, changed: () => void outside.session?.hello().catch(() => {}) });
  const epoch = await EpochFile.open(options.stateDir, () => reserve.give());
  const facts = {
    nodeId: options.nodeId,
    address: options.address,
    version: options.version ?? '',
    bootId,
    labels: options.labels ?? {},
    ...(options.capacity ? { capacity: options.capacity } : {}),
    ...(options.generic ? { generic: options.generic } : {}),
  };
  const { peering } = options;
  const mover = new VolumeMover({ volumes, mounter: options.mounter ?? linuxMounter, bootId });
  if (peering && peering.port !== null) {
    await keepServing({
      blobs: peering.blobs, volumes: mover, identity: peering.identity, port: peering.port, ...(peering.bytesPerSecond === undefined ? {} : { bytesPerSecond: peering.bytesPerSecond }),
      address: options.address, isPeer: (node) => network.isPeer(node), clock, log: log.child('peers'), signal,
      onOpen(port) {
        blobPort = port;
        void outside.session?.hello().catch(() => {});
      },
    });
  }
  const streams: StreamContext = { pods, logs, runtime, images, imagesTold: () => inventory.told(), collector: collector ?? null, volumes, mover, peers: peering?.sources ?? null,
    sampler: new Sampler({ pods, runtime, network: options.network, clock }), clock, log: log.child('stream'), signal, nodeName: () => network.nodeName || hostname, epoch: () => epoch.get(),
    fetchVolume: (peer, name, move, from, over) => peering?.client.volume(peer, { name, move, from }, over) ?? refusePeers(),
  };
  const status = (): NodeStatus => nodeStatus({ ...facts, volumeDrivers: drivers.current, isShortOfDisk: collector?.isShort === true }, network.vtepMac, blobPort);
  const manifests = await openManifests({
    ...(options.manifests ? { settings: options.manifests } : {}), pods, images, network: options.network, netnsDir, stateDir: options.stateDir, nodeId: options.nodeId, hostname, clock,
    log: log.child('manifests'), signal: AbortSignal.any([signal, leave.signal]), random: options.random ?? Math.random,
    clusterRanges: () => network.ranges, ...(options.generic ? { generic: options.generic } : {}),
    target: () => targetOf({ node: { id: options.nodeId, name: network.nodeName || hostname, labels: options.nodeLabels ?? {}, availability: 'active', subnet: '', createdAt: 0 }, status: status(), state: 'ready' }),
    report: (waiting) => outside.session?.report(waiting),
    gone: (id) => outside.session?.gone(id),
    onProblems: () => void outside.session?.hello().catch(() => {}),
  });
  outside.manifests = manifests;
  const session = options.master && new Session({
    master: options.master,
    clock,
    log: log.child('session'),
    signal: AbortSignal.any([signal, leave.signal]),
    random: options.random ?? Math.random,
    epoch,
    nodeStatus: () => ({ ...status(), ...(manifests ? { manifests: { stacks: manifests.stacks, problems: shortened(manifests.problems) } } : {}) }),
    pods: () => [...pods.statuses(), ...(manifests?.waiting() ?? [])],
    staticPod: (id) => manifests?.staticPod(id),
    images: () => inventory.current,
    onWelcome: (welcome) => network.welcome(welcome),
    onContact: (sentAt, first) => {
      // What waits for the first word since the host's start is told.
      if (contact.answered(sentAt, first || pods.mindsMasters)) pods.poke();
    },
    onPeers: (peers) => network.setPeers(peers),
    onAssignments(assignments) {
      pods.assign(decodeAssignments(assignments, log));
      if (pods.mindsMasters) contact.keep();
    },
    onImagesFound: (names) => pulls.found(new Set(names)),
    onStream: (request, client) => void serveStream(request, client, streams),
    onLost: () => log.info('carrying on without a master'),
  });
  if (session) {
    outside.session = session;
    peering?.sources.join({ locate: (request) => session.locate(request), addressOf: (node) => network.blobAddress(node) });
  }
  return {
    pods,
    logs,
    get connected() {
      return session?.connected === true;
    },
    done: Promise.all([session?.done, manifests?.done, pods.done(), contact.done, network.done, inventory.done, drivers.done, collector?.done]).then(() => {}),
    async teardown() {
      leave.abort(new TsorchError('aborted', 'the node leaves'));
      await Promise.all([session?.done, manifests?.done]);
      await clearHost(options, pods);
    },
  };
}

/** For a host whose agent does not run: stops and removes every pod and the host's network, and returns. */
export async function teardownHost(options: HostOptions): Promise<void> {
  const over = new AbortController();
  const signal = AbortSignal.any([options.signal, over.signal]);
  const { pods } = await openHost({ ...options, signal }, { report: () => {}, gone: () => {} });
  try {
    await clearHost(options, pods);
  } finally {
    over.abort();
    await pods.done();
  }
}

interface Host {
  readonly pods: Pods;
  readonly contact: Contact;
  readonly pulls: Pulls;
  readonly logs: LogStore;
  readonly volumes: Volumes;
  readonly plugins: Plugins;
  readonly bootId: string;
  readonly hostname: string;
  readonly reserve: DiskReserve;
}

async function openHost(options: HostOptions & Pick<AgentOptions, 'master'>, hooks: Pick<PodsOptions, 'report' | 'gone'>): Promise<Host> {
  const { stateDir, runDir, runtime, images, network, log, clock, signal, mounter = linuxMounter, plugins = new Plugins() } = options;
  await fs.mkdir(stateDir, { recursive: true, mode: 0o700 });
  await fs.mkdir(runDir, { recursive: true, mode: 0o711 });
  const hostname = options.hostname ?? os.hostname();
  const bootId = options.bootId ?? readBootId();
  const logs = new LogStore({ directory: path.join(stateDir, 'logs'), clock, log: log.child('logs'), signal, ...(options.logLimit === undefined ? {} : { limit: options.logLimit }) });
  const inside: { pods?: Pods } = {};
  const volumes = new Volumes({ stateDir, runDir, images, mounter, plugins, bootId, clock, ready: (id) => inside.pods?.get(id)?.poke() });
  await volumes.settle().catch((error: unknown) => log.warn('volumes not tidied', { error }));
  const files = new PodFiles({ runDir, mounter });
  const pulls = new Pulls({ images, clock, log: log.child('images'), signal, random: Math.random, changed: (id) => inside.pods?.get(id)?.poke() });
  // A host that once was of a cluster may have its pods, and nobody else knows which.
  const sources: readonly PodSource[] = options.master || (await HostNetwork.wasJoined(stateDir)) ? ['leader', 'manifests'] : ['manifests'];
  const reserve = await DiskReserve.open({ file: path.join(stateDir, 'reserve'), clock, log, signal });
  const contact = await Contact.open({ runDir, bootId, clock, log: log.child('pods'), signal });
  const pods = await Pods.open({
    makeRoom: () => reserve.give(),
    ports: { runtime, pulls, network, volumes, files, logs, hostname },
    clock,
    log: log.child('pods'),
    signal,
    stateDir,
    runDir,
    node: options.nodeId,
    bootId,
    alone: () => contact.alone,
    sources,
    ...(options.concurrency === undefined ? {} : { concurrency: options.concurrency }),
    ...hooks,
  });
  inside.pods = pods;
  return { pods, contact, pulls, logs, volumes, plugins, bootId, hostname, reserve };
}

function refusePeers(): never {
  throw new TsorchError('unsupported', 'this node fetches nothing from others');
}

async function clearHost(options: HostOptions, pods: Pods): Promise<void> {
  pods.clear();
  await pods.swept();
  await pods.empty(options.signal);
  if (options.signal.aborted) throw new TsorchError('aborted', 'the host was not cleared to the end');
  await options.network.teardown();
  // A host that comes back is a new one: what is left here would be taken for rules and ranges that hold.
  for (const file of ['network.json', path.join('local', 'table.json')]) await fs.rm(path.join(options.stateDir, file), { force: true });
  await fs.rm(contactFile(options.runDir), { force: true });
}

/** What a master keeps of a node is small. */
const mostProblems = 20;

function shortened(problems: readonly string[]): readonly string[] {
  const shown = problems.slice(0, mostProblems).map((problem) => (problem.length > 500 ? `${problem.slice(0, 500)}…` : problem));
  return problems.length > mostProblems ? [...shown, `and ${problems.length - mostProblems} more`] : shown;
}

/** An assignment that makes no sense is left out, and then the list does not count as full: its pod must not be removed for it. */
function decodeAssignments(message: Assignments, log: Log): Parameters<Pods['assign']>[0] {
  const upsert = message.upsert.flatMap((text): Assignment[] => {
    try {
      const assignment = JSON.parse(text) as Assignment;
      safeName('pod', assignment.pod.id);
      if (!Array.isArray(assignment.template.containers) || !Array.isArray(assignment.files)) throw new TsorchError('invalid', 'it has no containers or files');
      const names = containersOf(assignment.template).map(({ name }) => safeName('container', name));
      if (new Set(names).size < names.length) throw new TsorchError('invalid', 'two of its containers have one name');
      return [assignment];
    } catch (error) {
      log.error('an assignment cannot be read', { error, text: text.slice(0, 200) });
      return [];
    }
  });
  return { upsert, remove: message.remove, full: message.full && upsert.length === message.upsert.length };
}
