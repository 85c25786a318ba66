/** A host that only talks: the agent's session and the proxy's table stream over mutual TLS. It runs pods by saying so. */
import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import { channelCredentials } from '../../../../lib/pki/channel.ts';
import type { Credentials } from '../../../../lib/pki/credentials.ts';
import type { Assignment } from '../../../../model/assignment.ts';
import type { NodeStatus } from '../../../../model/node.ts';
import type { PodStatus } from '../../../../model/pod.ts';
import { AgentsClient, TablesClient, type AgentMessage, type DataFrame, type MasterMessage, type OpenStream, type Peer, type TableAck, type TableChange, type Welcome } from '../../../../proto/gen/tsorch/node.ts';

export interface HostOptions {
  readonly id: string;
  readonly port: number;
  readonly credentials: Credentials;
  readonly address?: string;
  /** Reports what it is assigned as running at once. */
  readonly obedient?: boolean;
  readonly capacity?: { readonly cpus: number; readonly memory: number };
  readonly heartbeatMs?: number;
}

export class SessionHost {
  readonly id: string;
  readonly assigned = new Map<string, Assignment>();
  readonly peers = new Map<string, Peer>();
  readonly statuses = new Map<string, PodStatus>();
  /** Messages in the order they came. */
  readonly heard: NonNullable<MasterMessage['kind']>[] = [];
  readonly requests: OpenStream[] = [];
  /** Names of images that another node has meanwhile. */
  readonly found: string[] = [];
  welcome: Welcome | undefined;
  /** Set when the session is over: what the master said, or null for a plain end. */
  ended: ServiceError | null | undefined;
  readonly client: AgentsClient;
  readonly call: ClientDuplexStream<AgentMessage, MasterMessage>;
  readonly #options: HostOptions;
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(options: HostOptions) {
    this.id = options.id;
    this.#options = options;
    this.client = new AgentsClient(`127.0.0.1:${options.port}`, channelCredentials(options.credentials), { 'grpc.use_local_subchannel_pool': 1 });
    this.call = this.client.session();
    this.call.on('data', ({ kind }: MasterMessage) => {
      if (!kind) return;
      this.heard.push(kind);
      this.#on(kind);
    });
    this.call.on('error', (error: ServiceError) => {
      this.ended = error;
    });
    this.call.on('end', () => {
      this.ended ??= null;
    });
    if (options.heartbeatMs !== undefined) {
      let sequence = 0;
      this.#timer = setInterval(() => this.send({ $case: 'heartbeat', value: { sequence: ++sequence } }), options.heartbeatMs);
    }
  }

  hello(changes: Partial<NodeStatus> = {}): this {
    const { id, address = '192.0.2.1', capacity = { cpus: 4, memory: 8e9 } } = this.#options;
    const status: NodeStatus = { id, address, capacity, os: 'linux', arch: 'x86_64', engineLabels: {}, vtepMac: '02:00:00:00:00:01', version: '0', bootId: 'b', ...changes };
    this.send({ $case: 'hello', value: { status: JSON.stringify(status), epoch: 0 } });
    return this;
  }

  send(kind: AgentMessage['kind']): void {
    if (this.ended === undefined) this.call.write({ kind });
  }

  report(changes: Partial<PodStatus> & { readonly id: string }): void {
    const status: PodStatus = { node: this.id, phase: 'running', ready: true, message: '', restarts: 0, since: 1, containers: [], ...changes };
    this.statuses.set(status.id, status);
    this.send({ $case: 'status', value: { pods: [JSON.stringify(status)], full: false, gone: [], statics: [] } });
  }

  gone(id: string): void {
    this.statuses.delete(id);
    this.send({ $case: 'status', value: { pods: [], full: false, gone: [id], statics: [] } });
  }

  /** Answers a request for a data stream. */
  dial(id: string): ClientDuplexStream<DataFrame, DataFrame> {
    const call = this.client.data();
    call.on('error', () => {});
    call.write({ kind: { $case: 'id', value: id } });
    return call;
  }

  close(): void {
    clearInterval(this.#timer);
    this.call.cancel();
    this.client.close();
  }

  #on(kind: NonNullable<MasterMessage['kind']>): void {
    switch (kind.$case) {
      case 'welcome':
        this.welcome = kind.value;
        return;
      case 'assignments': {
        const { upsert, remove, full } = kind.value;
        const own = upsert.map((text) => JSON.parse(text) as Assignment);
        const dropped = full ? [...this.assigned.keys()].filter((id) => !own.some(({ pod }) => pod.id === id)) : remove;
        for (const id of dropped) {
          this.assigned.delete(id);
          if (this.#options.obedient === true) this.gone(id);
        }
        for (const assignment of own) {
          this.assigned.set(assignment.pod.id, assignment);
          if (this.#options.obedient === true) this.#obey(assignment);
        }
        return;
      }
      case 'peers':
        if (kind.value.full) this.peers.clear();
        for (const peer of kind.value.upsert) this.peers.set(peer.id, peer);
        for (const id of kind.value.remove) this.peers.delete(id);
        return;
      case 'imagesFound':
        this.found.push(...kind.value.names);
        return;
      case 'openStream':
        this.requests.push(kind.value);
        return;
      case 'heartbeatAck':
    }
  }

  #obey({ pod }: Assignment): void {
    if (pod.desired === 'stopped') this.gone(pod.id);
    else if (this.statuses.get(pod.id)?.phase !== 'running') this.report({ id: pod.id });
  }
}

/** A proxy's stream: what came, acknowledged when told to. */
export class TableHost {
  readonly changes: TableChange[] = [];
  ended: ServiceError | null | undefined;
  readonly client: TablesClient;
  readonly call: ClientDuplexStream<TableAck, TableChange>;

  constructor(options: Pick<HostOptions, 'port' | 'credentials'> & { readonly acknowledge?: boolean }) {
    this.client = new TablesClient(`127.0.0.1:${options.port}`, channelCredentials(options.credentials), { 'grpc.use_local_subchannel_pool': 1, 'grpc.max_receive_message_length': -1 });
    this.call = this.client.watch();
    this.call.on('data', (change: TableChange) => {
      this.changes.push(change);
      if (options.acknowledge !== false) this.acknowledge(change.revision);
    });
    this.call.on('error', (error: ServiceError) => {
      this.ended = error;
    });
    this.call.on('end', () => {
      this.ended ??= null;
    });
    this.acknowledge(0);
  }

  acknowledge(revision: number): void {
    if (this.ended === undefined) this.call.write({ revision });
  }

  close(): void {
    this.call.cancel();
    this.client.close();
  }
}
