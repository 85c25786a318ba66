/**
 * The values that a pod's step works on. `PodLocal` is what must survive the agent (it is written before anything is done
 * that depends on it), `Timers` what need not: it holds monotonic times and begins empty in every new agent.
 */
import type { Assignment } from '../../../model/assignment.ts';
import type { PodPhase, PodStatus } from '../../../model/pod.ts';
import type { Healthcheck, Hook, PodTemplate, Probe } from '../../../model/spec.ts';

/** The part of a template that a step looks at. */
export type Plan = Pick<PodTemplate, 'containers' | 'initContainers' | 'restart' | 'stopGraceMs' | 'networkMode' | 'onDisconnect'>;

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
  /** `asked` by the leader; `ended` by itself: its restart policy is at its end; `alone`: its host was cut off for so long that it may not run on. */
  readonly cause: 'asked' | 'ended' | 'alone';
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
  /** Those that its process has, or had: see limits.ts. */
  readonly limits?: string;
  /** What its last create could not give as asked for. Absent: nothing. */
  readonly warnings?: readonly string[];
  /** The last ones, oldest first. */
  readonly ended: readonly AttemptEnd[];
  /** Of the live attempt: how many postStart hooks have done their work. */
  readonly hooksDone?: number;
  /** Of the live attempt: the startup probe has passed. */
  readonly startupPassed?: boolean;
  /** Of the live attempt: what the readiness probe decided last. */
  readonly probedReady?: boolean;
  /** Why the live attempt is being ended. Its end counts as a failure, whatever its exit code. */
  readonly condemned?: string;
  /** Restarts that a limit within a time counts: milliseconds since the epoch, the last ones. */
  readonly granted?: readonly number[];
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
  /** The host went down, not the container. */
  readonly rebooted?: true;
}

export interface Timers {
  /** Images, volumes and files are in place for the next create. */
  readonly prepared: boolean;
  readonly attached: boolean;
  /** An action failed: before `until` nothing is begun, and with `ends` nothing is ended either. */
  readonly blocked: { readonly message: string; readonly until: number; readonly tries: number; readonly ends: boolean; /** What failed. */ readonly by?: Action['kind'] } | null;
  /** By container: when the next attempt is due. */
  readonly retryAt: Readonly<Record<string, number>>;
  /** When the pod began to stop: its grace counts from here. */
  readonly stopSince: number | null;
  /** By container id: those that are being ended. */
  readonly endings: Readonly<Record<string, EndTimer>>;
  /** By container: postStart hooks of the live attempt. */
  readonly hooks: Readonly<Record<string, HookTimer>>;
  /** By container: checks of the live attempt. */
  readonly checks: Readonly<Record<string, Checks>>;
  /** By container: when this agent saw it start. */
  readonly runningSince: Readonly<Record<string, number>>;
}

export interface HookTimer {
  readonly attempt: number;
  readonly running: boolean;
  /** Not before. */
  readonly due: number;
}

export interface EndTimer {
  /** When its turn to end came. */
  readonly since: number;
  /** How many preStop hooks are over, and whether the next one runs. */
  readonly hooksDone: number;
  readonly hookRunning: boolean;
  readonly hookDue: number;
  readonly signalledAt: number | null;
  readonly killedAt: number | null;
}

/** `health` is the Compose healthcheck, the others are Kubernetes' probes. */
export type Which = 'health' | 'startup' | 'readiness' | 'liveness';

export interface Checks {
  readonly attempt: number;
  /** When the container was up. */
  readonly since: number;
  readonly states: Readonly<Partial<Record<Which, CheckState>>>;
}

export interface CheckState {
  /** When it was first to be asked, and when the last time it was. */
  readonly since: number;
  readonly askedAt: number;
  readonly due: number;
  readonly running: boolean;
  /** In a row, as far as they count. */
  readonly failures: number;
  readonly successes: number;
  /** At least once in this attempt. */
  readonly passed: boolean;
  /** What was wrong the last time. */
  readonly output: string;
}

export interface CheckResult {
  readonly passed: boolean;
  /** The end of its output, or why it could not be asked. */
  readonly output: string;
}

/** What came of a check or a hook. A result of null says nothing: it could not be asked for a reason that is not the container's. */
export type Answer =
  | { readonly kind: 'check'; readonly container: string; readonly attempt: number; readonly which: Which; readonly result: CheckResult | null }
  | { readonly kind: 'hook'; readonly container: string; readonly attempt: number; readonly at: HookPoint; readonly index: number; readonly result: CheckResult | null };

export type HookPoint = 'postStart' | 'preStop';

/** A container as the runtime knows it. */
export interface Observed {
  readonly id: string;
  readonly state: 'created' | 'running' | 'stopped' | 'unknown';
  readonly pid: number;
  readonly exit?: { readonly code: number; readonly at: number };
}

/** How long no master is known to have heard of this host. */
export interface Alone {
  readonly ms: number;
  /** One has since the host was started. If not, `ms` counts from the agent's own start. */
  readonly heard: boolean;
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
  /** That came since the last step. */
  readonly answers: readonly Answer[];
  /** Ids of containers that ran out of memory. */
  readonly oomKilled: ReadonlySet<string>;
  /** The host's side of the network is set up. */
  readonly networkReady: boolean;
  readonly bootId: string;
  readonly alone: Alone;
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
  /** Give the running container the limits that its spec has now. */
  | { readonly kind: 'limit'; readonly container: string; readonly attempt: number }
  /** Ask once. The answer comes later, and is waited for by nobody. */
  | { readonly kind: 'check'; readonly container: string; readonly attempt: number; readonly which: Which; readonly ask: Probe['ask']; readonly timeoutMs: number }
  /** Run it in the container. The answer comes later. */
  | { readonly kind: 'hook'; readonly container: string; readonly attempt: number; readonly at: HookPoint; readonly index: number; readonly hook: Hook }
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

export const neverAlone: Alone = { ms: 0, heard: true };

export const emptyTimers: Timers = {
  prepared: false,
  attached: false,
  blocked: null,
  retryAt: {},
  stopSince: null,
  endings: {},
  hooks: {},
  checks: {},
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
