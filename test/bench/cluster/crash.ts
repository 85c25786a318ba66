/** A container's process is killed: how long until its replacement runs. */
import { readFileSync } from 'node:fs';
import type { PodDetail } from '../../../model/api.ts';
import type { Lab } from './lab.ts';
import type { Report } from './report.ts';
import { idle } from './stacks.ts';
import { now } from './trace.ts';

export async function measureCrash(lab: Lab, report: Report, times: number): Promise<void> {
  report.section('Container killed → replacement running', 'SIGKILL of the container\'s process; each pod crashes once, so no backoff of an earlier crash counts.');
  await lab.up(lab.spec(idle({ replicas: times, node: 'node-1' }), 'b'), times);
  const api: number[] = [];
  const told: number[] = [];
  for (const { id } of lab.running('b')) {
    const pid = (await detail(lab, id)).status?.containers[0]?.pid;
    if (pid === undefined) throw new Error(`pod ${id} has no process`);
    lab.trace.clear();
    const killed = now();
    process.kill(pid, 'SIGKILL');
    const seen = await lab.seen('the replacement', () => {
      const pod = lab.pods.get(id);
      return pod?.restarts === 1 && pod.state === 'running' && pod.ready;
    });
    const fresh = (await detail(lab, id)).status?.containers[0]?.pid;
    if (fresh === undefined || fresh === pid || !readFileSync(`/proc/${fresh}/comm`, 'utf8').startsWith('sleep')) throw new Error(`pod ${id} was not replaced`);
    api.push(seen - killed);
    told.push(lab.trace.first((change) => change.kind === 'podstatus' && change.id === id && change.entry?.value.restarts === 1 && change.entry.value.ready) - killed);
  }
  report.row('kill → running, at the API', api);
  report.row('kill → running, in etcd', told);
  await lab.down('b');
}

function detail(lab: Lab, id: string): Promise<PodDetail> {
  return lab.api.get<PodDetail>(`/v1/pods/${id}`);
}
