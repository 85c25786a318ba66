/** What `stats` and `top` show, and in which order. Pure. */
import type { ContainerStats, NodeStats, Stats } from '../../model/stats.ts';
import { stateStyle } from '../output/color.ts';
import type { Column } from '../output/table.ts';
import { formatBytes, formatCpus } from '../output/values.ts';

/** Where nothing is known. */
const unknown = '--';

/** With `all` it is said of each whether it runs. */
export function containerColumns(nodes: readonly NodeStats[], all = false): readonly Column<ContainerStats>[] {
  // Without a limit of its own it may have what its node has.
  const whole = new Map(nodes.map(({ name, capacity }) => [name, capacity.memory]));
  const ofRunning = (cell: (container: ContainerStats) => string) => (container: ContainerStats) => (container.state === undefined ? cell(container) : unknown);
  const state = ({ state: idle = 'running' }: ContainerStats) => idle;
  return [
    { head: 'NAME', cell: (container) => container.name },
    { head: 'NODE', cell: (container) => container.node },
    ...(all ? [{ head: 'STATE', cell: state, style: (container: ContainerStats) => stateStyle(state(container)) }] : []),
    { head: 'CPU %', cell: ({ cpu }) => formatPercent(cpu.percent), align: 'right' },
    { head: 'MEM USAGE / LIMIT', cell: ofRunning(({ memory, node }) => pair(memory.used, memory.limit ?? whole.get(node) ?? 0)), align: 'right' },
    { head: 'MEM %', cell: ofRunning(({ memory }) => formatPercent(memory.percent)), style: ({ memory }) => pressureStyle(memory.percent), align: 'right' },
    { head: 'NET I/O', cell: ({ network }) => (network ? pair(network.received, network.sent) : unknown), align: 'right' },
    { head: 'BLOCK I/O', cell: ofRunning(({ block }) => pair(block.read, block.written)), align: 'right' },
    { head: 'PIDS', cell: ofRunning(({ pids }) => String(pids.current)), align: 'right' },
  ];
}

/** A pod's containers together. */
export interface PodUsage {
  readonly name: string;
  readonly podId: string;
  readonly stack: string;
  readonly service: string;
  readonly slot: number | string;
  readonly node: string;
  /** CPUs in use. */
  readonly cpus: number;
  /** Bytes. */
  readonly memory: number;
  readonly containers: number;
}

export function podsOf(containers: readonly ContainerStats[]): readonly PodUsage[] {
  const pods = new Map<string, PodUsage>();
  for (const { pod: name, podId, stack, service, slot, node, cpu, memory } of containers) {
    const sum = pods.get(podId) ?? { name, podId, stack, service, slot, node, cpus: 0, memory: 0, containers: 0 };
    pods.set(podId, { ...sum, cpus: Math.round((sum.cpus + (cpu.percent ?? 0) / 100) * 10_000) / 10_000, memory: sum.memory + memory.used, containers: sum.containers + 1 });
  }
  return [...pods.values()];
}

export type Order = 'cpu' | 'memory';

/** The most first; those that use nothing by name, as they came. */
export function sortPods(pods: readonly PodUsage[], order: Order): readonly PodUsage[] {
  return pods.toSorted((a, b) => (order === 'cpu' ? b.cpus - a.cpus || b.memory - a.memory : b.memory - a.memory || b.cpus - a.cpus));
}

/** Likewise; nodes that do not answer come last. */
export function sortNodes(nodes: readonly NodeStats[], order: Order): readonly NodeStats[] {
  const of = (node: NodeStats) => (node.used ? (order === 'cpu' ? node.used.cpus : node.used.memory) : -1);
  return nodes.toSorted((a, b) => of(b) - of(a));
}

export const nodeUsageColumns: readonly Column<NodeStats>[] = [
  { head: 'NODE', cell: (node) => node.name },
  { head: 'STATE', cell: (node) => node.state, style: (node) => stateStyle(node.state) },
  { head: 'CPU', cell: ({ used, capacity }) => `${used ? used.cpus.toFixed(2) : unknown} / ${formatCpus(capacity.cpus)}`, align: 'right' },
  { head: 'CPU %', cell: ({ used, capacity }) => share(used?.cpus, capacity.cpus), style: ({ used, capacity }) => pressureStyle(percent(used?.cpus, capacity.cpus)), align: 'right' },
  { head: 'RESERVED', cell: ({ allocated }) => formatCpus(allocated.cpus), align: 'right' },
  { head: 'MEMORY', cell: ({ used, capacity }) => `${used ? formatBytes(used.memory) : unknown} / ${formatBytes(capacity.memory)}`, align: 'right' },
  { head: 'MEM %', cell: ({ used, capacity }) => share(used?.memory, capacity.memory), style: ({ used, capacity }) => pressureStyle(percent(used?.memory, capacity.memory)), align: 'right' },
  { head: 'RESERVED', cell: ({ allocated }) => formatBytes(allocated.memory), align: 'right' },
  { head: 'PODS', cell: (node) => String(node.pods), align: 'right' },
];

export const podUsageColumns: readonly Column<PodUsage>[] = [
  { head: 'POD', cell: (pod) => pod.name },
  { head: 'NODE', cell: (pod) => pod.node },
  { head: 'CPU', cell: (pod) => pod.cpus.toFixed(2), align: 'right' },
  { head: 'MEMORY', cell: (pod) => formatBytes(pod.memory), align: 'right' },
];

/** Nodes of which nothing is known, a line each. */
export function missing({ nodes }: Pick<Stats, 'nodes'>): readonly string[] {
  return nodes.filter(({ used }) => used === null).map(({ name, message }) => `${name} ${message}`);
}

/** Narrow, for a terminal has eighty columns. */
function pair(a: number, b: number): string {
  return `${formatBytes(a)} / ${formatBytes(b)}`.replaceAll(/(\d) (?=[A-Z])/g, '$1');
}

export function formatPercent(value: number | null): string {
  return value === null ? unknown : `${value.toFixed(value < 9.995 ? 2 : 1)}%`;
}

function percent(used: number | undefined, whole: number): number | null {
  return used === undefined || whole === 0 ? null : (used / whole) * 100;
}

function share(used: number | undefined, whole: number): string {
  const value = percent(used, whole);
  return value === null ? unknown : `${Math.round(value)}%`;
}

function pressureStyle(value: number | null): 'red' | 'yellow' | undefined {
  if (value === null || value < 80) return undefined;
  return value < 95 ? 'yellow' : 'red';
}
