/**
 * The whole, on a real cluster of three hosts of its own, beside its limits and Docker Swarm in the same run. As root:
 * `node test/bench/cluster.ts [--quick] [section…]`; sections: floors, memory, start, crash, endpoints, connect, rolling, host, swarm.
 * Prints tables and writes them to test/bench/results/cluster.md when all sections were run.
 */
import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import os from 'node:os';
import { join } from 'node:path';
import { buildImages } from '../../deploy/images/build.ts';
import { busyboxImage, dockerArchive } from '../contract/agent/runtime/busybox.ts';
import { measureConnect } from './cluster/connect.ts';
import { measureCrash } from './cluster/crash.ts';
import { endWithin } from './cluster/deadline.ts';
import { measureEndpoints } from './cluster/endpoints.ts';
import { measureFloors } from './cluster/floors.ts';
import { measureHostLoss } from './cluster/host.ts';
import { Lab } from './cluster/lab.ts';
import { measureMemory } from './cluster/memory.ts';
import { Report } from './cluster/report.ts';
import { measureRolling } from './cluster/rolling.ts';
import { measureStart } from './cluster/start.ts';
import { tinyImage } from './cluster/stacks.ts';
import { measureSwarm } from './cluster/swarm.ts';

const quick = process.argv.includes('--quick');
const named = process.argv.slice(2).filter((arg) => !arg.startsWith('-'));
const wanted = (name: string) => named.length === 0 || named.includes(name);
endWithin(8, 'cluster');

const report = new Report();
const archive = await dockerArchive(await busyboxImage(), [tinyImage]);
const sections: readonly (readonly [string, (lab: Lab) => Promise<void>])[] = [
  ['floors', (lab) => measureFloors(lab, report)],
  ['memory', (lab) => measureMemory(lab, report)],
  ['start', (lab) => measureStart(lab, report, quick ? { single: 5, ten: 2, fifty: 1 } : { single: 40, ten: 5, fifty: 5 })],
  ['crash', (lab) => measureCrash(lab, report, quick ? 3 : 10)],
  ['endpoints', (lab) => measureEndpoints(lab, report, quick ? 3 : 20)],
  ['connect', (lab) => measureConnect(lab, report, quick ? 20 : 100)],
  ['rolling', (lab) => measureRolling(lab, report, quick ? 1 : 2)],
  ['host', (lab) => measureHostLoss(lab, report, quick ? 1 : 5)],
];

if (sections.some(([name]) => wanted(name))) {
  const lab = await Lab.open();
  try {
    await lab.loadImage(await lab.writeFile('tiny.tar', archive));
    if (['connect', 'rolling', 'host'].some(wanted)) {
      const cache = '/var/cache/tsorch/images';
      const [python] = await buildImages({ out: `${cache}/archives`, cache, names: ['voting-vote'], say: () => {} });
      await lab.loadImage(python?.path ?? '');
    }
    for (const [name, measure] of sections) if (wanted(name)) await measure(lab);
  } finally {
    await lab.close();
  }
}
if (wanted('swarm')) await measureSwarm(report, archive, quick);

const text = `# The whole, measured

\`node test/bench/cluster.ts\` on ${new Date().toISOString().slice(0, 10)}: ${machine()}.
${versions()}
Compare within a table: minima are fair, medians typical of a machine that others use too.

${report.markdown()}`;
process.stdout.write(text);
if (named.length === 0 && !quick) {
  const directory = join(import.meta.dirname, 'results');
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'cluster.md'), text);
}
process.exit(0);

function machine(): string {
  return `${os.cpus().length} × ${os.cpus()[0]?.model.trim() ?? 'CPU'}, ${Math.round(os.totalmem() / 2 ** 30)} GiB, Linux ${os.release()}, load ${os.loadavg()[0]?.toFixed(1)}`;
}

function versions(): string {
  const first = (command: string, ...args: string[]) => {
    try {
      return execFileSync(command, args, { stdio: ['ignore', 'pipe', 'ignore'] }).toString().split('\n')[0] ?? '';
    } catch {
      return `${command} absent`;
    }
  };
  return `tsorch with ${first('crun', '--version')} as OCI runtime, ${first('containerd', '--version').replace(/ [\da-f]{40}$/, '')}, ${first('etcd', '--version')}, Node ${process.version}.`;
}
