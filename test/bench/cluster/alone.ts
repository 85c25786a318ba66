/** What no orchestrator on containerd can be faster than: containers of a pod's own spec, made by containerd's API with nothing around it. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ContainerdClient } from '../../../agent/runtime/client.ts';
import { defaultParallel } from '../../../agent/runtime/containerd.ts';
import { Limit } from '../../../lib/limit.ts';
import { type Container, ContainersService } from '../../../proto/gen/containerd/containers.ts';
import { SnapshotsService } from '../../../proto/gen/containerd/snapshots.ts';
import { TasksService } from '../../../proto/gen/containerd/tasks.ts';
import type { Any } from '../../../proto/gen/containerd/types.ts';

interface Spec {
  annotations: Record<string, string>;
  linux: { cgroupsPath: string; namespaces: readonly { type: string; path?: string }[] };
}

const cgroup = '/t-bench-alone';

/** Copies of one container that runs, each with a network namespace and a cgroup of its own; milliseconds of each round, all started. */
export async function startAlone(options: { readonly socket: string; readonly container: string; readonly dir: string; readonly count: number; readonly rounds: number }): Promise<number[]> {
  const { socket, container, dir, count, rounds } = options;
  const client = new ContainerdClient({ socket });
  const out = join(dir, 'alone');
  await mkdir(out);
  try {
    const found = (await client.call(ContainersService.get, { id: container })).container;
    if (!found) throw new Error(`there is no container ${container}`);
    const parent = (await client.call(SnapshotsService.stat, { snapshotter: found.snapshotter, key: found.snapshotKey })).info?.parent ?? '';
    const ids = Array.from({ length: count }, (_, i) => `bench-alone.c${i}.1`);
    await Promise.all(ids.flatMap((id) => [writeFile(join(out, `${id}.out`), ''), writeFile(join(out, `${id}.err`), '')]));
    const times: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const limit = new Limit(defaultParallel);
      const begun = performance.now();
      await Promise.all(ids.map((id) => limit.run(() => start(client, found, parent, id, join(out, id)))));
      times.push(performance.now() - begun);
      await Promise.all(ids.map((id) => limit.run(() => remove(client, found.snapshotter, id))));
    }
    return times;
  } finally {
    client.close();
    await rm(out, { recursive: true, force: true });
  }
}

async function start(client: ContainerdClient, like: Container, parent: string, id: string, output: string): Promise<void> {
  const { snapshotter, image, runtime } = like;
  const [{ mounts }] = await Promise.all([
    client.call(SnapshotsService.prepare, { snapshotter, key: id, parent, labels: { 'containerd.io/gc.root': new Date().toISOString() } }),
    client.call(ContainersService.create, { container: { id, labels: {}, image, runtime, spec: specOf(like, id), snapshotter, snapshotKey: id, extensions: {} } }),
  ]);
  await client.call(TasksService.create, { containerId: id, rootfs: mounts, stdin: '', stdout: `${output}.out`, stderr: `${output}.err`, terminal: false, options: runtime?.options });
  await client.call(TasksService.start, { containerId: id, execId: '' });
}

async function remove(client: ContainerdClient, snapshotter: string, id: string): Promise<void> {
  await client.call(TasksService.kill, { containerId: id, execId: '', signal: 9, all: false });
  await client.call(TasksService.wait, { containerId: id, execId: '' });
  await client.call(TasksService.delete, { containerId: id });
  await client.call(ContainersService.delete, { id });
  await client.call(SnapshotsService.remove, { snapshotter, key: id });
}

function specOf(like: Container, id: string): Any {
  const spec = JSON.parse(like.spec?.value.toString('utf8') ?? '') as Spec;
  spec.linux.cgroupsPath = `${cgroup}/${id}`;
  spec.linux.namespaces = spec.linux.namespaces.map(({ type, path }) => (type === 'network' || path === undefined ? { type } : { type, path }));
  spec.annotations = Object.fromEntries(Object.entries(spec.annotations ?? {}).map(([key, value]) => [key, key.endsWith('.group') ? id : value]));
  return { typeUrl: like.spec?.typeUrl ?? '', value: Buffer.from(JSON.stringify(spec)) };
}
