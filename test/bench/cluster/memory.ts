/** What every process of a cluster holds in memory. */
import { readFileSync } from 'node:fs';
import type { Lab } from './lab.ts';
import { programs } from './programs.ts';
import type { Report } from './report.ts';
import { idle } from './stacks.ts';

interface Memory {
  readonly rss: number;
  readonly pss: number;
  readonly count: number;
}

export async function measureMemory(lab: Lab, report: Report): Promise<void> {
  report.section('Memory', 'RSS counts shared pages in full, PSS by share. `host` is the host\'s agent and proxy in one process.');
  const before = kinds(lab);
  print(report, 'idle', before);
  await lab.up(lab.spec(idle({ replicas: 50, node: 'node-1' }), 'b'), 50);
  const after = kinds(lab);
  print(report, '50 pods on node-1', after);
  const on = (all: ReadonlyMap<string, Memory>) => ['host-1', 'containerd-1', 'shims of node-1'].reduce((sum, name) => sum + (all.get(name)?.pss ?? 0), 0);
  const fresh = (on(after) - on(before)) / 50;
  report.row('per container: host, containerd and shims, PSS', [fresh], 'the containers\' own memory not counted', 'MB');
  await lab.down('b');
}

function kinds(lab: Lab): Map<string, Memory> {
  return new Map(Array.from(programs(lab), ([name, pids]) => {
    const found = pids.map(memoryOf).filter((each) => each.rss > 0);
    return [name, { rss: found.reduce((sum, each) => sum + each.rss, 0), pss: found.reduce((sum, each) => sum + each.pss, 0), count: found.length }];
  }));
}

function print(report: Report, when: string, all: ReadonlyMap<string, Memory>): void {
  for (const [name, { rss, pss, count }] of all) {
    if (count > 0) report.row(`${when}: ${name}${count > 1 ? ` × ${count}` : ''}, PSS`, [pss], `RSS ${rss.toFixed(1)} MB`, 'MB');
  }
}

function memoryOf(pid: number): { readonly rss: number; readonly pss: number } {
  try {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    const megabytes = (key: string) => Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0) / 1024;
    return { rss: megabytes('Rss'), pss: megabytes('Pss') };
  } catch {
    return { rss: 0, pss: 0 };
  }
}
