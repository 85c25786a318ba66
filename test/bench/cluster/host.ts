/** Every process of a host is killed: how long traffic still goes to its dead endpoint, and until its pods run elsewhere. */
import { killProcess, processesOf } from '../../cluster/lib/processes.ts';
import { until } from '../../cluster/lib/tsorch.ts';
import { startKnocking } from './exec.ts';
import type { Lab } from './lab.ts';
import type { Report } from './report.ts';
import { client, scripts, server } from './stacks.ts';
import { now } from './trace.ts';

const victim = 3;

export async function measureHostLoss(lab: Lab, report: Report, times: number): Promise<void> {
  report.section('Host lost', `SIGKILL of all processes of one of three hosts, with 6 replicas of a server on them (2 on the lost one) and a client on another host that connects through the virtual address every 2 ms. Its namespace stays, so connections to the dead are refused at once and can be counted. Worst is the p99 of ${times}.`);
  const spec = lab.spec(`services:\n${server('web', { replicas: 6 })}${client('client', 'node-1')}${scripts}`, 'h');
  await lab.up(spec, 7);
  const withdrawn: number[] = [];
  const replaced: number[] = [];
  const refused: number[] = [];
  const late: number[] = [];
  for (let i = 0; i < times; i++) {
    await settle(lab);
    const lost = lab.running('h').filter((pod) => pod.node === `node-${victim}`);
    if (lost.length === 0) throw new Error('no pod is on the host to be lost');
    const knocking = await startKnocking(lab, 'h_client.1', 'web', 7000, 2);
    const [supervisor] = processesOf(lab.cluster, 'supervisor');
    if (supervisor === undefined) throw new Error('no supervisor');
    // It must not start again what a lost host would not.
    process.kill(supervisor, 'SIGSTOP');
    try {
      const pids = processesOf(lab.cluster, `host-${victim}`);
      const killed = now();
      for (const pid of pids) killProcess(pid);
      const running = await lab.seen('the pods elsewhere', () => lost.every((old) => lab.running('h').some((pod) => pod.service === old.service && pod.slot === old.slot && pod.id !== old.id)), 30_000);
      replaced.push(running - killed);
      const { failures } = await knocking.stop();
      withdrawn.push((failures.at(-1)?.until ?? killed) - killed);
      refused.push(failures.length);
      late.push(failures.filter((failure) => failure.at > running).length);
    } finally {
      process.kill(supervisor, 'SIGCONT');
    }
    await lab.cluster.start();
    await until('the host to be back', async () => (await lab.cluster.nodes()).every((node) => node.state === 'ready'), 30_000);
  }
  await lab.down('h');
  report.row('kill → last refused connection', withdrawn, `refused per loss: ${refused.join(', ')}; after the replacements ran: ${late.reduce((a, b) => a + b, 0)}`);
  report.row('kill → replacements running and ready', replaced, 'the server\'s start and its health check included');
}

/** The service spread again: pods do not move back by themselves. */
async function settle(lab: Lab): Promise<void> {
  if (lab.running('h').filter((pod) => pod.service === 'h_web' && pod.node === `node-${victim}`).length >= 2) return;
  await lab.api.json('POST', '/v1/services/h_web/scale', { body: { replicas: 0 } });
  await lab.seen('the server to end', () => lab.of('h').every((pod) => pod.service !== 'h_web'));
  await lab.api.json('POST', '/v1/services/h_web/scale', { body: { replicas: 6 } });
  await lab.seen('six servers', () => lab.running('h').length === 7);
}
