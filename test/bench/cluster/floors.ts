/**
 * What nothing can be faster than: the OCI runtime alone, containerd with it and nobody else, one durable write to the cluster's etcd, the
 * API's round trip.
 */
import { execFileSync } from 'node:child_process';
import { copyFile, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startAlone } from './alone.ts';
import type { Lab } from './lab.ts';
import type { Report } from './report.ts';
import { idle } from './stacks.ts';

export async function measureFloors(lab: Lab, report: Report): Promise<void> {
  report.section('Floors', 'On the same machine, in the same run.');
  const bundle = join(lab.cluster.dir, 'bundle');
  await mkdir(join(bundle, 'rootfs/bin'), { recursive: true });
  for (const directory of ['proc', 'sys', 'dev']) await mkdir(join(bundle, 'rootfs', directory));
  await copyFile('/bin/busybox', join(bundle, 'rootfs/bin/busybox'));
  await symlink('busybox', join(bundle, 'rootfs/bin/true'));
  execFileSync('crun', ['spec'], { cwd: bundle });
  const spec = JSON.parse(await readFile(join(bundle, 'config.json'), 'utf8')) as { process: { terminal: boolean; args: string[] }; linux: { cgroupsPath?: string } };
  spec.process.terminal = false;
  spec.process.args = ['/bin/true'];
  spec.linux.cgroupsPath = '/t-bench-floor';
  await writeFile(join(bundle, 'config.json'), JSON.stringify(spec));
  const runs = Array.from({ length: 20 }, (_, i) => time(() => execFileSync('crun', ['run', '--bundle', bundle, `t-bench-floor-${i}`], { stdio: 'ignore' })));
  report.row('`crun run` of `true`, a private network', runs);
  await rm(bundle, { recursive: true });

  await lab.up(lab.spec(idle({ replicas: 1, node: 'node-1' }), 'like'), 1);
  const alone = async (count: number, rounds: number) => await startAlone({ socket: lab.containerd(1), container: `${lab.of('like')[0]?.id ?? ''}.idle.1`, dir: lab.cluster.dir, count, rounds });
  await alone(1, 2);
  report.row('containerd alone: 1 container of a pod\'s spec', await alone(1, 20));
  report.row('containerd alone: 50 at once', await alone(50, 5), 'no orchestrator: as few calls of its API as it takes');
  await lab.down('like');

  const puts: number[] = [];
  for (let i = 0; i < 200; i++) {
    const begun = performance.now();
    await lab.trace.store.commit([{ op: 'put', kind: 'events', id: 'bench', value: { id: 'bench', at: i, subject: 'bench', message: '' } }]);
    puts.push(performance.now() - begun);
  }
  await lab.trace.store.commit([{ op: 'delete', kind: 'events', id: 'bench' }]);
  report.row('etcd: one commit, one after another', puts);

  const gets: number[] = [];
  for (let i = 0; i < 100; i++) {
    const begun = performance.now();
    await lab.api.get('/v1/version');
    gets.push(performance.now() - begun);
  }
  report.row('API: GET /v1/version', gets);
}

function time(run: () => unknown): number {
  const begun = performance.now();
  run();
  return performance.now() - begun;
}
