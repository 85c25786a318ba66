/**
 * Data streams to agents (logs, exec, images). Agents listen nowhere: a master asks over the session, the agent dials back
 * with the stream's id.
 */
import { randomBytes } from 'node:crypto';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { TsorchError } from '../../model/errors.ts';
import type { DataFrame } from '../../proto/gen/tsorch/node.ts';

export type DataStream = ServerDuplexStream<DataFrame, DataFrame>;

interface Waiting {
  readonly node: string;
  readonly resolve: (stream: DataStream) => void;
}

export class Streams {
  readonly #waiting = new Map<string, Waiting>();
  readonly #timeoutMs: number;

  constructor(timeoutMs = 10_000) {
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Opens a stream of `kind` on a node. `send` hands the request to the node's session and says whether there is one.
   * `unavailable` when there is none, `timeout` when the agent does not dial back.
   */
  async open({ node, name = node }: { readonly node: string; readonly name?: string }, kind: string, params: unknown, send: (request: { id: string; kind: string; params: string }) => boolean): Promise<DataStream> {
    const id = randomBytes(16).toString('hex');
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<DataStream>((resolve, reject) => {
        this.#waiting.set(id, { node, resolve });
        timer = setTimeout(() => reject(new TsorchError('timeout', `node ${name} did not open the ${kind} stream`)), this.#timeoutMs);
        if (!send({ id, kind, params: JSON.stringify(params) })) {
          reject(new TsorchError('unavailable', `node ${name} is not connected`, { hint: 'see tsorch nodes' }));
        }
      });
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  /** A `Data` call arrived: its first frame says which request it answers. Only the node that was asked may answer. */
  accept(node: string, stream: DataStream): void {
    stream.on('error', () => {});
    stream.once('data', (first: DataFrame) => {
      const waiting = first.kind?.$case === 'id' ? this.#waiting.get(first.kind.value) : undefined;
      if (!waiting || waiting.node !== node) {
        stream.end();
        return;
      }
      stream.pause();
      waiting.resolve(stream);
    });
  }
}
