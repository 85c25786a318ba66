/** CPU, memory and process limits as the OCI spec has them. */
import { TsorchError } from '../../../model/errors.ts';
import type { ContainerLimits } from '../../../model/spec.ts';
import type { HostFacts } from './facts.ts';
import type { OciResources } from './oci.ts';

const period = 100_000;
/** Below it no process starts: the runtime's own first steps run inside the limit. */
const leastMemory = 6 << 20;
/** Unlimited in effect, in a form that every runtime can write: crun writes -1 as the number it is not. */
const allPids = 4 << 20;
const allCpus = 4096 * period;

export interface ResourceResult {
  readonly resources: Pick<OciResources, 'cpu' | 'memory' | 'pids'>;
  readonly warnings: readonly string[];
}

/** What of the host decides which limits it has. */
export type LimitFacts = Pick<HostFacts, 'cgroup' | 'swapLimits'>;

/**
 * Only what is set. As in Docker, memory alone allows as much swap again, and what this kernel cannot limit is left out with a
 * warning. Throws `invalid`. (Realtime scheduling and block I/O are written by ourselves, see realtime.ts and blkio.ts.)
 */
export function resolveResources(limits: ContainerLimits, host: LimitFacts): ResourceResult {
  const { cpus, cpuShares, cpuset, memory, memoryReservation, memorySwap, pids, memorySwappiness, oomKillDisable } = limits;
  const { swapLimits } = host;
  check(cpus === undefined || cpus >= 0.01, `cpus is ${cpus}, the least is 0.01`);
  check(memory === undefined || memory >= leastMemory, `the memory limit is ${memory} bytes, the least is ${leastMemory} (6 MiB)`);
  check(memorySwap === undefined || memorySwap === -1 || memory !== undefined, 'memory and swap are limited, but not memory alone');
  check(memorySwap === undefined || memorySwap === -1 || memory === undefined || memorySwap >= memory, `memory and swap (${memorySwap}) are less than memory alone (${memory})`);
  check(memoryReservation === undefined || memory === undefined || memoryReservation <= memory, `the memory reservation (${memoryReservation}) is above the limit (${memory})`);
  check(memorySwappiness === undefined || (Number.isInteger(memorySwappiness) && memorySwappiness >= 0 && memorySwappiness <= 100), `mem_swappiness is ${memorySwappiness}, it must be from 0 to 100`);
  const swap = memorySwap ?? (memory === undefined ? undefined : 2 * memory);
  // cgroup v2 has neither a swappiness nor a switch for the OOM killer.
  const v1 = host.cgroup !== 'v2';
  const warnings = [
    ...(memorySwap !== undefined && !swapLimits ? ['the kernel does not limit swap (no swap accounting): the swap limit is left out'] : []),
    ...(memorySwappiness !== undefined && !v1 ? ['cgroup v2 has no swappiness of its own for a container: mem_swappiness is left out'] : []),
    ...(oomKillDisable === true && !v1 ? ['cgroup v2 cannot switch the OOM killer off: oom_kill_disable is left out'] : []),
    ...(oomKillDisable === true && v1 && memory === undefined ? ['the OOM killer is off and memory is not limited: the container may take all of the host'] : []),
  ];
  const cpu = {
    ...(cpus === undefined ? {} : { quota: Math.round(cpus * period), period }),
    ...(cpuShares === undefined ? {} : { shares: cpuShares }),
    ...(cpuset === undefined ? {} : { cpus: cpuset }),
  };
  const bytes = {
    ...(memory === undefined ? {} : { limit: memory }),
    ...(memoryReservation === undefined ? {} : { reservation: memoryReservation }),
    ...(swap === undefined || !swapLimits ? {} : { swap }),
    ...(memorySwappiness === undefined || !v1 ? {} : { swappiness: memorySwappiness }),
    ...(oomKillDisable === true && v1 ? { disableOOMKiller: true } : {}),
  };
  return {
    resources: {
      ...(Object.keys(cpu).length > 0 ? { cpu } : {}),
      ...(Object.keys(bytes).length > 0 ? { memory: bytes } : {}),
      ...(pids !== undefined && pids > 0 ? { pids: { limit: pids } } : {}),
    },
    warnings,
  };
}

/** For a running container: what is not set any more is named, as unlimited. The cpuset cannot be taken back live. */
export function resourceUpdate(limits: ContainerLimits, host: LimitFacts): ResourceResult {
  const { resources, warnings } = resolveResources(limits, host);
  return {
    resources: {
      cpu: { quota: allCpus, period, shares: 1024, ...resources.cpu },
      memory: { limit: -1, ...(host.swapLimits ? { swap: -1 } : {}), ...resources.memory },
      pids: resources.pids ?? { limit: allPids },
    },
    warnings,
  };
}

function check(holds: boolean, message: string): void {
  if (!holds) throw new TsorchError('invalid', message);
}
