/** A rolling update of ten, one at a time, under load through the virtual address and the published port. */
import { startLoad } from './knock.ts';
import { startKnocking } from './exec.ts';
import type { Lab } from './lab.ts';
import type { Report } from './report.ts';
import { client, scripts, server } from './stacks.ts';

const replicas = 10;
const published = 30990;

export async function measureRolling(lab: Lab, report: Report, times: number): Promise<void> {
  report.section('Rolling update of 10, one at a time', 'Python servers with a health check on three hosts; one client in a container on the virtual address, one outside on the published ports of all hosts, a new connection every 5 ms each. From the call of apply until all ten are new, running and ready, and no old one is left.');
  let version = 0;
  const spec = (order: 'start-first' | 'stop-first') => lab.spec(`services:\n${server('web', { replicas, published, order, version: version++ })}${client('client', 'node-1')}${scripts}`, 'r');
  await lab.up(spec('start-first'), replicas + 1);
  const addresses = (await lab.cluster.nodes()).map((node) => node.address);
  for (const order of ['start-first', 'stop-first'] as const) {
    const took: number[] = [];
    let sent = 0;
    const failures: string[] = [];
    for (let i = 0; i < times; i++) {
      const old = new Set(lab.of('r').filter((pod) => pod.service === 'r_web').map((pod) => pod.id));
      const inside = await startKnocking(lab, 'r_client.1', 'web', 7000, 5);
      const outside = startLoad(addresses, published, 5);
      const { called } = await lab.apply(spec(order));
      const over = await lab.seen('the new ones', () => {
        const web = lab.of('r').filter((pod) => pod.service === 'r_web');
        return web.every((pod) => !old.has(pod.id)) && web.filter((pod) => pod.ready && pod.state === 'running').length === replicas;
      }, 120_000);
      took.push(over - called);
      const [a, b] = await Promise.all([inside.stop(), outside.stop()]);
      sent += a.sent + b.sent;
      failures.push(...a.failures.map(({ error }) => `virtual address: ${error}`), ...b.failures);
    }
    report.row(order, took, `${failures.length} of ${sent} requests failed${failures.length === 0 ? '' : `: ${[...new Set(failures)].slice(0, 3).join('; ')}`}`);
  }
  await lab.down('r');
}
