/**
 * The agent's side of its session with a master: dials until there is one, says who it is, obeys the highest epoch it has
 * seen, and tells what its pods do. What could not be told is told again to the next master.
 */
import { type ChannelCredentials, type ChannelOptions, Metadata } from '@grpc/grpc-js';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { Loop } from '../lib/loop.ts';
import { describeError, TsorchError } from '../model/errors.ts';
import type { NodeStatus } from '../model/node.ts';
import { isFinal, type PodStatus, type StaticPod } from '../model/pod.ts';
import { AgentsClient } from '../proto/agents.ts';
import type { Assignments, LocateReply, LocateRequest, MasterMessage, OpenStream, Peers, Welcome } from '../proto/gen/tsorch/node.ts';
import { Link } from './session-link.ts';
import { Pace } from './session-pace.ts';

export interface Master {
  /** `host:port`; of several the next is tried when one does not answer. */
  readonly address: string | readonly string[];
  /** A function is asked at each dial: certificates are renewed. */
  readonly credentials: ChannelCredentials | (() => ChannelCredentials);
  readonly options?: ChannelOptions;
}

export interface SessionOptions {
  readonly master: Master;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Between 0 and 1, for jitter. */
  readonly random: () => number;
  /** The highest epoch obeyed so far, kept on disk. */
  readonly epoch: { get(): number; raise(epoch: number): Promise<void> };
  nodeStatus(): NodeStatus;
  /** Of every pod there is. */
  pods(): readonly PodStatus[];
  /** What is told of a pod of the host's own manifests besides its status; undefined for pods of a master. */
  staticPod?(id: string): Omit<StaticPod, 'status'> | undefined;
  /** The host's images as JSON, see model/image.ts; null while they are not known. */
  images(): readonly string[] | null;
  onWelcome(welcome: Welcome): void;
  /** A master has answered what was sent at this monotonic time. `first`: of this session. */
  onContact(sentAt: number, first: boolean): void;
  onAssignments(assignments: Assignments): void;
  onPeers(peers: Peers): void;
  /** Other nodes have images by these names, for which this one has asked in vain. */
  onImagesFound(names: readonly string[]): void;
  onStream(request: OpenStream, client: AgentsClient): void;
  onLost(): void;
}

const backoff = { first: 50, most: 2000 };
/**
 * Statuses wait this long for others: most pods are running before anybody could read what they were on the way, and each word costs a
 * commit, and the work of every master and proxy, while the pod is being made. What a leader or a client waits for, pods that run, have
 * ended, are gone or have changed their readiness, waits for the shorter time since the last word only, unless it comes in a burst.
 */
const coalesceMs = { most: 100, urgent: 5 } as const;
const locateMs = 10_000;
/** Gone pods that are told of again to a new master. */
const keptGone = 1000;

export const channelOptions: ChannelOptions = {
  // A dead master is noticed in seconds, also while only data streams are open.
  'grpc.keepalive_time_ms': 2000,
  'grpc.keepalive_timeout_ms': 2000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.min_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 2000,
  // Assignments carry secrets and configs.
  'grpc.max_receive_message_length': 64 << 20,
  'grpc.max_send_message_length': 64 << 20,
  'grpc.use_local_subchannel_pool': 1,
};

