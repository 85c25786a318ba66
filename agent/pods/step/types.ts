/**
 * The values that a pod's step works on. `PodLocal` is what must survive the agent (it is written before anything is done
 * that depends on it), `Timers` what need not: it holds monotonic times and begins empty in every new agent.
 */
import type { Assignment } from '../../../model/assignment.ts';
import type { PodPhase, PodStatus } from '../../../model/pod.ts';
import type { Healthcheck, PodTemplate } from '../../../model/spec.ts';

/** The part of a template that a step looks at. */
export type Plan = Pick<PodTemplate, 'containers' | 'restart' | 'stopGraceMs' | 'networkMode'>;

/** How many ended attempts of a container are remembered, with their logs. */
export const keptAttempts = 5;

export interface PodLocal {
  /** Never goes back, see `phases`. */
  readonly phase: PodPhase;
  /** When phase or readiness last changed; milliseconds since the epoch. */
  readonly since: number;
  readonly ready: boolean;
  /** The boot that its containers were started in. */
  readonly bootId: string;
  readonly containers: Readonly<Record<string, ContainerLocal>>;
  /** Once set nothing is created or started any more. */
  readonly stop: Stop | null;
  /** Namespace, mounts and files of the pod are gone. */
  readonly released: boolean;
}

export interface Stop {
  /** `asked` by the leader, or `ended` by itself: its restart policy is at its end. */
  readonly cause: 'asked' | 'ended';
  readonly failed: boolean;
  readonly message: string;
}

export interface ContainerLocal {
  /** The last attempt allotted, counted from 1; 0 before the first. */
  readonly attempt: number;
  /**
   * `waiting`: the next attempt is due some time. `live`: the attempt is allotted, its container exists or is about to.
   * `done`: the restart policy says no more.
   */
  readonly state: 'waiting' | 'live' | 'done';
  /** Start was called, or is about to be: an absent container has ended, and is not created a second time. */
  readonly started: boolean;
  /** Milliseconds since the epoch, for people and for adopted containers. */
  readonly startedAt: number | null;
  /** Attempts in a row that ended before the policy's window. */
  readonly failures: number;
  readonly health: 'starting' | 'healthy' | 'unhealthy' | null;
  readonly image: ImageFacts | null;
  /** What its last create could not give as asked for. Absent: nothing. */
  readonly warnings?: readonly string[];
  /** The last ones, oldest first. */
  readonly ended: readonly AttemptEnd[];
}

/** What is needed of an image after its container was created; kept, so that adoption needs no image. */
export interface ImageFacts {
  readonly digest: string;
  readonly stopSignal?: string;
  readonly healthcheck?: Healthcheck;
}

export interface AttemptEnd {
  readonly attempt: number;
  /** null when it never ran or nobody saw it end. */
  readonly exitCode: number | null;
  readonly oomKilled: boolean;
  readonly startedAt: number | null;
  readonly endedAt: number;
  readonly message: string;
  readonly failed: boolean;
}

export interface Timers {
  /** Images, volumes and files are in place for the next create. */
  readonly prepared: boolean;
  readonly attached: boolean;
  /** An action failed; nothing is tried before `until`. */
  readonly blocked: { readonly message: string; readonly until: number; readonly tries: number } | null;
  /** By container: when the next attempt is due. */
  readonly retryAt: Readonly<Record<string, number>>;
  /** By container id. */
  readonly signals: Readonly<Record<string, { readonly at: number; readonly killedAt: number | null }>>;
  /** By container. */
  readonly probes: Readonly<Record<string, Probe>>;
  /** By container: when this agent saw it start. */
  readonly runningSince: Readonly<Record<string, number>>;
}

export interface Probe {
  readonly attempt: number;
  readonly since: number;
  readonly failures: number;
  /** It passed at least once: failures in the start period count from then on. */
  readonly passed: boolean;
  readonly due: number;
  readonly running: boolean;
  readonly output: string;
}

/** A container as the runtime knows it. */
export interface Observed {
  readonly id: string;
  readonly state: 'created' | 'running' | 'stopped' | 'unknown';
  readonly pid: number;
  readonly exit?: { readonly code: number; readonly at: number };
}

export interface StepInput {
  readonly podId: string;
  readonly node: string;
  /** null: containers of a pod were found that no record tells of. */
  readonly assignment: Assignment | null;
  /** The leader does not list it any more. */
  readonly removed: boolean;
  readonly local: PodLocal;
  readonly timers: Timers;
  readonly observed: readonly Observed[];
  /** Ids of containers that ran out of memory. */
  readonly oomKilled: ReadonlySet<string>;
  /** The host's side of the network is set up. */
  readonly networkReady: boolean;
  readonly bootId: string;
  /** Monotonic milliseconds. */
  readonly now: number;
  /** Milliseconds since the epoch. */
  readonly wall: number;
}

/** Things to do. Those of one step do not depend on one another. */
export type Action =
  /** Find images, prepare volumes, secrets and network files. */
  | { readonly kind: 'prepare' }
  | { readonly kind: 'attach' }
  | { readonly kind: 'create'; readonly container: string; readonly attempt: number }
  | { readonly kind: 'start'; readonly container: string; readonly attempt: number }
  /** Run the health check once. */
  | { readonly kind: 'probe'; readonly container: string; readonly attempt: number; readonly check: Healthcheck }
  | { readonly kind: 'signal'; readonly id: string; readonly signal: string }
  | { readonly kind: 'remove'; readonly id: string }
  | { readonly kind: 'detach' }
  /** Unmount and delete the pod's files and anonymous volumes. */
  | { readonly kind: 'release' }
  /** Drop the record: nothing is left. */
  | { readonly kind: 'forget' };

export interface StepResult {
  readonly local: PodLocal;
  readonly timers: Timers;
  readonly actions: readonly Action[];
  /** Milliseconds until it wants to be called again though nothing happened. */
  readonly wakeIn: number | undefined;
  readonly status: PodStatus;
}

export const emptyTimers: Timers = {
  prepared: false,
  attached: false,
  blocked: null,
  retryAt: {},
  signals: {},
  probes: {},
  runningSince: {},
};

export const newContainer: ContainerLocal = {
  attempt: 0,
  state: 'waiting',
  started: false,
  startedAt: null,
  failures: 0,
  health: null,
  image: null,
  ended: [],
};

/** A pod that was just assigned. */
export function newLocal(bootId: string, wall: number): PodLocal {
  return { phase: 'assigned', since: wall, ready: false, bootId, containers: {}, stop: null, released: false };
}

/** Unique for ever. Pod ids hold no dots; container names may. */
export function containerId(podId: string, container: string, attempt: number): string {
  return `${podId}.${container}.${attempt}`;
}
