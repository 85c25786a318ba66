/**
 * The HTTP API under `/v1`: the types that master and clients share. HTTPS with a client certificate, JSON bodies. Errors have
 * the status that follows from the code and the body `ApiErrorBody`. Lists are arrays; fields may be added, never renamed.
 *
 * | method and path | body → answer |
 * |---|---|
 * | GET /v1/version | → VersionInfo |
 * | GET /v1/openapi.json | → the OpenAPI document |
 * | GET /v1/stacks | → StackListItem[] |
 * | PUT /v1/stacks/:name?resolve=always\|changed\|never | ApplyRequest → ApplyResult |
 * | POST /v1/stacks/:name/plan?resolve= | ApplyRequest → PlanResult (nothing is written) |
 * | DELETE /v1/stacks/:name?volumes=true | → RemoveResult |
 * | GET /v1/services?stack= | → ServiceListItem[] |
 * | GET /v1/services/:id | → ServiceDetail |
 * | POST /v1/services/:id/scale | { replicas } → ServiceListItem |
 * | POST /v1/services/:id/rollback, /restart | → ServiceListItem |
 * | GET /v1/pods?stack=&service=&node=&all= | → PodListItem[] |
 * | GET /v1/pods/:id | → PodDetail |
 * | GET /v1/nodes, /v1/nodes/:idOrName | → NodeListItem[] or NodeListItem |
 * | PATCH /v1/nodes/:idOrName | { labels?: Record<string, string \| null>, availability? } → NodeListItem |
 * | DELETE /v1/nodes/:idOrName?force= | → {} |
 * | GET /v1/volumes?size= | → VolumeListItem[] |
 * | GET /v1/volumes/:name | → VolumeDetail |
 * | POST /v1/volumes | VolumeCreateRequest → VolumeListItem |
 * | DELETE /v1/volumes/:name?force= | → {} |
 * | POST /v1/volumes/prune | VolumePruneRequest → VolumePruneResult |
 * | POST /v1/volumes/move | VolumeMoveRequest → streamed ndjson: VolumeMoveEvent |
 * | GET /v1/networks | → NetworkListItem[] |
 * | GET /v1/secrets, /v1/configs | → FileObjectListItem[] |
 * | DELETE /v1/secrets/:name, /v1/configs/:name | → {}; `conflict` while anything needs it |
 * | POST /v1/tokens | { role, ttlMs? } → { token } ; GET, DELETE /v1/tokens/:id |
 * | POST /v1/renew | RenewRequest → RenewReply; for nodes alone |
 * | GET /v1/events?follow=true | → EventItem[], or server-sent events of them |
 * | GET /v1/watch | → server-sent events: `{ kind: 'stack'\|'service'\|'pod'\|'node', type: 'put'\|'delete', id, value? }`; starts with everything, then `{ kind: 'synced' }` |
 * | GET /v1/logs?target=&container=&stream=&previous=&follow=&tail=&since=&until= | → one JSON LogLine per line, streamed (application/x-ndjson); bytes as they were for who accepts `application/vnd.tsorch.log-chunks` (model/log-chunk.ts); `target` may be repeated |
 * | POST /v1/logs | LogsRequest → the same, from where a reader was cut off |
 * | GET /v1/stats?target=&stack=&service=&node= | → Stats (model/stats.ts); with `follow=true&every=<ms>` server-sent events of it |
 * | GET /v1/exec, /v1/attach, /v1/port-forward (WebSocket) | query: ExecQuery, AttachQuery, PortForwardQuery as JSON in `q`; then frames, see execChannel |
 * | GET /v1/archive/stat?target=&container=&path=&follow= | → FileStat |
 * | GET /v1/archive?target=&container=&path=&follow=&as= | → a tar stream, whole unless the trailer `x-tsorch-error` says otherwise |
 * | PUT /v1/archive?target=&container=&path=&owners= (tar body) | → ArchiveResult |
 * | GET /v1/images?node= | → ImageListItem[] |
 * | POST /v1/images/push | PushRequest → PushPlan: what of the images the cluster lacks, and where it goes |
 * | PUT /v1/images/blobs/:digest?push=&node=&size=&offset=&encoding=zstd (bytes from the offset on, in that encoding) | → BlobState |
 * | POST /v1/images/commit | PushCommit → streamed ndjson: PushEvent |
 * | GET /v1/images/missing?name= (repeated) | → string[]: those that no node has |
 * | POST /v1/images/prune?node=&all=true | → ImagePruneResult[] |
 * | PUT /v1/images (tar body, ?node= repeated or absent for all ready nodes) | → streamed ndjson: { message?, error?, loaded?: string[], node } |
 */
