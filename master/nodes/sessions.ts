/**
 * The agents' sessions on this master: who is there, what they must run, what they saw. Sends assignments and peers as the
 * store changes, writes observations to it, and ends sessions that fall silent.
 */
import { status as grpcStatus } from '@grpc/grpc-js';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { describeError, isCode, TsorchError } from '../../model/errors.ts';
import type { NodeStatus } from '../../model/node.ts';
import type { PodStatus } from '../../model/pod.ts';
import type { AgentMessage, Hello, ImageReport, StatusReport } from '../../proto/gen/tsorch/node.ts';
import type { ImageInventory } from '../images/inventory.ts';
import type { Change, Store } from '../store/port.ts';
import type { World } from '../world.ts';
import type { Liveness } from './liveness.ts';
import { decodeHeldImage, decodeNodeStatus, decodePodStatus, decodeStaticPod } from './decode.ts';
import { refuse } from './refuse.ts';
import { Reports } from './reports.ts';
import { Session, type SessionStream } from './session.ts';
import { Streams, type DataStream } from './streams.ts';

export interface SessionsOptions {
  readonly store: Store;
  readonly world: World;
  readonly liveness: Liveness;
  readonly images: ImageInventory;
  /** This master's id and the lease its session keys ride on. */
  readonly masterId: string;
  readonly lease: () => string | undefined;
  readonly epoch: () => number;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly heartbeatMs: number;
  /** A session this long silent is ended. */
  readonly silenceMs: number;
  /** A node tells of something new that is wrong with its own manifests. */
  readonly onProblem: (node: string, problem: string) => void;
  /** Called when a node's session begins or ends. */
  readonly onChange: (node: string) => void;
}

/** Of one node: a thousand is more than a host can run. */
const mostStatics = 1000;

