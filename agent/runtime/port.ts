/**
 * What an agent needs of a container runtime. `containerd.ts` is the real one, `fake.ts` the one for tests and hollow
 * nodes; both pass test/contract/runtime.
 *
 * Every call is idempotent: an agent that died in the middle calls again and gets the same result.
 */
import type { RegistryCredentials } from '../../lib/oci/credentials.ts';
import type { BlobState } from '../../model/api.ts';
import type { BlobDescriptor, HeldImage } from '../../model/image.ts';
import type { BlobSource } from '../images/source.ts';
import type { ContainerSpec } from '../../model/spec.ts';
import type { CgroupUsage } from '../stats/parse.ts';

export interface Runtime {
  /** Every container of ours, with its state: what an agent adopts after its own or the runtime's restart. */
  list(): Promise<readonly RuntimeContainer[]>;
  /** Prepares a container and its process, not yet started. `invalid` when the image or command cannot run. */
  create(request: CreateRequest): Promise<RuntimeContainer>;
  start(id: string): Promise<void>;
  /** `not-found` is success: it is gone. */
  kill(id: string, signal: number): Promise<void>;
  /** Removes a stopped (or never started) container and its writable layer; kills it first when it runs. */
  remove(id: string): Promise<void>;
  /** Ends when the container has exited, also when it had before the call. */
  wait(id: string, signal: AbortSignal): Promise<ExitStatus>;
  /** Runs a process in a running container. `invalid` when it cannot be run there: no such program, or not for this user. */
  exec(id: string, request: ExecRequest): Promise<ExecProcess>;
  /** Where a running container reads its standard input, which may have several writers and never ends; null when it has none. */
  input(id: string): Promise<NodeJS.WritableStream | null>;
  /** The size of a running container's terminal. */
  resize(id: string, width: number, height: number): Promise<void>;
  /** Calls back at every exit and OOM kill until the signal fires; re-subscribes by itself and then calls `resync`. */
  watch(handlers: { exit(id: string, status: ExitStatus): void; oom(id: string): void; resync(): void }, signal: AbortSignal): void;
  /** Live change of limits: what is absent is not limited any more. Returns what could not be had as asked for. */
  update(id: string, limits: ContainerSpec['limits'], blkio?: ContainerSpec['blkio']): Promise<readonly string[]>;
  /** What a running container has used so far; null when it is gone. */
  usage(id: string): Promise<CgroupUsage | null>;
  /**
   * Path of the pin of the pod's user namespace, for pods with a container that has `userns: private`: made when it is not there.
   * The pod's network namespace must belong to it. `unsupported` when this host cannot.
   */
  users(podId: string): Promise<string>;
  /** The pod's containers are gone for good: frees what they had together. Succeeds when there is nothing. */
  release(podId: string): Promise<void>;
}

export interface CreateRequest {
  /** Unique for ever: `<pod>.<container>.<attempt>`. */
  readonly id: string;
  readonly podId: string;
  /** Kept with the container, and returned by `list`. */
  readonly labels: Readonly<Record<string, string>>;
  readonly image: ImageHandle;
  readonly spec: ContainerSpec;
  readonly hostname: string;
  readonly domainname?: string;
  /** Path of the pod's network namespace; null for the host's. */
  readonly netns: string | null;
  /** Mounts that volumes, secrets and network files need, sources resolved to host paths. */
  readonly mounts: readonly ResolvedMount[];
  /** For `kind: image` mounts of the spec. Absent: none. */
  readonly imageMounts?: readonly ImageMount[];
  /** Ids of the pod's containers by name, for `pid: container:NAME` and `ipc: container:NAME`. Absent: none. */
  readonly peers?: Readonly<Record<string, string>>;
  /** Other containers of the pod join its IPC namespace and /dev/shm, as if it said `ipc: shareable`. */
  readonly sharesIpc?: boolean;
  /** Environment besides the spec's and the image's. */
  readonly env: Readonly<Record<string, string>>;
  readonly sysctls: Readonly<Record<string, string>>;
  /** Existing files the runtime appends raw output to. With a TTY all goes to stdout. */
  readonly stdout: string;
  readonly stderr: string;
}

export interface ResolvedMount {
  readonly source: string;
  readonly target: string;
  readonly type: 'bind' | 'tmpfs';
  readonly options: readonly string[];
}

/** The content of an image, read-only, at a place in the container. */
export interface ImageMount {
  readonly image: ImageHandle;
  readonly target: string;
  /** A file or directory in the image; all of it when absent. */
  readonly subpath?: string;
}

/** An image unpacked on this host. */
export interface ImageHandle {
  readonly reference: string;
  readonly digest: string;
  readonly chainId: string;
  readonly config: ImageConfig;
}

/** The part of the OCI image configuration that matters at run time. */
export interface ImageConfig {
  readonly architecture: string;
  readonly os: string;
  /** Of the architecture: `v7`. */
  readonly variant?: string;
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly env: readonly string[];
  readonly workingDir: string;
  readonly user: string;
  readonly exposedPorts: readonly string[];
  readonly volumes: readonly string[];
  readonly stopSignal?: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Docker's extension: test as in Dockerfiles (`NONE`, `CMD …`, `CMD-SHELL …`), durations in nanoseconds. */
  readonly healthcheck?: {
    readonly test: readonly string[];
    readonly interval?: number;
    readonly timeout?: number;
    readonly startPeriod?: number;
    readonly startInterval?: number;
    readonly retries?: number;
  };
}