import type { BlobDescriptor } from './image.ts';
import type { GenericAmounts } from './generic.ts';
import type { NodeStatus } from './node.ts';
import type { AllocatedPort, UpdateStatus } from './service.ts';
import type { Pod, PodStatus, PodPhase } from './pod.ts';
import type { RegistryAuth } from './registry.ts';
import type { ServiceSpec, StackSpec } from './spec.ts';
import type { ErrorCode } from './errors.ts';

export interface ApiErrorBody {
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly hint?: string; readonly path?: string };
}

export interface VersionInfo {
  readonly version: string;
  readonly api: 'v1';
  /** Cluster id. */
  readonly cluster: string;
  readonly leader: boolean;
}

export interface StackListItem {
  readonly name: string;
  readonly services: number;
  readonly desired: number;
  readonly running: number;
  readonly ready: number;
}

/**
 * Which tags are looked up at their registries: all; those that are new to their service, or that `pull_policy` says to (the default); or
 * none. The others stay pinned as they are.
 */
export type ResolveMode = 'always' | 'changed' | 'never';

export interface ApplyRequest extends StackSpec {
  /** Credentials for the registries of its images, by `host[:port]`. */
  readonly registries?: Readonly<Record<string, RegistryAuth>>;
}

/** What an apply did, by service id. Nothing changed when all of them say `unchanged`. */
export interface ApplyResult {
  readonly stack: string;
  readonly services: Readonly<Record<string, 'created' | 'updated' | 'unchanged' | 'removed'>>;
  readonly networks: Readonly<Record<string, 'created' | 'updated' | 'unchanged' | 'removed'>>;
  readonly volumes: Readonly<Record<string, 'created' | 'updated' | 'unchanged'>>;
  readonly warnings: readonly string[];
}

export interface RemoveResult {
  readonly stack: string;
  readonly services: readonly string[];
  readonly volumes: readonly string[];
}

export interface PlanResult {
  readonly stack: string;
  readonly services: readonly PlannedService[];
  /** Absent: none. */
  readonly warnings?: readonly string[];
}

export interface PlannedService {
  readonly id: string;
  readonly action: 'create' | 'update' | 'remove' | 'unchanged';
  /** Pods are replaced, not only records changed. */
  readonly restarts: boolean;
  /** Field by field, for updates: canonical JSON values, absent when the field is. */
  readonly changes: readonly { readonly path: string; readonly before?: unknown; readonly after?: unknown }[];
  readonly pods: readonly PlannedPod[];
}

export interface PlannedPod {
  readonly name: string;
  readonly action: 'create' | 'replace' | 'stop' | 'keep';
  /** Name of the node it would go to (or is on); null when none fits. */
  readonly node: string | null;
  /** Why not elsewhere: one line per filter that excluded nodes. */
  readonly why: readonly FilterReason[];
}

/** `constraint type==frontend: 2 nodes (node-2, node-3) have type=backend`. */
export interface FilterReason {
  readonly filter: string;
  readonly message: string;
  readonly nodes: readonly string[];
}

export interface ServiceListItem {
  readonly id: string;
  /** Of the spec in force; pods of another revision are still to be replaced. */
  readonly revision: string;
  readonly name: string;
  readonly stack: string;
  readonly mode: string;
  readonly desired: number;
  readonly running: number;
  readonly ready: number;
  readonly image: string;
  readonly vips: readonly { readonly network: string; readonly ip: string }[];
  readonly ports: readonly AllocatedPort[];
  readonly update: UpdateStatus;
}

export interface ServiceDetail extends ServiceListItem {
  readonly spec: ServiceSpec;
}

export interface PodListItem {
  readonly id: string;
  /** Of the spec it was made from: tells an update that is over from one that has not begun. */
  readonly revision: string;
  /** `voting_vote.1`. */
  readonly name: string;
  readonly stack: string;
  readonly service: string;
  readonly slot: number | string;
  /** Node name. */
  readonly node: string | null;
  /** `restarting`: it runs but for a container that ended and will be begun again. */
  readonly state: PodPhase | 'restarting';
  readonly desired: Pod['desired'];
  readonly ready: boolean;
  /** Of a pod with several containers: how many serve, of how many; init containers apart. */
  readonly containers?: { readonly ready: number; readonly total: number };
  readonly ip: string | null;
  readonly image: string;
  readonly restarts: number;
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly exitCode?: number;
  readonly message: string;
  /** The manifest of its host that it is from; absent for the cluster's own pods. */
  readonly origin?: string;
}