export class Session {
  readonly #options: SessionOptions;
  readonly #statuses = new Map<string, PodStatus>();
  readonly #gone = new Set<string>();
  readonly #goneBefore = new Set<string>();
  readonly #outbox: Loop;
  readonly #pace = new Pace();
  readonly done: Promise<void>;
  #link: Link | undefined;
  /** The link whose master has said Welcome. */
  #open: Link | undefined;
  #client: AgentsClient | undefined;
  #dialled = 0;
  /** When the Hello was sent that opened, or is to open, the session. */
  #helloAt = 0;
  /** Pods whose last status said that they are ready. */
  readonly #ready = new Set<string>();
  /** Something to be told is urgent. */
  #urgent = false;
  /** When something was told last. */
  #toldAt = -Infinity;
  #hurry: AbortController | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    const { clock, log, signal } = options;
    this.#outbox = new Loop({ name: 'status report', clock, log, signal, run: () => this.#flush() });
    this.done = this.#run();
  }

  get connected(): boolean {
    return this.#open !== undefined;
  }

  report(status: PodStatus): void {
    this.#statuses.set(status.id, status);
    this.#gone.delete(status.id);
    this.#pace.moved(status, this.#options.clock.monotonic());
    if (status.phase === 'running' || isFinal(status.phase) || status.ready !== this.#ready.has(status.id)) this.#beQuick();
    if (status.ready) this.#ready.add(status.id);
    else this.#ready.delete(status.id);
    this.#outbox.mark();
  }

  /** The pod has left the host without a trace. */
  gone(podId: string): void {
    this.#statuses.delete(podId);
    this.#ready.delete(podId);
    this.#gone.add(podId);
    this.#pace.gone(podId);
    this.#beQuick();
    this.#outbox.mark();
  }

  /** What has changed about the host's images. A master that comes later is told everything. */
  reportImages(change: { readonly upsert: readonly string[]; readonly remove: readonly string[] }): void {
    void this.#open?.send({ $case: 'images', value: { upsert: [...change.upsert], remove: [...change.remove], full: false } });
  }

  /** Asks the master who has an image. `unavailable` without one. */
  locate(request: LocateRequest): Promise<LocateReply> {
    const client = this.#client;
    if (!client || !this.#open) return Promise.reject(new TsorchError('unavailable', 'there is no master to ask for images'));
    return new Promise((resolve, reject) => {
      client.locate(request, new Metadata(), { deadline: this.#options.clock.now() + locateMs }, (error, reply) => {
        if (error) reject(new TsorchError('unavailable', `the master does not say who has an image: ${error.details}`, { cause: error }));
        else resolve(reply);
      });
    });
  }

  /** Says Hello again: something about the node has changed. */
  async hello(): Promise<void> {
    if (this.#link) await this.#sendHello(this.#link);
  }

  async #run(): Promise<void> {
    const { signal, clock, log } = this.#options;
    let wait = backoff.first;
    while (!signal.aborted) {
      let welcomed = false;
      try {
        await this.#connect(() => {
          welcomed = true;
        });
      } catch (error) {
        if (signal.aborted) break;
        log[welcomed ? 'warn' : 'info']('no session with the master', { error: describeError(error), address: this.#address() });
        // One that broke off is dialled sooner than one that refuses.
        if (welcomed) wait = backoff.first;
      }
      if (welcomed) this.#options.onLost();
      this.#dialled++;
      await clock.sleep(wait * (0.5 + this.#options.random() / 2), signal).catch(() => {});
      wait = Math.min(wait * 2, backoff.most);
    }
  }

  async #connect(onOpen: () => void): Promise<void> {
    const { master, clock, signal } = this.#options;
    const credentials = typeof master.credentials === 'function' ? master.credentials() : master.credentials;
    const client = new AgentsClient(this.#address(), credentials, { ...channelOptions, ...master.options });
    const link: Link = new Link({ client, clock, signal, onMessage: (message) => this.#onMessage(link, client, message, onOpen) });
    this.#link = link;
    this.#client = client;
    try {
      const over = link.run();
      over.catch(() => {});
      this.#helloAt = clock.monotonic();
      await this.#sendHello(link);
      await over;
    } finally {
      this.#link = undefined;
      this.#open = undefined;
      this.#client = undefined;
      client.close();
    }
  }

  async #sendHello(link: Link): Promise<void> {
    await link.send({ $case: 'hello', value: { status: JSON.stringify(this.#options.nodeStatus()), epoch: this.#options.epoch.get() } });
  }

  async #onMessage(link: Link, client: AgentsClient, message: MasterMessage, onOpen: () => void): Promise<void> {
    const { kind } = message;
    switch (kind?.$case) {
      case 'welcome':
        await this.#obey(kind.value.epoch);
        link.welcomed(kind.value);
        this.#options.onWelcome(kind.value);
        if (this.#open !== link) {
          this.#options.log.info('session with the master', { address: this.#address(), epoch: kind.value.epoch, node: kind.value.nodeName });
          await this.#reportAll(link);
          this.#open = link;
          this.#options.onContact(this.#helloAt, true);
          onOpen();
          await this.#reportAllImages(link);
          this.#outbox.mark();
        }
        return;
      case 'assignments':
        await this.#obey(kind.value.epoch);
        return this.#options.onAssignments(kind.value);
      case 'peers':
        return this.#options.onPeers(kind.value);
      case 'imagesFound':
        return this.#options.onImagesFound(kind.value.names);
      case 'openStream':
        return this.#options.onStream(kind.value, client);
      case 'heartbeatAck': {
        const sentAt = link.answered(kind.value.sequence);
        if (sentAt !== undefined) this.#options.onContact(sentAt, false);
        return;
      }
      case undefined:
        return;
    }
  }

  /** A lower epoch is a deposed leader's word. */
  async #obey(epoch: number): Promise<void> {
    const highest = this.#options.epoch.get();
    if (epoch < highest) throw new TsorchError('fenced', `the master speaks for epoch ${epoch}, this agent has obeyed ${highest}`);
    if (epoch > highest) await this.#options.epoch.raise(epoch);
  }

  async #reportAll(link: Link): Promise<void> {
    const pods = this.#options.pods();
    const here = new Set(pods.map((status) => status.id));
    const gone = [...this.#goneBefore, ...this.#gone].filter((id) => !here.has(id));
    this.#statuses.clear();
    this.#keepGone();
    await link.send({ $case: 'status', value: { ...this.#encode(pods), full: true, gone } });
  }

  async #reportAllImages(link: Link): Promise<void> {
    const images = this.#options.images();
    if (images) await link.send({ $case: 'images', value: { upsert: [...images], remove: [], full: true } });
  }

  async #flush(): Promise<void> {
    if (!this.#open || this.#nothing) return;
    await this.#settle();
    const link = this.#open;
    // It may have ended meanwhile, or a new one may have been told everything.
    if (!link || this.#nothing) return;
    const told = this.#encode([...this.#statuses.values()]);
    const gone = [...this.#gone];
    this.#statuses.clear();
    this.#keepGone();
    // What a broken link swallows is in the full report to the next master.
    this.#urgent = false;
    this.#toldAt = this.#options.clock.monotonic();
    await link.send({ $case: 'status', value: { ...told, full: false, gone } });
  }

  get #nothing(): boolean {
    return this.#statuses.size === 0 && this.#gone.size === 0;
  }

  #encode(all: readonly PodStatus[]): { pods: string[]; statics: string[] } {
    const pods: string[] = [];
    const statics: string[] = [];
    for (const status of all) {
      const own = this.#options.staticPod?.(status.id);
      if (own) statics.push(JSON.stringify({ ...own, status } satisfies StaticPod));
      else pods.push(JSON.stringify(status));
    }
    return { pods, statics };
  }

  /** Until it is time to tell what there is. */
  async #settle(): Promise<void> {
    const { clock, signal } = this.#options;
    const early = this.#toldAt + coalesceMs.urgent - clock.monotonic();
    if (early > 0) await clock.sleep(early, signal).catch(() => {});
    if (this.#urgent && !this.#pace.burst(clock.monotonic())) return;
    this.#hurry = new AbortController();
    await clock.sleep(coalesceMs.most, AbortSignal.any([signal, this.#hurry.signal])).catch(() => {});
    this.#hurry = undefined;
  }

  #beQuick(): void {
    this.#urgent = true;
    if (!this.#pace.burst(this.#options.clock.monotonic())) this.#hurry?.abort('hurry');
  }

  #keepGone(): void {
    for (const id of this.#gone) this.#goneBefore.add(id);
    this.#gone.clear();
    for (const id of this.#goneBefore) {
      if (this.#goneBefore.size <= keptGone) break;
      this.#goneBefore.delete(id);
    }
  }

  #address(): string {
    const addresses = [this.#options.master.address].flat();
    const address = addresses[this.#dialled % addresses.length];
    if (address === undefined) throw new TsorchError('invalid', 'no master address was given');
    return address;
  }
}

