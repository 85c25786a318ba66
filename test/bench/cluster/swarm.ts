/** Docker Swarm on the same machine for the same work: one manager in a network, mount and PID namespace of its own. */
import type { Report } from './report.ts';
import { startDocker, type Docker } from './docker.ts';
import { now } from './trace.ts';

const name = 'bench';

interface Task {
  readonly Slot: number;
  readonly ID: string;
  readonly DesiredState: string;
  readonly Status: { readonly State: string; readonly ContainerStatus?: { readonly PID?: number; readonly ContainerID?: string } };
}

export async function measureSwarm(report: Report, archive: Uint8Array, quick: boolean): Promise<void> {
  const docker = await startDocker().catch((error: unknown) => {
    process.stderr.write(`Docker Swarm could not be started: ${String(error)}\n`);
    return null;
  });
  if (!docker) {
    report.section('Docker Swarm', 'Absent here; what it took on a machine of this kind.');
    references(report);
    return;
  }
  report.section('Docker Swarm', `Docker ${docker.version}; the same image and command with \`--network host\`, stop signal SIGKILL, one manager that is also the worker; asked every 10 ms.`);
  try {
    const image = await docker.load(archive);
    for (const [count, times] of [[1, quick ? 1 : 4], [10, quick ? 1 : 3], [50, quick ? 1 : 3]] as const) {
      const up: number[] = [];
      const down: number[] = [];
      for (let i = 0; i < times; i++) {
        up.push(await create(docker, image, count));
        down.push(await remove(docker));
      }
      report.row(`create → running, ${count}`, up);
      report.row(`remove → containers gone, ${count}`, down);
    }
    report.row('container killed → replacement running, default restart delay', await crash(docker, image, quick ? 1 : 3, undefined));
    report.row('container killed → replacement running, `--restart-delay 0s`', await crash(docker, image, quick ? 1 : 5, 0));
  } finally {
    await docker.close();
  }
}

function references(report: Report): void {
  const all = { 'create → running, 1': '398 ms', 'create → running, 10': '907 ms', 'create → running, 50': '3750 ms', 'remove → containers gone, 1': '5590 ms', 'remove → containers gone, 50': '6880 ms', 'container killed → replacement running, default restart delay': '5340 ms', 'container killed → replacement running, `--restart-delay 0s`': '400 ms' };
  for (const [what, text] of Object.entries(all)) report.reference(what, text);
}

async function create(docker: Docker, image: string, replicas: number, restartDelayMs?: number): Promise<number> {
  const begun = now();
  await docker.call('POST', '/services/create', {
    Name: name,
    TaskTemplate: {
      ContainerSpec: { Image: image, Command: ['sleep', '1000000'], StopSignal: 'SIGKILL' },
      Networks: [{ Target: 'host' }],
      ...(restartDelayMs === undefined ? {} : { RestartPolicy: { Condition: 'any', Delay: restartDelayMs * 1_000_000 } }),
    },
    Mode: { Replicated: { Replicas: replicas } },
  });
  await docker.until(`${replicas} tasks to run`, async () => (await running(docker)).length === replicas);
  return now() - begun;
}

async function remove(docker: Docker): Promise<number> {
  const begun = now();
  await docker.call('DELETE', `/services/${name}`);
  await docker.until('containers to go', async () => (await docker.call<unknown[]>('GET', '/containers/json?all=true')).length === 0);
  return now() - begun;
}

async function running(docker: Docker): Promise<Task[]> {
  return (await docker.call<Task[]>('GET', '/tasks')).filter((task) => task.Status.State === 'running' && task.DesiredState === 'running');
}

async function crash(docker: Docker, image: string, times: number, restartDelayMs: number | undefined): Promise<number[]> {
  await create(docker, image, times, restartDelayMs);
  const took: number[] = [];
  for (const { ID, Slot, Status } of await running(docker)) {
    const begun = now();
    await docker.call('POST', `/containers/${Status.ContainerStatus?.ContainerID ?? ''}/kill?signal=KILL`);
    await docker.until('the replacement', async () => (await running(docker)).some((task) => task.Slot === Slot && task.ID !== ID));
    took.push(now() - begun);
  }
  await remove(docker);
  return took;
}
