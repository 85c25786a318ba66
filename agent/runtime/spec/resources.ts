/** CPU, memory and process limits as the OCI spec has them. */
import { TsorchError } from '../../../model/errors.ts';
import type { ContainerLimits } from '../../../model/spec.ts';
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

/**
 * Only what is set. As in Docker, memory alone allows as much swap again. `swapLimits` says whether the kernel can limit
 * swap: without it, a memorySwap asked for is left out with a warning. Throws `invalid`.
 */
export function resolveResources(limits: ContainerLimits, swapLimits: boolean): ResourceResult {
  const { cpus, cpuShares, cpuset, memory, memoryReservation, memorySwap, pids } = limits;
  check(cpus === undefined || cpus >= 0.01, `cpus is ${cpus}, the least is 0.01`);
  check(memory === undefined || memory >= leastMemory, `the memory limit is ${memory} bytes, the least is ${leastMemory} (6 MiB)`);
  check(memorySwap === undefined || memorySwap === -1 || memory !== undefined, 'memory and swap are limited, but not memory alone');
  check(memorySwap === undefined || memorySwap === -1 || memory === undefined || memorySwap >= memory, `memory and swap (${memorySwap}) are less than memory alone (${memory})`);
  check(memoryReservation === undefined || memory === undefined || memoryReservation <= memory, `the memory reservation (${memoryReservation}) is above the limit (${memory})`);
  const swap = memorySwap ?? (memory === undefined ? undefined : 2 * memory);
  const warnings = memorySwap !== undefined && !swapLimits ? ['the kernel does not limit swap (no swap accounting): the swap limit is left out'] : [];
  const cpu = {
    ...(cpus === undefined ? {} : { quota: Math.round(cpus * period), period }),
    ...(cpuShares === undefined ? {} : { shares: cpuShares }),
    ...(cpuset === undefined ? {} : { cpus: cpuset }),
  };
  const bytes = {
    ...(memory === undefined ? {} : { limit: memory }),
    ...(memoryReservation === undefined ? {} : { reservation: memoryReservation }),
    ...(swap === undefined || !swapLimits ? {} : { swap }),
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
export function resourceUpdate(limits: ContainerLimits, swapLimits: boolean): ResourceResult {
  const { resources, warnings } = resolveResources(limits, swapLimits);
  return {
    resources: {
      cpu: { quota: allCpus, period, shares: 1024, ...resources.cpu },
      memory: { limit: -1, ...(swapLimits ? { swap: -1 } : {}), ...resources.memory },
      pids: resources.pids ?? { limit: allPids },
    },
    warnings,
  };
}

function check(holds: boolean, message: string): void {
  if (!holds) throw new TsorchError('invalid', message);
}
