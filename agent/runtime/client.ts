/**
 * containerd's gRPC API over its unix socket. One connection carries all services; `call` takes a method definition of
 * the generated services, so request and reply types follow from it.
 */
import { type ClientDuplexStream, type ClientReadableStream, Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { type ErrorCode, TsorchError } from '../../model/errors.ts';
import type { Any } from '../../proto/gen/containerd/types.ts';
import { VersionService } from '../../proto/gen/containerd/version.ts';

export interface ContainerdClientOptions {
  readonly socket: string;
  /** containerd's own namespace, which keeps our containers and images apart from other users' of the same daemon. */
  readonly namespace?: string;
}

export interface CallOptions {
  /** Milliseconds; null for calls that may take for ever (waits, unpacking). */
  readonly deadlineMs?: number | null;
  /** Keeps what the call creates from the garbage collector. */
  readonly lease?: string;
  readonly signal?: AbortSignal;
}

interface Method<Q, R> {
  readonly path: string;
  readonly requestSerialize: (value: Q) => Buffer;
  readonly responseDeserialize: (value: Buffer) => R;
}

export const defaultNamespace = 'tsorch';
const defaultDeadlineMs = 30_000;
const channelOptions = {
  // Without it the first retry comes after a second, while containerd is up again in milliseconds.
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.min_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 1000,
  // A list carries every container's spec, about 10 KB each.
  'grpc.max_receive_message_length': 64 << 20,
  'grpc.max_send_message_length': 16 << 20,
  // No sharing with clients of the same socket, so that closing one leaves the others alone.
  'grpc.use_local_subchannel_pool': 1,
};

export class ContainerdClient {
  readonly socket: string;
  readonly namespace: string;
  readonly #client: Client;

  constructor(options: ContainerdClientOptions) {
    this.socket = options.socket;
    this.namespace = options.namespace ?? defaultNamespace;
    this.#client = new Client(`unix://${options.socket}`, credentials.createInsecure(), channelOptions);
  }

  /**
   * One request, one reply. While containerd restarts, calls wait for it until their deadline; a call already under way
   * fails with `unavailable`.
   */
  call<Q, R>(method: Method<Q, R>, request: Q, options: CallOptions = {}): Promise<R> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(aborted(method.path));
      const abort = () => call.cancel();
      const call = this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        this.#metadata(options),
        callOptions(options.deadlineMs),
        (error, reply) => {
          signal?.removeEventListener('abort', abort);
          if (error) reject(signal?.aborted ? aborted(method.path) : rpcError(method.path, error));
          else resolve(reply as R);
        },
      );
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  /** A stream of replies; the caller cancels it. No deadline unless given. */
  stream<Q, R>(method: Method<Q, R>, request: Q, options: CallOptions = {}): ClientReadableStream<R> {
    return this.#client.makeServerStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      this.#metadata(options),
      callOptions(options.deadlineMs ?? null),
    );
  }

  /** A stream both ways; the caller ends or cancels it. */
  duplex<Q, R>(method: Method<Q, R>, options: CallOptions = {}): ClientDuplexStream<Q, R> {
    return this.#client.makeBidiStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      this.#metadata(options),
      callOptions(options.deadlineMs ?? null),
    );
  }

  /** containerd's version; `timeout` or `unavailable` when it does not answer within `deadlineMs`. */
  async version(deadlineMs: number): Promise<string> {
    return (await this.call(VersionService.version, {}, { deadlineMs })).version;
  }

  close(): void {
    this.#client.close();
  }

  #metadata(options: CallOptions): Metadata {
    const metadata = new Metadata({ waitForReady: true });
    metadata.set('containerd-namespace', this.namespace);
    if (options.lease !== undefined) metadata.set('containerd-lease', options.lease);
    return metadata;
  }
}

function callOptions(deadlineMs: number | null | undefined): { deadline?: Date } {
  if (deadlineMs === null) return {};
  return { deadline: new Date(Date.now() + (deadlineMs ?? defaultDeadlineMs)) };
}

const codes: Partial<Record<status, ErrorCode>> = {
  [status.CANCELLED]: 'aborted',
  [status.INVALID_ARGUMENT]: 'invalid',
  [status.DEADLINE_EXCEEDED]: 'timeout',
  [status.NOT_FOUND]: 'not-found',
  [status.ALREADY_EXISTS]: 'conflict',
  [status.PERMISSION_DENIED]: 'forbidden',
  [status.RESOURCE_EXHAUSTED]: 'exhausted',
  [status.FAILED_PRECONDITION]: 'conflict',
  [status.UNIMPLEMENTED]: 'unsupported',
  [status.UNAVAILABLE]: 'unavailable',
};

/** A gRPC failure as our error; the original is its cause. Errors that are not gRPC's come back as `internal`. */
export function rpcError(path: string, error: unknown): TsorchError {
  if (error instanceof TsorchError) return error;
  const rpc = error as Partial<ServiceError>;
  const text = rpc.details ?? (error instanceof Error ? error.message : String(error));
  const code = rpc.code === undefined ? 'internal' : isLate(rpc.code, text) ? 'timeout' : (codes[rpc.code] ?? 'internal');
  return new TsorchError(code, `containerd ${path.slice(path.lastIndexOf('.') + 1)}: ${text}`, { cause: error });
}

/** containerd knows the deadline too, and may be the first to say that it is over: in words, as what it waited for told it. */
function isLate(code: status, text: string): boolean {
  return code === status.UNKNOWN && text.includes('context deadline exceeded');
}

/** The gRPC status behind an error of this client; undefined when it has another origin. */
export function statusOf(error: unknown): status | undefined {
  const cause = error instanceof TsorchError ? error.cause : error;
  return (cause as Partial<ServiceError> | undefined)?.code;
}

function aborted(path: string): TsorchError {
  return new TsorchError('aborted', `containerd ${path.slice(path.lastIndexOf('.') + 1)}: aborted`);
}

/** A JSON value of the OCI runtime spec as containerd passes it on. */
export function jsonAny(type: 'Spec' | 'Process' | 'LinuxResources', json: string): Any {
  return { typeUrl: `types.containerd.io/opencontainers/runtime-spec/1/${type}`, value: Buffer.from(json) };
}
