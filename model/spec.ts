/**
 * What people ask for: a stack of services, each a pod template with a count. These values are what `tsorch apply` sends,
 * what etcd stores and what agents receive. They are plain JSON. Units: bytes, nanoseconds only where named, milliseconds
 * for every duration (`...Ms`), CPUs as a fraction (1.5).
 */
import type { Affinity, Constraint, PlacementOperator, SpreadPreference } from './constraint/types.ts';
import type { Healthcheck, HealthcheckOverride, Hook, Probe } from './lifecycle.ts';

export type { Healthcheck, HealthcheckOverride, Hook, Probe } from './lifecycle.ts';

export interface StackSpec {
  readonly name: string;
  readonly services: Readonly<Record<string, ServiceSpec>>;
  readonly networks: Readonly<Record<string, NetworkSpec>>;
  readonly volumes: Readonly<Record<string, VolumeSpec>>;
  readonly secrets: Readonly<Record<string, FileObjectSpec>>;
  readonly configs: Readonly<Record<string, FileObjectSpec>>;
}

export interface NetworkSpec {
  /** The cluster-wide name, `stack_network` unless the file names it. */
  readonly name: string;
  readonly external: boolean;
  /** An internal network has no way out of the cluster. */
  readonly internal: boolean;
  readonly driver: string;
  readonly driverOpts: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

export interface VolumeSpec {
  readonly name: string;
  readonly external: boolean;
  readonly driver: string;
  readonly driverOpts: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

/** A secret or a config: content and the digest its versions are known by. */
export interface FileObjectSpec {
  readonly name: string;
  readonly external: boolean;
  /** base64; absent when external. */
  readonly content?: string;
  /** `sha256:…` of the content (of a template, of `golang:` and it); absent when external. */
  readonly digest?: string;
  /** The content is a template of Go's, filled in for each pod. */
  readonly template?: 'golang';
  readonly labels: Readonly<Record<string, string>>;
}

export type ServiceMode =
  | { readonly kind: 'replicated'; readonly replicas: number }
  | { readonly kind: 'global' }
  | { readonly kind: 'replicated-job'; readonly completions: number; readonly concurrency: number }
  | { readonly kind: 'global-job' };

export interface ServiceSpec {
  readonly stack: string;
  /** The name inside the stack; `stack_name` is the service's id. */
  readonly name: string;
  readonly mode: ServiceMode;
  readonly labels: Readonly<Record<string, string>>;
  readonly template: PodTemplate;
  readonly placement: Placement;
  readonly ports: readonly PortSpec[];
  /** In the order of the file; names are cluster-wide network names. Empty for pods on the host's or on no network. */
  readonly networks: readonly NetworkAttachment[];
  readonly endpointMode: 'vip' | 'dnsrr';
  readonly update: UpdateConfig;
  readonly rollback: UpdateConfig;
  readonly dependsOn: readonly Dependency[];
}

export interface NetworkAttachment {
  readonly network: string;
  /** Besides the service's own name. */
  readonly aliases: readonly string[];
}

export interface Dependency {
  /** A service name of the same stack. */
  readonly service: string;
  /** One container of that service's pods, when another service became part of them; absent: the whole pod counts. */
  readonly container?: string;
  readonly condition: 'service_started' | 'service_healthy' | 'service_completed_successfully';
  readonly required: boolean;
  readonly restart: boolean;
}

export interface PortSpec {
  readonly target: number;
  /** Absent: the master picks one from its range (30000–32767). */
  readonly published?: number;
  /** With it `published` is the first and this the last of a range, of which the master picks a free one. */
  readonly publishedTo?: number;
  readonly protocol: 'tcp' | 'udp';
  /** `ingress` answers on every node, `host` only where a pod runs. */
  readonly mode: 'ingress' | 'host';
  readonly hostIp?: string;
}

export interface Placement {
  readonly constraints: readonly Constraint[];
  /** Where pods want to be relative to other pods; absent is none. */
  readonly affinities?: readonly Affinity[];
  /** Marathon's operators, from `x-constraints`; absent is none. */
  readonly operators?: readonly PlacementOperator[];
  /** `off`: a pod whose node is lost is not replaced, it waits for the node to come back. Absent: it is replaced. */
  readonly reschedule?: 'off';
  readonly spread: readonly SpreadPreference[];
  /** 0: no limit. */
  readonly maxPerNode: number;
  readonly strategy: 'spread' | 'binpack' | 'random';
}

export interface UpdateConfig {
  /** Pods replaced at a time; 0 is all at once. */
  readonly parallelism: number;
  readonly delayMs: number;
  readonly order: 'stop-first' | 'start-first';
  readonly failureAction: 'pause' | 'continue' | 'rollback';
  readonly monitorMs: number;
  readonly maxFailureRatio: number;
}

/** Everything that, when changed, needs a new pod. Its canonical JSON's digest is the service's revision. */
export interface PodTemplate {
  /** The service's own container first, then what shares its pod: sidecars, and services that joined by `network_mode: service:…`. */
  readonly containers: readonly ContainerSpec[];
  /** Run one after the other, each to exit code 0, before the first of `containers` is created. Absent: none. */
  readonly initContainers?: readonly ContainerSpec[];
  readonly hostname?: string;
  readonly domainname?: string;
  /** `pod` is a netns of its own on the overlay. */
  readonly networkMode: 'pod' | 'host' | 'none';
  /** `host-gateway` in place of an address is the pod's own host. */
  readonly extraHosts: readonly { readonly name: string; readonly ip: string }[];
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
  readonly sysctls: Readonly<Record<string, string>>;
  readonly restart: RestartPolicy;
  readonly stopGraceMs: number;
  /** What becomes of a pod whose host no master hears of any more: it stops by itself after this time. Absent: it runs on. */
  readonly onDisconnect?: { readonly stopAfterMs: number };
  /** What the scheduler reserves on the node. */
  readonly reservations: Resources;
}

export interface Resources {
  readonly cpus: number;
  readonly memory: number;
  /** Counted resources that nodes say they have, by kind: `{ gpu: 2 }`. Absent: none. */
  readonly generic?: Readonly<Record<string, number>>;
}

export interface RestartPolicy {
  readonly condition: 'none' | 'on-failure' | 'any' | 'unless-stopped';
  /** First delay; it doubles with each failure up to a minute. One of at most 100 ms is not waited for the first time. */
  readonly delayMs: number;
  /** How many restarts in a row, without a run of `windowMs` between them. 0: no limit. */
  readonly maxAttempts: number;
  /** `maxAttempts` counts the restarts of so long a time back instead, as Swarm's `window` does. */
  readonly attemptsWithinMs?: number;
  /** A run this long counts as healthy and resets the delay. */
  readonly windowMs: number;
}

export interface ContainerSpec {
  readonly name: string;
  readonly image: string;
  /** `sha256:…` of the manifest or index that `image` named at apply, filled in there: nodes take this one, whatever the tag names by then. */
  readonly imageDigest?: string;
  readonly pullPolicy: 'always' | 'missing' | 'never';
  /** With `missing`: once the last pull is this long ago, the registry is asked again. Absent: never, what is there is taken. */
  readonly pullRefreshMs?: number;
  /** Absent: the image's. An empty array clears the image's. */
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  /**
   * `null` values take nothing from the outside and unset the image's variable. Here, in mounts and in the pod's host name Swarm's
   * templates (`{{.Task.Slot}}`) stand as they were written: they are filled in with the pod's node, see model/template.
   */
  readonly env: Readonly<Record<string, string | null>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly workingDir?: string;
  /** `user[:group]`, by name or number. */
  readonly user?: string;
  readonly groupAdd: readonly string[];
  readonly mounts: readonly MountSpec[];
  readonly secrets: readonly FileReference[];
  readonly configs: readonly FileReference[];
  readonly healthcheck?: Healthcheck | HealthcheckOverride;
  /** While it has not passed, liveness and readiness are not asked; its failure ends the attempt. */
  readonly startupProbe?: Probe;
  /** Decides whether the pod is an endpoint; never ends anything. */
  readonly readinessProbe?: Probe;
  /** Its failure ends the attempt. */
  readonly livenessProbe?: Probe;
  /** Run in the container once it has started, in order. Absent: none. */
  readonly postStart?: readonly Hook[];
  /** Run in the container before the stop signal, within the pod's grace. Absent: none. */
  readonly preStop?: readonly Hook[];
  /** Other containers of the pod that must have come this far before this one is created. Absent: none. */
  readonly after?: readonly { readonly container: string; readonly condition: Dependency['condition'] }[];
  /** When it differs from the pod's. */
  readonly restart?: RestartPolicy;
  readonly stopSignal?: string;
  readonly init: boolean;
  readonly tty: boolean;
  readonly stdinOpen: boolean;
  readonly readOnly: boolean;
  readonly privileged: boolean;
  readonly capAdd: readonly string[];
  readonly capDrop: readonly string[];
  readonly securityOpt: readonly string[];
  /** `source` is a path on the host, or a CDI name (`vendor.com/class=name`), whose `target` and `permissions` say nothing. */
  readonly devices: readonly { readonly source: string; readonly target: string; readonly permissions: string }[];
  /** `c 1:3 rwm`, as the kernel writes them. Absent: none. */
  readonly deviceCgroupRules?: readonly string[];
  /** `host`, or `container:NAME`, a container of the same pod. Absent: a namespace of its own. */
  readonly pid?: string;
  /** `host`, `none`, `shareable`, or `container:NAME`. Absent: a namespace of its own. */
  readonly ipc?: string;
  readonly uts?: 'host';
  readonly cgroupns?: 'host' | 'private';
  /** `private`: user 0 inside is nobody outside. Absent: the host's user namespace. */
  readonly userns?: 'private';
  /** A cgroup, relative to the agent's own tree, that holds the container's. */
  readonly cgroupParent?: string;
  readonly blkio?: BlkioSpec;
  /** `size`: bytes the writable layer may take. */
  readonly storageOpt?: Readonly<Record<string, string>>;
  readonly ulimits: Readonly<Record<string, { readonly soft: number; readonly hard: number }>>;
  readonly shmSize?: number;
  readonly limits: ContainerLimits;
  readonly oomScoreAdj?: number;
  readonly runtime?: string;
  /** How much of an attempt's output is kept: `maxSize` bytes `maxFile` times, without limit when `maxSize` is -1. Absent: the host decides. */
  readonly logging?: { readonly maxSize: number; readonly maxFile: number };
}

export interface ContainerLimits {
  readonly cpus?: number;
  readonly cpuShares?: number;
  readonly cpuset?: string;
  readonly memory?: number;
  readonly memoryReservation?: number;
  /** Memory plus swap; -1 is unlimited. */
  readonly memorySwap?: number;
  readonly pids?: number;
  /** 0 to 100. */
  readonly memorySwappiness?: number;
  readonly oomKillDisable?: boolean;
  /** Microseconds. */
  readonly cpuRealtimeRuntime?: number;
  readonly cpuRealtimePeriod?: number;
}

/** Block I/O: weights from 10 to 1000, rates in bytes or operations per second, devices by path on the host. */
export interface BlkioSpec {
  readonly weight?: number;
  readonly weightDevice: readonly { readonly path: string; readonly weight: number }[];
  readonly deviceReadBps: readonly { readonly path: string; readonly rate: number }[];
  readonly deviceWriteBps: readonly { readonly path: string; readonly rate: number }[];
  readonly deviceReadIops: readonly { readonly path: string; readonly rate: number }[];
  readonly deviceWriteIops: readonly { readonly path: string; readonly rate: number }[];
}

export type MountSpec =
  | {
      readonly kind: 'volume';
      /** The cluster-wide volume name; absent for an anonymous volume. */
      readonly volume?: string;
      readonly target: string;
      readonly readOnly: boolean;
      readonly noCopy: boolean;
      readonly subpath?: string;
      /** Each slot has a volume of its own, `NAME.SLOT`. */
      readonly perReplica?: boolean;
      /** Of an anonymous volume. */
      readonly labels?: Readonly<Record<string, string>>;
    }
  | {
      /** A directory that the pod's containers share and that lives as long as the pod. */
      readonly kind: 'pod';
      readonly name: string;
      readonly target: string;
      readonly readOnly: boolean;
      /** Kept in memory instead of on disk. */
      readonly medium?: 'memory';
      readonly size?: number;
    }
  | {
      /** The content of an image, read-only. */
      readonly kind: 'image';
      readonly image: string;
      /** As a container's `imageDigest`. */
      readonly imageDigest?: string;
      readonly target: string;
      readonly subpath?: string;
    }
  | {
      readonly kind: 'bind';
      readonly source: string;
      readonly target: string;
      readonly readOnly: boolean;
      readonly createHostPath: boolean;
      readonly propagation: 'rprivate' | 'private' | 'rshared' | 'shared' | 'rslave' | 'slave';
    }
  | {
      readonly kind: 'tmpfs';
      readonly target: string;
      readonly readOnly: boolean;
      readonly size?: number;
      readonly mode?: number;
      /** Mount options besides those, as `uid=1000` and `exec`. */
      readonly options?: readonly string[];
    };

export interface FileReference {
  /** Cluster-wide name of the secret or config. */
  readonly source: string;
  /** The version by content, filled in at apply. */
  readonly digest?: string;
  readonly target: string;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

/** Every container of the pod, in the order they begin. */
export function containersOf(template: Pick<PodTemplate, 'containers' | 'initContainers'>): readonly ContainerSpec[] {
  return template.initContainers ? [...template.initContainers, ...template.containers] : template.containers;
}

/** `stack_service`: the id of a service everywhere outside its stack file. */
export function serviceId(stack: string, name: string): string {
  return `${stack}_${name}`;
}

/** Cluster-wide names, sorted. */
export function networksOf(spec: ServiceSpec): string[] {
  return spec.networks.map((attachment) => attachment.network).sort();
}