export interface PodDetail extends PodListItem {
  readonly pod: Pod;
  readonly status: PodStatus | null;
  /** For a pending pod: why each filter excluded which nodes. */
  readonly why: readonly FilterReason[];
}

export interface NodeListItem {
  readonly id: string;
  readonly name: string;
  readonly state: 'ready' | 'unknown' | 'down';
  readonly availability: 'active' | 'pause' | 'drain';
  readonly labels: Readonly<Record<string, string>>;
  readonly address: string;
  readonly subnet: string;
  readonly capacity: NodeStatus['capacity'];
  /** What pods reserve of it; `generic` is absent when the node counts nothing else. */
  readonly allocated: { readonly cpus: number; readonly memory: number; readonly generic?: GenericAmounts };
  readonly pods: number;
  readonly version: string;
  /** Of its own manifests; absent when it has none. */
  readonly manifests?: NonNullable<NodeStatus['manifests']>;
  /** What the node is short of; absent: nothing. */
  readonly pressure?: readonly 'disk'[];
}

export interface VolumeListItem {
  readonly name: string;
  readonly stack: string | null;
  readonly driver: string;
  /** Name of the node its data is on. */
  readonly node: string | null;
  /** Services that use it. */
  readonly usedBy: readonly string[];
  /** Names of the nodes that have something of it besides. */
  readonly nodes: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly state: 'ready' | 'moving' | 'removing';
  /** Milliseconds since the epoch; null when nobody knows. */
  readonly createdAt: number | null;
  /** Made for one slot of a service that mounts `volume` per replica. */
  readonly slotOf?: { readonly volume: string; readonly slot: number };
  /** Bytes on disk, when asked for; null where they cannot be told. */
  readonly size?: number | null;
}

export interface VolumeDetail extends VolumeListItem {
  readonly driverOpts: Readonly<Record<string, string>>;
  /** By node. */
  readonly usage: readonly { readonly node: string; readonly bytes: number | null }[];
  readonly mounts: readonly { readonly pod: string; readonly podId: string; readonly node: string | null; readonly container: string; readonly target: string; readonly readOnly: boolean }[];
  readonly move: { readonly from: string; readonly to: string; readonly phase: string; readonly bytes: number; readonly total: number | null } | null;
  /** What is waited for. */
  readonly message: string;
}

export interface VolumeCreateRequest {
  /** Absent: one is made up. */
  readonly name?: string;
  readonly driver?: string;
  readonly driverOpts?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** Id or name. */
  readonly node?: string;
}

export interface VolumePruneRequest {
  /** Only volumes that have all of these labels; null for any value. */
  readonly labels?: Readonly<Record<string, string | null>>;
  /** Tell, and remove nothing. */
  readonly dryRun?: boolean;
}

export interface VolumePruneResult {
  readonly volumes: readonly { readonly name: string; readonly bytes: number | null }[];
  /** Of those that could be measured. */
  readonly bytes: number;
  /** Unused ones that stay, and why. */
  readonly kept: readonly { readonly name: string; readonly why: string }[];
}

export interface VolumeMoveRequest {
  /** They arrive together or not at all. */
  readonly volumes: readonly string[];
  /** Id or name. */
  readonly node: string;
}

export interface VolumeMoveEvent {
  readonly volume: string;
  readonly phase: 'stopping' | 'copying' | 'verifying' | 'copied' | 'moved' | 'failed';
  readonly bytes: number;
  readonly total: number | null;
  readonly message: string;
}

export interface NetworkListItem {
  readonly name: string;
  readonly stack: string | null;
  /** No way out of the cluster. */
  readonly internal: boolean;
  readonly labels: Readonly<Record<string, string>>;
  /** Services on it. */
  readonly usedBy: readonly string[];
}

