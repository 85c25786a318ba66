/**
 * Decisions per second of the scheduler, against a plain full scan (every node looked at for every pod) in the same run.
 * `node test/bench/scheduler.ts [--quick]`. Both sides only decide; nothing is written anywhere.
 */
import { parseConstraint } from '../../model/constraint/parse.ts';
import { demandOf } from '../../master/scheduler/demand.ts';
import { prepareAll } from '../../master/scheduler/filters/index.ts';
import { groupPods, type PendingPod } from '../../master/scheduler/group.ts';
import { seeded } from '../../master/scheduler/pick/random.ts';
import { Room } from '../../master/scheduler/room.ts';
import { schedule } from '../../master/scheduler/schedule.ts';
import type { ClusterState } from '../../master/scheduler/state.ts';
import type { ServiceSpec } from '../../model/spec.ts';
import { constraint, makeNode, makePod, makeSpec, makeState, spread, gib } from '../unit/master/scheduler/make.ts';

interface Case {
  readonly name: string;
  readonly nodes: number;
  readonly pods: number;
  /** Pods per service. */
  readonly size: number;
  readonly spec: ServiceSpec;
  /** Reference, not of this run: the best of swarmkit's own BenchmarkScheduler on 2 cores, tasks/s, commits to memory included. */
  readonly swarmkit?: number;
}

const plain = makeSpec({ cpus: 0.1, memory: gib / 64 });
const constrained = makeSpec({ cpus: 0.1, memory: gib / 64, where: ['type==frontend', 'zone!=c', 'node.platform.os==linux'] });
const soft = makeSpec({ cpus: 0.1, memory: gib / 64, where: ['type==frontend', 'disk==~ssd'] });
const zones = makeSpec({ cpus: 0.1, memory: gib / 64, where: ['type==frontend'], over: ['zone', 'rack'] });
const packed = makeSpec({ cpus: 0.1, memory: gib / 64, placement: { strategy: 'binpack', constraints: [constraint('type==frontend')] } });
const random = makeSpec({ cpus: 0.1, memory: gib / 64, placement: { strategy: 'random', constraints: [constraint('type==frontend')], spread: [spread('zone')] } });

const quick = process.argv.includes('--quick');
const cases: readonly Case[] = [
  { name: 'one service', nodes: 1000, pods: 10_000, size: 10_000, spec: plain, swarmkit: 22_100 },
  { name: 'one service', nodes: 5000, pods: 100_000, size: 100_000, spec: plain, swarmkit: 18_200 },
  { name: 'one service, 3 constraints', nodes: 5000, pods: 100_000, size: 100_000, spec: constrained },
  { name: '10k services of 1, 3 constraints', nodes: 1000, pods: 10_000, size: 1, spec: constrained, swarmkit: 11_000 },
  { name: '100k services of 1, 3 constraints', nodes: 5000, pods: 100_000, size: 1, spec: constrained, swarmkit: 3_050 },
  { name: '10k services of 10, 3 constraints', nodes: 5000, pods: 100_000, size: 10, spec: constrained },
  { name: 'one service, soft constraint', nodes: 5000, pods: 100_000, size: 100_000, spec: soft },
  { name: 'one service, spread over zone and rack', nodes: 5000, pods: 100_000, size: 100_000, spec: zones },
  { name: 'one service, binpack', nodes: 5000, pods: 100_000, size: 100_000, spec: packed },
  { name: 'one service, random', nodes: 5000, pods: 100_000, size: 100_000, spec: random },
];

function cluster(nodes: number): ClusterState {
  return makeState(Array.from({ length: nodes }, (_, index) => makeNode(index + 1, {
    cpus: 64, memory: 256 * gib, subnet: `10.${index >> 7}.${(index & 127) * 2}.0/23`,
    labels: { type: index % 2 === 0 ? 'frontend' : 'backend', zone: 'abcd'[index % 4] ?? '', rack: `r${index % 40}`, disk: index % 3 === 0 ? 'ssd' : 'hdd' },
  })));
}

function pendingPods({ pods, size, spec }: Case): readonly PendingPod[] {
  return Array.from({ length: pods }, (_, index) => ({ pod: makePod(`p${index}`, { service: `shop_s${Math.floor(index / size)}`, slot: (index % size) + 1 }), spec }));
}

