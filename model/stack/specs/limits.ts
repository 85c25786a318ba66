/** CPU, memory and the like: `deploy.resources` and the older keys of a service, which must agree. */
import type { ContainerLimits, Resources } from '../../spec.ts';
import { step } from '../path.ts';
import type { Reader } from './reader.ts';

/** Less does not even start a runtime; who writes 256 means 256m. */
const minMemory = 6 * 1024 * 1024;

export interface MadeLimits {
  readonly limits: ContainerLimits;
  readonly reservations: Resources;
}

export function makeLimits(service: Reader): MadeLimits {
  const resources = service.at('deploy').at('resources');
  const hard = resources.at('limits');
  const soft = resources.at('reservations');
  const cpus = positive(agree(service, quotaCpus(service) ?? ['cpus', service.number('cpus')], hard, 'cpus'));
  const memory = positive(agree(service, ['mem_limit', service.bytes('mem_limit')], hard, 'memory'));
  const pids = positive(agree(service, ['pids_limit', service.number('pids_limit')], hard, 'pids'));
  const reserved = positive(agree(service, ['mem_reservation', service.bytes('mem_reservation')], soft, 'memory'));
  const reservedCpus = soft.number('cpus') ?? 0;
  const memorySwap = service.bytes('memswap_limit');
  const cpuShares = service.number('cpu_shares');
  const cpuset = service.text('cpuset');
  const swappiness = service.number('mem_swappiness');
  const unkillable = service.flag('oom_kill_disable') === true;
  const realtime = { runtime: service.number('cpu_rt_runtime') ?? 0, period: service.number('cpu_rt_period') ?? 0 };

  const memoryAt = hard.has('memory') ? hard.at('memory') : service.at('mem_limit');
  if (memory !== undefined && memory < minMemory) memoryAt.error(`${memory} bytes of memory are too few for a container`, memory < 65_536 ? `did you mean ${memory}m?` : 'give it 6m or more');
  const reservedAt = soft.has('memory') ? soft.at('memory') : service.at('mem_reservation');
  if (memory !== undefined && reserved !== undefined && reserved > memory) reservedAt.error('more memory is reserved than the limit allows');
  if (cpus !== undefined && reservedCpus > cpus) soft.at('cpus').error('more CPUs are reserved than the limit allows');
  if (memorySwap !== undefined && memorySwap > 0) {
    if (memory === undefined) service.at('memswap_limit').error('memswap_limit needs a memory limit', 'give mem_limit too');
    else if (memorySwap < memory) service.at('memswap_limit').error('memswap_limit is memory and swap together: it cannot be below the memory limit');
  }
  if (unkillable && memory === undefined) service.at('oom_kill_disable').error('oom_kill_disable needs a memory limit: without one the container takes the node down with it', 'give mem_limit too');
  if (realtime.runtime > (realtime.period || 1_000_000)) service.at('cpu_rt_runtime').error(`cpu_rt_runtime is more than the period of ${realtime.period || 1_000_000} microseconds`, 'make it smaller, or cpu_rt_period larger');
  if (cpuset !== undefined && !/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(cpuset)) service.at('cpuset').error(`${JSON.stringify(cpuset)} is no list of CPUs`, 'write such as "0-3" or "0,2"');
  return {
    limits: {
      ...(cpus === undefined ? {} : { cpus }),
      ...(cpuShares === undefined || cpuShares === 0 ? {} : { cpuShares }),
      ...(cpuset === undefined ? {} : { cpuset }),
      ...(memory === undefined ? {} : { memory }),
      ...(reserved === undefined ? {} : { memoryReservation: reserved }),
      ...(memorySwap === undefined || memorySwap === 0 ? {} : { memorySwap }),
      ...(pids === undefined ? {} : { pids }),
      ...(swappiness === undefined || swappiness < 0 ? {} : { memorySwappiness: swappiness }),
      ...(unkillable ? { oomKillDisable: true } : {}),
      ...(realtime.runtime === 0 ? {} : { cpuRealtimeRuntime: realtime.runtime }),
      ...(realtime.period === 0 ? {} : { cpuRealtimePeriod: realtime.period }),
    },
    reservations: { cpus: reservedCpus, memory: reserved ?? 0 },
  };
}

/** `cpu_quota` in parts of `cpu_period` is a number of CPUs. */
function quotaCpus(service: Reader): readonly [string, number] | undefined {
  const quota = service.number('cpu_quota');
  if (quota === undefined) {
    if (service.has('cpu_period') && !service.has('cpus')) service.at('cpu_period').error('cpu_period says nothing without cpu_quota', 'use cpus');
    return undefined;
  }
  if (service.has('cpus')) service.at('cpu_quota').error('cpus and cpu_quota say the same', 'keep cpus');
  return ['cpu_quota', quota < 0 ? 0 : quota / (service.number('cpu_period') ?? 100_000)];
}

function agree(service: Reader, [key, old]: readonly [string, number | undefined], section: Reader, name: string): number | undefined {
  const value = name === 'memory' ? section.bytes(name) : section.number(name);
  if (old !== undefined && value !== undefined && old !== value) {
    service.sink.error(service.at(key).mark, step(service.path, key), `${key} says ${old}, but ${name} under deploy.resources ${value}`, 'keep one of them');
  }
  return value ?? old;
}

/** 0 and -1 are how people write "no limit". */
function positive(value: number | undefined): number | undefined {
  return value !== undefined && value > 0 ? value : undefined;
}
