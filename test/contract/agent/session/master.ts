/** A master of few words on a real gRPC server: records what agents say, says what the test wants. */
import { once } from 'node:events';
import { type sendUnaryData, Server, ServerCredentials, type ServerDuplexStream, type ServerUnaryCall } from '@grpc/grpc-js';
import type { NodeStatus } from '../../../../model/node.ts';
import type { PodStatus } from '../../../../model/pod.ts';
import { type AgentMessage, AgentsService, type DataFrame, type ImageReport, type LocateReply, type LocateRequest, type MasterMessage, type StatusReport } from '../../../../proto/gen/tsorch/node.ts';

export type Data = ServerDuplexStream<DataFrame, DataFrame>;

export class TestMaster {
  readonly #server: Server;
  readonly port: number;
  epoch = 1;
  heartbeatMs = 100;
  /** Answers heartbeats. */
  acks = true;
  stream: ServerDuplexStream<AgentMessage, MasterMessage> | undefined;
  hellos: { status: NodeStatus; epoch: number }[] = [];
  reports: StatusReport[] = [];
  images: ImageReport[] = [];
  heartbeats = 0;
  sessions = 0;
  statuses = new Map<string, PodStatus>();
  #data = new Map<string, (stream: Data) => void>();
  #nextStream = 1;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  static async start(port = 0): Promise<TestMaster> {
    const server = new Server();
    const holder: { master?: TestMaster } = {};
    server.addService(AgentsService, {
      session: (stream: ServerDuplexStream<AgentMessage, MasterMessage>) => holder.master?.serve(stream),
      data: (stream: Data) => holder.master?.accept(stream),
      locate: ({ request }: ServerUnaryCall<LocateRequest, LocateReply>, reply: sendUnaryData<LocateReply>) => reply(null, { image: '', blobs: request.digests.map(() => ({ holders: [], seekers: [], first: true })) }),
    });
    const bound = await new Promise<number>((resolve, reject) => {
      server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, at) => (error ? reject(error) : resolve(at)));
    });
    holder.master = new TestMaster(server, bound);
    return holder.master;
  }

  /** Gone from one moment to the next. */
  kill(): void {
    this.#server.forceShutdown();
  }

  serve(stream: ServerDuplexStream<AgentMessage, MasterMessage>): void {
    this.sessions++;
    this.stream = stream;
    stream.on('error', () => {});
    stream.on('data', ({ kind }: AgentMessage) => {
      switch (kind?.$case) {
        case 'hello':
          this.hellos.push({ status: JSON.parse(kind.value.status) as NodeStatus, epoch: kind.value.epoch });
          this.send({
            $case: 'welcome',
            value: { epoch: this.epoch, nodeName: 'host-1', subnet: '10.32.1.0/24', podCidr: '10.32.0.0/12', heartbeatMs: this.heartbeatMs, underlay: 'auto', serviceCidr: '10.48.0.0/16' },
          });
          return;
        case 'heartbeat':
          this.heartbeats++;
          if (this.acks) this.send({ $case: 'heartbeatAck', value: { sequence: kind.value.sequence } });
          return;
        case 'images':
          this.images.push(kind.value);
          return;
        case 'status':
          this.reports.push(kind.value);
          for (const text of kind.value.pods) {
            const status = JSON.parse(text) as PodStatus;
            this.statuses.set(status.id, status);
          }
          for (const id of kind.value.gone) this.statuses.delete(id);
          return;
        case undefined:
      }
    });
    stream.on('end', () => stream.end());
  }

  send(kind: MasterMessage['kind']): void {
    this.stream?.write({ kind });
  }

  assign(upsert: readonly unknown[], options: { readonly remove?: readonly string[]; readonly full?: boolean; readonly epoch?: number } = {}): void {
    const value = { epoch: options.epoch ?? this.epoch, upsert: upsert.map((a) => JSON.stringify(a)), remove: [...(options.remove ?? [])], full: options.full ?? true };
    this.send({ $case: 'assignments', value });
  }

  /** Asks for a data stream and resolves when the agent has dialled back. */
  async open(kind: string, params: unknown): Promise<Data> {
    const id = `s${this.#nextStream++}`;
    const dialled = new Promise<Data>((resolve) => this.#data.set(id, resolve));
    this.send({ $case: 'openStream', value: { id, kind, params: JSON.stringify(params) } });
    return await dialled;
  }

  accept(stream: Data): void {
    stream.on('error', () => {});
    void once(stream, 'data').then(([first]) => {
      stream.pause();
      const { kind } = first as DataFrame;
      if (kind?.$case === 'id') this.#data.get(kind.value)?.(stream);
    }, () => {});
  }
}

/** All frames to the end, which is `done` or `error`. */
export async function collect(stream: Data): Promise<NonNullable<DataFrame['kind']>[]> {
  const frames: NonNullable<DataFrame['kind']>[] = [];
  for await (const { kind } of stream as AsyncIterable<DataFrame>) {
    if (!kind) continue;
    frames.push(kind);
    if (kind.$case === 'done' || kind.$case === 'error') break;
  }
  stream.end();
  return frames;
}