/** The same rules by the plainest means: for each pod look at all nodes and keep the least. */
function fullScan(state: ClusterState, pending: readonly PendingPod[]): number {
  const room = new Room(state);
  const nodes = [...state.index.values()];
  let placed = 0;
  for (const group of groupPods(pending)) {
    const fits = prepareAll(group, room);
    const counts = room.counts(group.key);
    for (let i = 0; i < group.pods.length; i++) {
      let best = -1;
      for (const node of nodes) {
        if (!fits(node)) continue;
        if (best < 0) {
          best = node;
          continue;
        }
        const mine = counts.get(node) ?? 0;
        const least = counts.get(best) ?? 0;
        if (mine < least || (mine === least && room.podCount[node]! < room.podCount[best]!)) best = node;
      }
      if (best < 0) continue;
      room.place(best, group, group.pods[i]!);
      placed++;
    }
  }
  return placed;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}

function time(run: () => void): number {
  const start = performance.now();
  run();
  return performance.now() - start;
}

const rate = (count: number, ms: number) => Math.round((count / ms) * 1000);
const runs = quick ? 2 : 5;

console.log(`node ${process.version}; median of ${runs} runs (best); full scan: one run over as many pods as take about a second\n`);
console.log('| case | nodes | pods | decisions/s (best) | full scan/s | ratio | swarmkit, reference |');
console.log('|---|---|---|---|---|---|---|');
for (const one of cases) {
  const state = cluster(one.nodes);
  const pending = pendingPods(one);
  const times = Array.from({ length: runs }, () => time(() => {
    const result = schedule(state, pending, { random: seeded(1) });
    if (result.assignments.length !== one.pods) throw new Error(`${one.name}: only ${result.assignments.length} of ${one.pods} placed`);
  }));
  const sample = pending.slice(0, Math.max(100, Math.round(10_000_000 / one.nodes / 5)));
  const scan = rate(sample.length, time(() => fullScan(state, sample)));
  const mine = rate(one.pods, median(times));
  console.log(`| ${one.name} | ${one.nodes} | ${one.pods} | ${mine} (${rate(one.pods, Math.min(...times))}) | ${scan} | ${(mine / scan).toFixed(1)} | ${one.swarmkit ?? ''} |`);
}

// What a change costs once the cluster is full, and what the state weighs.
const big = cases[1]!;
globalThis.gc?.();
const before = process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
const state = cluster(big.nodes);
const pods = pendingPods(big);
const placement = schedule(state, pods, { random: seeded(1) });
const demand = demandOf(big.spec);
const fill = time(() => {
  for (const [index, { node }] of placement.assignments.entries()) state.setPod({ ...pods[index]!.pod, node }, demand);
});
globalThis.gc?.();
const after = process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
console.log(`\nstate: ${state.pods} pods on ${big.nodes} nodes took in ${rate(state.pods, fill)} pods/s; ${((after - before) / 1e6).toFixed(0)} MB with the pods themselves and the plan${globalThis.gc ? '' : ' (no --expose-gc: includes garbage)'}`);

const one = [{ pod: makePod('extra', { service: 'shop_extra' }), spec: constrained }];
const single = Array.from({ length: 50 }, () => time(() => schedule(state, one, { random: seeded(1) })));
const scale = [{ pod: makePod('extra', { service: 'shop_s0', slot: 100_001 }), spec: plain }];
const up = Array.from({ length: 50 }, () => time(() => schedule(state, scale, { random: seeded(1) })));
const hopeless = [{ pod: makePod('never', { service: 'shop_never' }), spec: makeSpec({ where: ['type==nowhere'] }) }];
const explained = Array.from({ length: 20 }, () => time(() => schedule(state, hopeless, { random: seeded(1) })));
const label = Array.from({ length: 50 }, (_, index) => time(() => state.setNode(makeNode(index + 1, { labels: { type: 'frontend', zone: 'b' } }))));
console.log(`one pod of a new service ${median(single).toFixed(2)} ms, one more of the service of 100k ${median(up).toFixed(2)} ms, one that fits nowhere, explained ${median(explained).toFixed(2)} ms, a node's label ${median(label).toFixed(3)} ms`);

const text = 'node.labels.type == /front(end|side)[0-9]+/';
const parses = time(() => {
  for (let i = 0; i < 10_000; i++) parseConstraint(text);
});
console.log(`parsing ${text}: ${rate(10_000, parses)}/s`);
