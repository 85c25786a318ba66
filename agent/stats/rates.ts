/** Two readings → what was used between them. Pure. */
import type { AgentStats, ContainerUsage, HostUsage } from '../../model/stats.ts';
import type { CgroupUsage, HostReading } from './parse.ts';

export interface ContainerReading {
  readonly podId: string;
  readonly container: string;
  readonly attempt: number;
  /** Monotonic milliseconds. */
  readonly at: number;
  readonly usage: CgroupUsage;
}

export interface PodReading {
  readonly containers: readonly ContainerReading[];
  readonly network: ContainerUsage['network'];
}

export interface Reading {
  readonly host: HostReading;
  readonly pods: readonly PodReading[];
}

/** `after` as people want it, with rates since `before`. */
export function statsBetween(before: Reading, after: Reading): AgentStats {
  const earlier = new Map(before.pods.flatMap(({ containers }) => containers.map((reading) => [keyOf(reading), reading] as const)));
  return {
    host: hostBetween(before.host, after.host),
    containers: after.pods.flatMap(({ containers, network }) =>
      containers.map((reading, at): ContainerUsage => {
        const { cpuNs, memory, pids, block } = reading.usage;
        const { podId, container, attempt } = reading;
        const known = earlier.get(keyOf(reading));
        return { podId, container, attempt, cpu: { percent: known ? percentBetween(known, reading) : null, seconds: cpuNs / 1e9 }, memory, pids, block, network: at === 0 ? network : null };
      })),
  };
}

/** null where there is nothing to divide by, or the counter began anew. */
function percentBetween(before: ContainerReading, after: ContainerReading): number | null {
  const ns = after.usage.cpuNs - before.usage.cpuNs;
  const ms = after.at - before.at;
  return ms > 0 && ns >= 0 ? round((ns / 1e6 / ms) * 100) : null;
}

function hostBetween(before: HostReading, after: HostReading): HostUsage {
  const total = after.total - before.total;
  const share = total > 0 ? Math.min(1, Math.max(0, (after.busy - before.busy) / total)) : 0;
  return { cpus: round(share * after.cpus), memory: after.memory };
}

function keyOf({ podId, container, attempt }: ContainerReading): string {
  return `${podId} ${container} ${attempt}`;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
