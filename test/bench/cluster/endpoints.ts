/** An endpoint changes: how long until the kernel of every host has it, by the drain handshake's own commits. */
import type { Lab } from './lab.ts';
import type { Report } from './report.ts';
import { idle } from './stacks.ts';

export async function measureEndpoints(lab: Lab, report: Report, times: number): Promise<void> {
  report.section('Endpoint change → kernel of every host', 'From the change\'s commit to the commit that follows the last proxy\'s acknowledgement, as an etcd watch sees both: the second commit is included.');
  const spec = lab.spec(idle({ replicas: 3 }), 'e');
  await lab.up(spec, 3);
  const took: number[] = [];
  for (let i = 0; i < times; i++) {
    lab.trace.clear();
    await lab.api.json('POST', '/v1/services/e_idle/scale', { body: { replicas: 2 } });
    await lab.seen('one pod less', () => lab.of('e').length === 2);
    const draining = lab.trace.changes.find((change) => change.kind === 'pods' && change.entry?.value.desired === 'draining');
    const stopped = lab.trace.first((change) => change.kind === 'pods' && change.id === draining?.id && change.entry?.value.desired === 'stopped');
    took.push(stopped - (draining?.at ?? Number.NaN));
    await lab.api.json('POST', '/v1/services/e_idle/scale', { body: { replicas: 3 } });
    await lab.seen('three pods again', () => lab.running('e').length === 3);
  }
  await lab.down('e');
  report.row('draining in etcd → stopped in etcd, 3 hosts', took);
}
