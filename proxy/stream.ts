/** The table as masters send it: a stream of updates, and acknowledgements back. */
import { Metadata } from '@grpc/grpc-js';
import type { ChannelCredentials, ClientOptions } from '@grpc/grpc-js';
import { TsorchError } from '../model/errors.ts';
import type { ServiceTable, TableUpdate } from '../model/table.ts';
import { TablesClient } from '../proto/gen/tsorch/node.ts';
import type { TableChange } from '../proto/gen/tsorch/node.ts';

export interface TableStream {
  /** Ends, or throws, when the connection does. `known` is asked for the table so far, to keep what has not changed. */
  updates(known: () => ServiceTable): AsyncIterable<TableUpdate>;
  /** Says that the kernel has this revision. */
  acknowledge(revision: number): void;
  close(): void;
}

/** Opens one stream; called again after each that ended. */
export type ConnectTables = () => TableStream;

export interface GrpcTablesOptions {
  /** `host:port` of a master. */
  readonly address: string;
  readonly credentials: ChannelCredentials;
  /** For the channel, such as `grpc.ssl_target_name_override`. */
  readonly channel?: ClientOptions;
}

const channelOptions: ClientOptions = {
  // A whole table of a large cluster is larger than gRPC's default of 4 MB.
  'grpc.max_receive_message_length': -1,
  // A master that vanished without a word is noticed by this.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5000,
  // Waiting is done by whoever connects: each stream has its own channel that fails at once.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_retries': 0,
};

/** A watch on a master. Read `updates` at once: nobody else hears of a failure. */
export function grpcTables({ address, credentials, channel }: GrpcTablesOptions): TableStream {
  const client = new TablesClient(address, credentials, { ...channelOptions, ...channel });
  const call = client.watch(new Metadata({ waitForReady: false }));
  const close = () => {
    call.cancel();
    client.close();
  };
  let over = false;
  // The iteration tells of errors; without a listener one that comes between two reads would end the process.
  call.on('error', () => { over = true; });
  call.on('end', () => { over = true; });
  return {
    async *updates(known) {
      call.write({ revision: 0 });
      try {
        for await (const change of call) yield decodeChange(change as TableChange, known());
      } catch (error) {
        throw new TsorchError('unavailable', `table stream from ${address}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
      } finally {
        over = true;
        close();
      }
    },
    acknowledge(revision) {
      if (!over) call.write({ revision });
    },
    close,
  };
}

/** Entries that are letter by letter as known keep their identity, so that what did not change costs nothing downstream. */
export function decodeChange(change: TableChange, known: ServiceTable): TableUpdate {
  return {
    revision: change.revision,
    full: change.full,
    services: decodePart(change.services, known.services),
    pods: decodePart(change.pods, known.pods),
    nodes: decodePart(change.nodes, known.nodes),
    networks: decodePart(change.networks, known.networks),
  };
}

function decodePart<T>(part: Readonly<Record<string, string>>, known: ReadonlyMap<string, T>): Readonly<Record<string, T | null>> {
  const decoded: Record<string, T | null> = Object.create(null) as Record<string, T | null>;
  for (const [key, text] of Object.entries(part)) {
    const old = known.get(key);
    if (text === '') decoded[key] = null;
    else decoded[key] = old !== undefined && JSON.stringify(old) === text ? old : (JSON.parse(text) as T);
  }
  return decoded;
}
