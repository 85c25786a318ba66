/** What a connection costs through the virtual address and the published port, over the endpoint's own address in the same rounds. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Lab } from './lab.ts';
import { median, type Report } from './report.ts';
import { client, prober, scripts, server } from './stacks.ts';

const run = promisify(execFile);
const port = { near: 30991, far: 30992, host: 7099 } as const;

export async function measureConnect(lab: Lab, report: Report, rounds: number): Promise<void> {
  report.section('Connect', 'connect() alone, one connection after another, closed by a reset, from a Python program in a container on node-1; `outside` from the machine. All targets in turn, round by round; ratios are of medians to the first row of the group.');
  const spec = lab.spec(`services:
${server('near', { replicas: 1, node: 'node-1', published: port.near })}${server('far', { replicas: 1, node: 'node-2', published: port.far })}${server('plain', { replicas: 1, node: 'node-1', hostNetwork: true, port: port.host, check: false })}${client('client', 'node-1')}${scripts}`, 'c');
  await lab.up(spec, 4);
  const ip = (service: string) => lab.of('c').find((pod) => pod.service === `c_${service}`)?.ip ?? '';
  const vip = (service: string) => lab.services.get(`c_${service}`)?.vips[0]?.ip ?? '';
  const node = await lab.cluster.address('node-1');
  const inside = ['near', 'far'].flatMap((name) => [
    `${name}, its own address=${ip(name)}:7000`, `${name}, virtual address (eBPF)=${vip(name)}:7000`, `${name}, published port of node-1=${node}:${port[name as 'near' | 'far']}`,
  ]);
  const { stdout } = await lab.cluster.exec('c_client.1', ['python3', '-S', '/prober.py', String(rounds), '20', ...inside], { timeoutMs: 120_000 });
  print(report, JSON.parse(stdout) as Record<string, number[]>, 3);
  const program = await lab.writeFile('prober.py', Buffer.from(prober));
  const outside = [`outside → a program on node-1=${node}:${port.host}`, `outside → published port, pod on node-1 (nftables)=${node}:${port.near}`, `outside → published port, pod on node-2 (nftables)=${node}:${port.far}`];
  print(report, JSON.parse((await run('python3', ['-S', program, String(rounds), '20', ...outside], { maxBuffer: 64 << 20 })).stdout) as Record<string, number[]>, 3);
  await lab.down('c');
}

function print(report: Report, times: Readonly<Record<string, readonly number[]>>, group: number): void {
  let base = Number.NaN;
  for (const [i, [name, values]] of Object.entries(times).entries()) {
    if (i % group === 0) base = median(values);
    report.row(name, values, i % group === 0 ? '' : `×${(median(values) / base).toFixed(2)}, ${(median(values) - base >= 0 ? '+' : '')}${(median(values) - base).toFixed(1)} µs`, 'µs');
  }
}
