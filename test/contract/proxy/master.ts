/** A master that only serves tables, over a socket in the file system: that reaches into every network namespace. */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { emptyTable } from '../../../model/table.ts';
import type { ServiceTable } from '../../../model/table.ts';
import { TablesService } from '../../../proto/gen/tsorch/node.ts';
import type { TableAck, TableChange } from '../../../proto/gen/tsorch/node.ts';

type Watch = ServerDuplexStream<TableAck, TableChange>;

export class TestMaster implements AsyncDisposable {
  readonly address: string;
  #server: Server | undefined;
  readonly #watches = new Set<Watch>();
  #table: ServiceTable = emptyTable;
  #revision = 0;
  #acknowledged = 0;
  readonly #waiting: { readonly revision: number; readonly resolve: () => void }[] = [];
  /** How many streams were opened. */
  opened = 0;

  constructor(path: string) {
    this.address = `unix:${path}`;
  }

  async start(): Promise<void> {
    const server = new Server({ 'grpc.max_receive_message_length': -1 });
    server.addService(TablesService, {
      watch: (watch: Watch) => {
        this.opened++;
        this.#watches.add(watch);
        const gone = () => this.#watches.delete(watch);
        watch.on('data', ({ revision }: TableAck) => {
          this.#acknowledged = Math.max(this.#acknowledged, revision);
          for (const waiting of this.#waiting) if (waiting.revision <= revision) waiting.resolve();
        });
        watch.on('end', () => {
          gone();
          watch.end();
        });
        watch.on('error', gone);
        watch.on('cancelled', gone);
        if (this.#revision > 0) watch.write(encode(emptyTable, this.#table, this.#revision, true));
      },
    });
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(this.address, ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve()));
    });
    this.#server = server;
  }

  /** Ends every stream and answers no more. */
  stop(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
    this.#watches.clear();
  }

  /** Sends what differs and resolves when it was acknowledged. */
  async publish(table: ServiceTable): Promise<number> {
    const change = encode(this.#table, table, ++this.#revision, false);
    const first = this.#revision === 1;
    this.#table = table;
    for (const watch of this.#watches) watch.write(first ? encode(emptyTable, table, this.#revision, true) : change);
    return this.acknowledged(this.#revision);
  }

  acknowledged(revision = this.#revision): Promise<number> {
    if (this.#acknowledged >= revision) return Promise.resolve(revision);
    return new Promise((resolve) => { this.#waiting.push({ revision, resolve: () => resolve(revision) }); });
  }

  /** Forgets what was acknowledged, to wait for a proxy that starts anew. */
  forget(): void {
    this.#acknowledged = 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
  }
}

function encode(before: ServiceTable, after: ServiceTable, revision: number, full: boolean): TableChange {
  const part = (from: ReadonlyMap<string, unknown>, to: ReadonlyMap<string, unknown>): Record<string, string> => {
    const changes: Record<string, string> = {};
    for (const [key, value] of to) if (full || from.get(key) !== value) changes[key] = JSON.stringify(value);
    for (const key of from.keys()) if (!to.has(key)) changes[key] = '';
    return changes;
  };
  return {
    revision, full,
    services: part(before.services, after.services), pods: part(before.pods, after.pods),
    nodes: part(before.nodes, after.nodes), networks: part(before.networks, after.networks),
  };
}