export interface RuntimeContainer {
  readonly id: string;
  readonly podId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly state: 'created' | 'running' | 'stopped' | 'unknown';
  readonly pid: number;
  readonly exit?: ExitStatus;
  /** From `create` only: what the host could not give as asked for, such as a clamped ulimit. */
  readonly warnings?: readonly string[];
}

export interface ExitStatus {
  /** 128 + signal when a signal ended it. */
  readonly code: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

export interface ExecRequest {
  readonly argv: readonly string[];
  /** Besides the container's own; null unsets. */
  readonly env: Readonly<Record<string, string | null>>;
  readonly user?: string;
  readonly workingDir?: string;
  /** With every capability that this host can give; in effect at once for user 0 alone. */
  readonly privileged?: boolean;
  readonly tty: boolean;
  readonly stdin: boolean;
  /** Nobody will read from it: its output goes nowhere, and it outlives this agent. */
  readonly detached?: boolean;
}

export interface ExecProcess {
  readonly stdin: NodeJS.WritableStream | null;
  readonly stdout: NodeJS.ReadableStream;
  /** null with a TTY. */
  readonly stderr: NodeJS.ReadableStream | null;
  resize(width: number, height: number): Promise<void>;
  /** To the process and all that it started in its session. */
  kill(signal: number): Promise<void>;
  /** Nobody reads from it any more, and it shall go on: its output is taken and forgotten, also by the next agent. */
  release(): Promise<void>;
  /** After exit; the streams have ended by then. */
  readonly exit: Promise<ExitStatus>;
}

export interface PullOptions {
  /** For the image's registry; null is anonymous. */
  readonly credentials: RegistryCredentials | null;
  /** What the tag means is to be asked of its registry, whatever other nodes know by it. */
  readonly fresh?: boolean;
  readonly signal: AbortSignal;
  readonly progress?: (progress: PullProgress) => void;
}

export type PullProgress =
  | { readonly kind: 'downloading'; readonly bytes: number; readonly total: number }
  | { readonly kind: 'unpacking'; readonly layers: number; readonly total: number };

export interface ImageRecord {
  readonly references: readonly string[];
  readonly digest: string;
  /** Bytes, packed. */
  readonly size: number;
  /** How it came here last; absent when that was before anybody took note. */
  readonly from?: 'archive' | 'registry';
  /** When that was, milliseconds since the epoch. */
  readonly since?: number;
}

/** What a push brings to a host by itself; everything else of it comes from other hosts, or is here. */
export interface PushedImage {
  readonly references: readonly string[];
  readonly target: BlobDescriptor;
  /** Manifest and configuration; on all hosts but the first they come from there. */
  readonly documents: readonly { readonly digest: string; readonly text: string }[];
}

export interface CommitOptions {
  /** When the names were given. */
  readonly since: number;
  /** Where what is not here comes from; null: from nowhere. */
  readonly source: BlobSource | null;
  readonly signal: AbortSignal;
  readonly progress?: (progress: PullProgress) => void;
}

/** Images that people push, blob by blob. What has come for a push stays for a day, so that it can be gone on with. */
export interface Pushes {
  state(push: string, blobs: readonly Pick<BlobDescriptor, 'digest' | 'size'>[]): Promise<readonly BlobState[]>;
  /** `data` begins at `offset`. `conflict` when less than that is here, `invalid` when the digest is another: then it begins anew. */
  receive(push: string, blob: Pick<BlobDescriptor, 'digest' | 'size'>, offset: number, data: AsyncIterable<Uint8Array>): Promise<BlobState>;
  /** Completes the images, unpacks them and gives them their names. */
  commit(push: string, images: readonly PushedImage[], options: CommitOptions): Promise<void>;
}

/** Images on this host. */
export interface Images {
  /** The image, unpacked; `not-found` when it is not here. */
  get(reference: string): Promise<ImageHandle>;
  list(): Promise<readonly ImageRecord[]>;
  /** Brings the image here, unpacked; also when it is here, since a tag may have moved. Errors as the registry gave them. */
  pull(reference: string, options: PullOptions): Promise<ImageHandle>;
  /** Loads a docker-save or OCI-layout tar; returns the references it held. Layers already here are not written again. */
  load(archive: AsyncIterable<Uint8Array>, progress?: (message: string) => void): Promise<readonly string[]>;
  remove(reference: string): Promise<void>;
  readonly pushes: Pushes;
  /** All of them, as masters and other nodes are told. */
  held(): Promise<readonly HeldImage[]>;
  /** Calls back whenever `held` may have changed, until the signal fires. */
  watch(changed: () => void, signal: AbortSignal): void;
  /**
   * Copies what the image has at the absolute path into the empty directory `target`, with owners, modes, times and extended
   * attributes; `target` itself takes those of the image's directory. False, and nothing done, when the image has no
   * directory there. Links in the path are followed inside the image only. With `user` (`user[:group]`), a `target` that is empty
   * and root's afterwards is given to that user: who cannot write to a fresh volume has no use for it.
   */
  copyUp?(image: ImageHandle, path: string, target: string, user?: string): Promise<boolean>;
}
