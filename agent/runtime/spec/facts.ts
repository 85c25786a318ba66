/** What the builder must know of the host; `agent/runtime/host.ts` reads it. */
import type { HardLimits } from './rlimits.ts';

export interface HostFacts {
  /** As OCI names it: `amd64`, `arm64`. */
  readonly arch: string;
  /** Other architectures whose programs the kernel hands to an emulator (binfmt_misc). */
  readonly emulated: readonly string[];
  /** [major, minor] */
  readonly kernel: readonly [number, number];
  readonly cgroup: 'v1' | 'hybrid' | 'v2';
  /** The kernel accounts swap, so that it can be limited. */
  readonly swapLimits: boolean;
  readonly hardLimits: HardLimits;
  readonly nrOpen: number;
  /** The agent has CAP_SYS_RESOURCE: it may raise limits and lower OOM scores. */
  readonly mayRaise: boolean;
  /** The agent's capability bounding set, a bit per capability. */
  readonly capabilities: bigint;
  /** The agent's own; shims have one more. */
  readonly oomScoreAdj: number;
  readonly apparmor: boolean;
  readonly selinux: boolean;
  /** Path of a statically linked init, null when the host has none. */
  readonly init: string | null;
}

export interface HostDevice {
  /** Where the container shall see it. */
  readonly path: string;
  readonly type: 'c' | 'b';
  readonly major: number;
  readonly minor: number;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Of `rwm`. */
  readonly permissions: string;
}