const emptySet: ReadonlySet<string> = new Set();

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #sessions = new Map<string, Session>();
  readonly #podsOf = new Map<string, Set<string>>();
  readonly #nodeOf = new Map<string, string>();
  readonly #streams = new Streams();
  readonly #reports: Reports;
  #dirty = new Set<string>();
  #peersDirty = false;
  #scheduled = false;

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#reports = new Reports({ ...options, seen: () => options.world.revision });
    for (const { value: pod } of options.world.maps.pods.values()) this.#index(pod.id, pod.node);
    options.world.subscribe((changes) => this.#onChanges(changes), options.signal);
    const timer = setInterval(() => this.#endSilent(), options.silenceMs / 4);
    options.signal.addEventListener('abort', () => {
      clearInterval(timer);
      for (const session of this.#sessions.values()) session.stream.end();
    }, { once: true });
  }

  /** Nodes with a session here. */
  has(node: string): boolean {
    return this.#sessions.get(node)?.open === true;
  }

  /** Opens a data stream on a node; see Streams. */
  openStream(node: string, kind: string, params: unknown): Promise<DataStream> {
    const name = this.#options.world.get('nodes', node)?.name ?? node;
    return this.#streams.open({ node, name }, kind, params, (request) => {
      const session = this.#sessions.get(node);
      session?.send({ $case: 'openStream', value: request });
      return session !== undefined;
    });
  }

  /** Another node has what this one has looked for in vain. */
  imagesFound(node: string, names: readonly string[]): void {
    this.#sessions.get(node)?.send({ $case: 'imagesFound', value: { names: [...names] } });
  }

  /** Ends the session of a node that is no longer part of the cluster. */
  remove(node: string): void {
    const session = this.#sessions.get(node);
    if (session) this.#end(session, 'removed');
  }

  acceptData(node: string, stream: DataStream): void {
    this.#streams.accept(node, stream);
  }

  serve(node: string, stream: SessionStream): void {
    const { clock, log, world } = this.#options;
    const old = this.#sessions.get(node);
    // Two hosts with one identity: the first stays. A restarted agent's old stream has ended by the time it dials again.
    if (old && clock.monotonic() - old.heardAt < 2 * this.#options.heartbeatMs) {
      log.warn('second session refused', { node });
      refuse(stream, grpcStatus.ALREADY_EXISTS, 'this node already has a session');
      return;
    }
    if (!world.get('nodes', node)) {
      refuse(stream, grpcStatus.PERMISSION_DENIED, 'this node was removed from the cluster; join it again with a token');
      return;
    }
    if (old) this.#end(old, 'replaced');
    const session = new Session(node, stream, clock.monotonic());
    this.#sessions.set(node, session);
    stream.on('data', (message: AgentMessage) => {
      session.heardAt = clock.monotonic();
      this.#onMessage(session, message);
    });
    stream.on('end', () => this.#end(session, 'closed'));
    stream.on('error', () => this.#end(session, 'broken'));
    stream.on('cancelled', () => this.#end(session, 'broken'));
  }

  #onMessage(session: Session, message: AgentMessage): void {
    // One that was ended may still have said something.
    if (this.#sessions.get(session.node) !== session) return;
    switch (message.kind?.$case) {
      case 'hello':
        this.#hello(session, message.kind.value).catch((error: unknown) => {
          this.#options.log.warn('session refused', { node: session.node, error });
          refuse(session.stream, isCode(error, 'invalid') ? grpcStatus.INVALID_ARGUMENT : grpcStatus.UNAVAILABLE, describeError(error));
          this.#end(session, 'refused');
        });
        return;
      case 'heartbeat':
        session.send({ $case: 'heartbeatAck', value: { sequence: message.kind.value.sequence } });
        return;
      case 'status':
        this.#status(session, message.kind.value);
        return;
      case 'images':
        this.#images(session, message.kind.value);
        return;
      case undefined:
        return;
    }
  }

  async #hello(session: Session, hello: Hello): Promise<void> {
    const { store, world, liveness, log } = this.#options;
    const status: NodeStatus = decodeNodeStatus(hello.status, session.node);
    const known = world.get('nodestatus', session.node);
    for (const problem of status.manifests?.problems ?? []) if (known?.manifests?.problems.includes(problem) !== true) this.#options.onProblem(session.node, problem);
    const lease = this.#options.lease();
    const { revision } = await store.commit([
      { op: 'put', kind: 'sessions', id: session.node, value: { node: session.node, master: this.#options.masterId }, ...(lease === undefined ? {} : { lease }) },
      ...(JSON.stringify(known) === JSON.stringify(status) ? [] : [{ op: 'put', kind: 'nodestatus', id: session.node, value: status } as const]),
    ]);
    await world.waitFor(revision, this.#options.signal);
    const node = world.get('nodes', session.node);
    const cluster = world.get('cluster', 'config');
    if (!node || !cluster) throw new TsorchError('not-found', `node ${session.node} is not in the store`);
    if (this.#sessions.get(session.node) !== session) return;
    session.send({
      $case: 'welcome',
      value: {
        epoch: this.#options.epoch(), nodeName: node.name, subnet: node.subnet, podCidr: cluster.podCidr, serviceCidr: cluster.serviceCidr,
        heartbeatMs: this.#options.heartbeatMs, underlay: cluster.underlay,
      },
    });
    session.open = true;
    session.sendPeers(world.maps, true);
    session.restart();
    session.sendAssignments(world.maps, this.#podsOf.get(session.node) ?? emptySet, this.#options.epoch());
    liveness.connected(session.node);
    log.info('node connected', { node: node.name, id: session.node, address: status.address });
    this.#options.onChange(session.node);
  }

  #status(session: Session, report: StatusReport): void {
    const { world, log } = this.#options;
    const seen = new Set<string>();
    let whole = report.full;
    for (const text of report.pods) {
      const status = this.#decode(session, text);
      if (!status) {
        whole = false;
        continue;
      }
      // A node speaks for its own pods only. A pod this master has not heard of yet is either brand new or long deleted; the
      // agent repeats a status that matters when its assignment comes again.
      if (world.get('pods', status.id)?.node !== session.node) {
        log.debug('status of a foreign pod ignored', { node: session.node, pod: status.id });
        continue;
      }
      seen.add(status.id);
      if (this.#reports.isUnsettled('podstatus', status.id) || JSON.stringify(world.get('podstatus', status.id)) !== text) this.#reports.add(status.id, { ...status, node: session.node });
    }
    const statics = this.#statics(session, report.statics);
    whole &&= statics !== null;
    for (const id of report.gone) {
      if (world.get('staticpods', id)?.pod.node === session.node) this.#reports.addStatic(id, null);
      if (this.#nodeOf.get(id) === session.node || world.get('podstatus', id)?.node === session.node) this.#reports.add(id, null);
    }
    if (!whole) return;
    // What it does not speak of in a full report, it does not have.
    for (const id of this.#podsOf.get(session.node) ?? emptySet) {
      if (!seen.has(id) && world.get('podstatus', id) !== undefined) this.#reports.add(id, null);
    }
    for (const { value: { pod } } of world.maps.staticpods.values()) {
      if (pod.node === session.node && statics?.has(pod.id) !== true) this.#reports.addStatic(pod.id, null);
    }
  }

  /** Takes up what a node tells of its own manifests' pods. Their ids; null when some could not be read. */
  #statics(session: Session, texts: readonly string[]): ReadonlySet<string> | null {
    const { world, log } = this.#options;
    const seen = new Set<string>();
    let whole = true;
    for (const text of texts.slice(0, mostStatics)) {
      try {
        const told = decodeStaticPod(text, session.node);
        const { id } = told.pod;
        const known = world.get('staticpods', id);
        // A node speaks for itself alone.
        if (world.get('pods', id) || (known && known.pod.node !== session.node)) throw new TsorchError('conflict', `${id} is another pod`);
        seen.add(id);
        if (this.#reports.isUnsettled('staticpods', id) || JSON.stringify(known) !== JSON.stringify(told)) this.#reports.addStatic(id, told);
      } catch (error) {
        log.warn('a pod of a manifest is ignored', { node: session.node, error });
        whole = false;
      }
    }
    return whole ? seen : null;
  }

  #images(session: Session, report: ImageReport): void {
    const { images, log } = this.#options;
    const upsert = report.upsert.flatMap((text) => {
      try {
        return [decodeHeldImage(text)];
      } catch (error) {
        log.warn('an image is ignored', { node: session.node, error });
        return [];
      }
    });
    if (report.full) images.replace(session.node, upsert);
    else images.change(session.node, upsert, report.remove);
  }

  #decode(session: Session, text: string): PodStatus | null {
    try {
      return decodePodStatus(text);
    } catch (error) {
      this.#options.log.warn('a status is ignored', { node: session.node, error });
      return null;
    }
  }

  #onChanges(changes: readonly Change[]): void {
    for (const change of changes) {
      switch (change.kind) {
        case 'pods': {
          const before = this.#nodeOf.get(change.id);
          this.#index(change.id, change.entry?.value.node ?? null);
          const after = this.#nodeOf.get(change.id);
          if (before !== undefined) this.#dirty.add(before);
          if (after !== undefined) this.#dirty.add(after);
          break;
        }
        case 'nodes':
        case 'nodestatus':
          this.#peersDirty = true;
          break;
        case 'revisions':
        case 'secrets':
        case 'configs':
        case 'registries':
        case 'volumes':
        case 'servicestatus':
          for (const node of this.#sessions.keys()) this.#dirty.add(node);
          break;
        default:
          break;
      }
    }
    if (this.#scheduled || (this.#dirty.size === 0 && !this.#peersDirty)) return;
    this.#scheduled = true;
    // A burst of changes becomes one message per agent.
    setImmediate(() => this.#sendChanges());
  }

  #sendChanges(): void {
    const { world, epoch } = this.#options;
    const dirty = this.#dirty;
    const peers = this.#peersDirty;
    this.#dirty = new Set();
    this.#peersDirty = false;
    this.#scheduled = false;
    if (peers) for (const session of this.#sessions.values()) if (session.open) session.sendPeers(world.maps, false);
    for (const node of dirty) {
      const session = this.#sessions.get(node);
      if (session?.open) session.sendAssignments(world.maps, this.#podsOf.get(node) ?? emptySet, epoch());
    }
  }

  #index(pod: string, node: string | null): void {
    const before = this.#nodeOf.get(pod);
    if (before === (node ?? undefined)) return;
    if (before !== undefined) this.#podsOf.get(before)?.delete(pod);
    if (node === null) {
      this.#nodeOf.delete(pod);
      return;
    }
    this.#nodeOf.set(pod, node);
    const pods = this.#podsOf.get(node);
    if (pods) pods.add(pod);
    else this.#podsOf.set(node, new Set([pod]));
  }

  #endSilent(): void {
    const now = this.#options.clock.monotonic();
    for (const session of this.#sessions.values()) {
      if (now - session.heardAt > this.#options.silenceMs) this.#end(session, 'silent');
    }
  }

  #end(session: Session, why: string): void {
    if (this.#sessions.get(session.node) !== session) return;
    this.#sessions.delete(session.node);
    this.#options.images.drop(session.node);
    session.stream.end();
    this.#options.liveness.lost(session.node);
    this.#options.log.info('node disconnected', { node: session.node, why });
    this.#options.store.commit([{ op: 'delete', kind: 'sessions', id: session.node }]).catch(() => {
      // The key rides on this master's lease: it goes with the lease at the latest.
    });
    this.#options.onChange(session.node);
  }
}