export interface FileObjectListItem {
  readonly name: string;
  readonly digest: string;
  readonly size: number;
  readonly usedBy: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

export interface EventItem {
  readonly id: string;
  readonly at: number;
  readonly subject: string;
  readonly message: string;
}

/** What a node has let go: images that nothing uses and that have lost their tag, or with `all` every one that nothing uses. */
export interface ImagePruneResult {
  readonly node: string;
  readonly removed: readonly { readonly references: readonly string[]; readonly digest: string; readonly size: number }[];
  /** It could not. */
  readonly error?: string;
}

export interface ImageListItem {
  readonly node: string;
  readonly references: readonly string[];
  readonly digest: string;
  readonly size: number;
}

/** An image that somebody has and the nodes shall have: what it is made of. The bytes travel by themselves, and only if they must. */
export interface PushImage {
  /** Names it shall have; none is fine, then it goes by its digest. */
  readonly references: readonly string[];
  readonly config: BlobDescriptor;
  /** The lowest first. */
  readonly layers: readonly PushLayer[];
  /** Its manifest names these blobs and no others, so another compression of a layer will not do. */
  readonly fixed: boolean;
}

export interface PushLayer extends BlobDescriptor {
  readonly diffId: string;
}

export interface PushRequest {
  readonly images: readonly PushImage[];
  /** Names or ids. Absent: `needed`. */
  readonly nodes?: 'needed' | 'all' | readonly string[];
}

export interface PushPlan {
  /** Goes with the blobs and the commit: what was sent for it is kept for a day, so that it can be gone on with. */
  readonly push: string;
  /** Name of the node that gets what is missing from outside; from there it spreads. */
  readonly seed: string;
  /** Names of all nodes that get the images, the seed first. */
  readonly nodes: readonly string[];
  /** For each image what becomes of each layer. */
  readonly images: readonly { readonly layers: readonly PushedLayer[] }[];
}

export type PushedLayer =
  /** Some node has this blob of it: it goes into the manifest. */
  | { readonly kind: 'known'; readonly blob: BlobDescriptor }
  /** Nobody has it; the seed has the first `offset` bytes of an earlier attempt. */
  | { readonly kind: 'missing'; readonly offset: number };

export interface BlobState {
  /** Bytes that are there; all of them when it is whole. */
  readonly offset: number;
  readonly whole: boolean;
}

export interface PushCommit {
  readonly push: string;
  readonly seed: string;
  readonly nodes: readonly string[];
  readonly images: readonly {
    readonly references: readonly string[];
    /** As text, both: digests are those of its UTF-8. */
    readonly manifest: string;
    readonly config: string;
  }[];
}

/** What happens on a node. */
export type PushEvent =
  | { readonly node: string; readonly kind: 'progress'; readonly message: string }
  | { readonly node: string; readonly kind: 'done'; readonly references: readonly string[]; /** Of blobs that came from other nodes. */ readonly bytes: number }
  | { readonly node: string; readonly kind: 'failed'; readonly error: string };

export interface LogLine {
  /** Pod name, `voting_vote.1`. */
  readonly pod: string;
  readonly podId: string;
  readonly node: string;
  readonly container: string;
  /** Which run of the container, from 1. */
  readonly attempt: number;
  readonly stream: 'stdout' | 'stderr';
  /** Milliseconds since the epoch. */
  readonly time: number;
  /** Without its newline. */
  readonly line: string;
  /** base64 of the line as it was, when it is no UTF-8. */
  readonly bytes?: string;
  /** No newline ended it: it goes on in the stream's next record (it is very long), or the output ends here. */
  readonly partial?: boolean;
  /** Bytes the stream had after it. */
  readonly end?: number;
  /** Words of tsorch about the output, not of the container. */
  readonly notice?: boolean;
}

export interface ExecQuery {
  /** `stack_service`, `stack_service.slot` or a pod id. */
  readonly target: string;
  /** One container of the pod; absent: the one that the target names, or the service's own. */
  readonly container?: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly user?: string;
  readonly workingDir?: string;
  readonly tty: boolean;
  readonly stdin: boolean;
  /** With all capabilities. */
  readonly privileged?: boolean;
  /** It is started and left to itself. */
  readonly detach?: boolean;
}

/**
 * WebSocket frames of exec, attach and port-forward are binary: one byte of channel, then the payload. The client sends 0 input,
 * 3 resize (JSON `{width,height}`), 4 end of input (empty), 7 signal (its number as text), 8 detach (empty). The server sends 1 output,
 * 2 error output, 5 exit (JSON `{code}`), 6 error (ApiErrorBody as JSON), 9 what it is (JSON, AttachInfo), 10 end of output (empty),
 * 11 input taken (its bytes as text).
 */
export const execChannel = { stdin: 0, stdout: 1, stderr: 2, resize: 3, stdinEnd: 4, exit: 5, error: 6, signal: 7, detach: 8, info: 9, stdoutEnd: 10, taken: 11 } as const;

/** Bytes of input that a client may have sent and that were not taken yet: so that signals and hanging up are not stuck behind it. */
export const inputWindow = 1024 * 1024;

export interface AttachQuery {
  /** `stack_service`, `stack_service.slot` or a pod id. */
  readonly target: string;
  readonly container?: string;
  /** Give it our input, where the container reads any. */
  readonly stdin: boolean;
  /** To go on where an attachment broke off: its pod, attempt and places. */
  readonly again?: { readonly podId: string; readonly attempt: number; readonly places: Readonly<Record<'stdout' | 'stderr', number>> };
}

/** What an attachment is to; the first frame. */
export interface AttachInfo {
  readonly tty: boolean;
  /** Input reaches it. */
  readonly stdin: boolean;
  readonly container: string;
  readonly attempt: number;
  /** Bytes of output there were before. */
  readonly places: Readonly<Record<'stdout' | 'stderr', number>>;
  readonly podId?: string;
  readonly pod?: string;
}

export interface PortForwardQuery {
  readonly target: string;
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
}

/** What is at a path of a container. */
export interface FileStat {
  /** Absolute, without what led there. */
  readonly path: string;
  readonly type: 'file' | 'directory' | 'link' | 'other';
  readonly size: number;
  readonly mode: number;
  /** Milliseconds since the epoch. */
  readonly mtime: number;
  /** Where a link leads. */
  readonly link?: string;
}

export interface ArchiveResult {
  readonly entries: number;
  readonly bytes: number;
  /** Some of what could not be made there: devices and the like. */
  readonly skipped: readonly string[];
}

/** POST /v1/logs: the query of GET as a body, with the places of a reader that goes on, by pod id. */
export interface LogsRequest {
  readonly target: readonly string[];
  readonly container?: string;
  readonly stream?: 'stdout' | 'stderr';
  readonly follow?: boolean;
  /** Absent: all. */
  readonly tail?: number;
  /** Milliseconds since the epoch, both inclusive. */
  readonly since?: number;
  readonly until?: number;
  readonly places?: Readonly<Record<string, LogPlaces>>;
}

/** Where a reader of logs is: bytes read of each stream, by `streamKey` (model/log-chunk.ts). */
export type LogPlaces = Readonly<Record<string, number>>;

/** Parameters of the data streams a master opens on an agent (`OpenStream.params`). */
export interface LogsStreamParams {
  readonly podId: string;
  /** One container alone; absent: all. */
  readonly container?: string;
  /** One attempt of that container alone; absent: all that are kept. */
  readonly attempt?: number;
  readonly follow: boolean;
  /** Lines from the end; absent: all. */
  readonly tail?: number;
  /** Milliseconds since the epoch, both inclusive. */
  readonly since?: number;
  readonly until?: number;
  /** One stream alone; absent: both. */
  readonly stream?: 'stdout' | 'stderr';
  /** Where a reader that was cut off goes on, by `streamKey`; `tail` counts no more, and a stream that is not there is new to it. */
  readonly places?: LogPlaces;
}

export interface ExecStreamParams extends Omit<ExecQuery, 'target'> {
  readonly podId: string;
}

export interface AttachStreamParams {
  readonly podId: string;
  readonly container?: string;
  readonly stdin: boolean;
  /** Only this one; absent: the one that runs. */
  readonly attempt?: number;
  readonly places?: Readonly<Record<'stdout' | 'stderr', number>>;
}

export interface ArchiveStreamParams {
  readonly podId: string;
  readonly container?: string;
  /** In the container. */
  readonly path: string;
  /** Follow a link in its last place. */
  readonly follow?: boolean;
  /** What it is called in the archive; absent: as it is called there. */
  readonly as?: string;
  /** Keep the owners that the archive has; otherwise all is root's. */
  readonly owners?: boolean;
}

export interface PortForwardStreamParams {
  readonly podId: string;
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
}

/** POST /v1/renew, by a node with its certificate: a new one for the same node. */
export interface RenewRequest {
  /** PKCS#10, PEM. Only its public key is taken from it. */
  readonly csr: string;
}

export interface RenewReply {
  /** PEM. */
  readonly certificate: string;
  readonly ca: string;
}

/**
 * POST /v1/enrol, the only call that needs no certificate: a host with a join token asks for a node certificate.
 * The token's digest of the CA was checked before anything was sent.
 */
export interface EnrolRequest {
  readonly token: string;
  /** PKCS#10, PEM. Only its public key is taken from it. */
  readonly csr: string;
  /** The host name it wants to be known by. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface EnrolReply {
  readonly nodeId: string;
  /** PEM, the node's certificate and the CA's. */
  readonly certificate: string;
  readonly ca: string;
  /** Port of the masters' gRPC service on the same host. */
  readonly grpcPort: number;
}
