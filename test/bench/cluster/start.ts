/** Apply → all running, and remove → everything gone, for some numbers of pods on one host and on three; one pod step by step. */
import { cpuOf } from './cpu.ts';
import type { Lab } from './lab.ts';
import { programs } from './programs.ts';
import type { Report } from './report.ts';
import { idle, type IdleOptions } from './stacks.ts';
import { type ContainerdEvent, traceContainerd } from './trace.ts';

export interface Plan {
  readonly single: number;
  readonly ten: number;
  readonly fifty: number;
}

export async function measureStart(lab: Lab, report: Report, plan: Plan): Promise<void> {
  report.section('Apply → all running', 'Replicas of a busybox that sleeps, image present, no health check (running is ready), each pod on the overlay unless `host network` is said. From the call of the API to the API\'s stream showing the last pod as running.');
  const gone = new Map<string, number[]>();
  await repeat(lab, { replicas: 1, node: 'node-1' }, 2);
  const cases: readonly { readonly name: string; readonly options: IdleOptions; readonly times: number }[] = [
    { name: '10 pods, 1 host', options: { replicas: 10, node: 'node-1' }, times: plan.ten },
    { name: '10 pods, 3 hosts', options: { replicas: 10 }, times: plan.ten },
    { name: '50 pods, 1 host', options: { replicas: 50, node: 'node-1' }, times: plan.fifty },
    { name: '50 pods, 1 host, host network', options: { replicas: 50, node: 'node-1', hostNetwork: true }, times: plan.fifty },
    { name: '50 pods, 3 hosts', options: { replicas: 50 }, times: plan.fifty },
  ];
  let fifty: ReadonlyMap<string, readonly number[]> = new Map();
  const steps = await single(lab, plan.single);
  report.row('1 pod', steps.map((step) => step.running - step.called));
  gone.set('1 pod', steps.map((step) => step.gone));
  for (const { name, options, times } of cases) {
    const { up, down, cpu } = await repeat(lab, options, times);
    if (name === '50 pods, 1 host') fifty = cpu;
    report.row(name, up);
    gone.set(name, down);
  }
  reportSteps(report, steps);
  reportCpu(report, fifty, 50);
  report.section('Remove → everything gone', 'From the call of the API until no record, container, namespace and cgroup of any pod is left.');
  for (const [name, values] of gone) report.row(name, values);
}

async function repeat(lab: Lab, options: IdleOptions, times: number): Promise<{ readonly up: number[]; readonly down: number[]; readonly cpu: Map<string, number[]> }> {
  const up: number[] = [];
  const down: number[] = [];
  const cpu = new Map<string, number[]>();
  for (let i = 0; i < times; i++) {
    const before = new Map(Array.from(programs(lab), ([name, pids]) => [name, cpuOf(pids)]));
    const { called, running } = await lab.up(lab.spec(idle(options), 'b'), options.replicas);
    up.push(running - called);
    for (const [name, pids] of programs(lab)) cpu.set(name, [...(cpu.get(name) ?? []), cpuOf(pids) - (before.get(name) ?? 0)]);
    down.push(await lab.down('b'));
  }
  return { up, down, cpu };
}

const working = ['master', 'etcd', 'host-1', 'containerd-1', 'shims of node-1'];

/** CPU time is what remains comparable when others use the machine. */
function reportCpu(report: Report, cpu: ReadonlyMap<string, readonly number[]>, pods: number): void {
  report.section(`CPU time of starting ${pods} pods on one host, per pod`, 'With what the programs have started: `shims` holds the OCI runtime\'s `create` and `start`, `containerd` the starts of the shims.');
  const each = working.map((name) => (cpu.get(name) ?? []).map((ms) => ms / pods));
  for (const [i, name] of working.entries()) report.row(name, each[i] ?? []);
  report.row('all', (each[0] ?? []).map((_, round) => each.reduce((sum, values) => sum + (values[round] ?? 0), 0)));
}

interface Steps {
  readonly called: number;
  readonly answered: number;
  readonly decided: number;
  readonly taken: number;
  readonly created: number;
  readonly asked: number;
  readonly made: number;
  readonly started: number;
  readonly told: number;
  readonly running: number;
  readonly gone: number;
}

async function single(lab: Lab, times: number): Promise<Steps[]> {
  const over = new AbortController();
  const events = traceContainerd(lab.containerd(1), over.signal);
  const spec = lab.spec(idle({ replicas: 1, node: 'node-1' }), 'b');
  const result: Steps[] = [];
  try {
    for (let i = 0; i < times; i++) {
      lab.trace.clear();
      events.length = 0;
      const times = await lab.up(spec, 1);
      await new Promise((resolve) => setTimeout(resolve, 20));
      const { trace } = lab;
      const status = (phase: string) => (trace.changes.find((change) => change.kind === 'podstatus' && change.entry?.value.phase === phase));
      const assigned = trace.changes.find((change) => change.kind === 'podstatus');
      result.push({
        ...times,
        decided: trace.first((change) => change.kind === 'pods' && typeof change.entry?.value.node === 'string'),
        // The agent's own clock, in whole milliseconds.
        taken: assigned?.kind === 'podstatus' ? (assigned.entry?.value.since ?? Number.NaN) : Number.NaN,
        created: at(events, '/containers/create'),
        asked: at(events, '/snapshot/prepare'),
        made: at(events, '/tasks/create'),
        started: at(events, '/tasks/start'),
        told: status('running')?.at ?? Number.NaN,
        gone: await lab.down('b'),
      });
    }
  } finally {
    over.abort();
  }
  return result;
}

function at(events: readonly ContainerdEvent[], topic: string): number {
  return events.find((event) => event.topic === topic)?.at ?? Number.NaN;
}

function reportSteps(report: Report, steps: readonly Steps[]): void {
  report.section('One pod, step by step', 'By etcd\'s changes, containerd\'s events and the agent\'s own times. Steps overlap where they can, so they are points on the way rather than a sum.');
  const row = (what: string, from: keyof Steps, to: keyof Steps, note = '') => report.row(what, steps.map((step) => step[to] - step[from]), note);
  row('apply: call → answer', 'called', 'answered');
  row('call → pod with its place in etcd', 'called', 'decided');
  row('etcd → agent has the assignment', 'decided', 'taken', 'agent\'s clock, whole ms');
  row('agent: assignment → snapshot', 'taken', 'asked', 'record, files, namespace and link');
  row('agent: snapshot → container record', 'asked', 'created');
  row('agent: container record → created', 'created', 'made', 'shim and `create` of the OCI runtime');
  row('agent: created → started', 'made', 'started', '`start` of the OCI runtime');
  row('started → status in etcd', 'started', 'told');
  row('status in etcd → seen at the API', 'told', 'running');
}

