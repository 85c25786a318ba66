/** What dies in the middle: containerd, shims, the agent itself. Containers and answers must not be lost. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { cgroupProcesses, readCgroupLayout } from '../../../../agent/runtime/cgroup.ts';
import { ContainerdClient, defaultNamespace } from '../../../../agent/runtime/client.ts';
import { openContainerdRuntime } from '../../../../agent/runtime/containerd.ts';
import { startContainerd } from '../../../../agent/runtime/daemon.ts';
import { shimSocket } from '../../../../agent/runtime/ids.ts';
import { layerDirectories } from '../../../../agent/runtime/image-files.ts';
import type { CreateRequest, ImageHandle } from '../../../../agent/runtime/port.ts';
import { findProcesses, identify, isAlive } from '../../../../agent/runtime/proc.ts';
import { stopContainerd } from '../../../../agent/runtime/teardown.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { listMounts, mount } from '../../../../lib/linux/mount.ts';
import { silentLog } from '../../../../lib/log.ts';
import type { TsorchError } from '../../../../model/errors.ts';
import type { ContainerSpec } from '../../../../model/spec.ts';
import { SnapshotsService } from '../../../../proto/gen/containerd/snapshots.ts';
import { asStream, busyboxImage, dockerArchive } from './busybox.ts';
import { type ContainerdHost, request, startHost } from './containerd-host.ts';
import { text } from './suite.ts';

const forever = new AbortController().signal;
const [clock, log] = [systemClock, silentLog];

describe('crashes', () => {
  let host: ContainerdHost;
  let image: ImageHandle;
  let number = 0;

  beforeAll(async () => {
    host = await startHost('crash');
    await host.images.load(asStream(await dockerArchive(await busyboxImage(), ['tsorch-test:busybox'])));
    image = await host.images.get('tsorch-test:busybox');
  });
  afterAll(() => host?.close());
  afterEach(async () => {
    // A test that failed leaves its containers to nobody.
    for (const { id } of await host.runtime.list()) await insist(() => host.runtime.remove(id));
  }, 120_000);

  const asked = async (command: readonly string[], pod = `k${++number}`, spec: Partial<ContainerSpec> = {}): Promise<CreateRequest> => {
    const made = request(`${pod}.c${++number}.1`, image, host.logDir, { command, ...spec });
    await Promise.all([writeFile(made.stdout, ''), writeFile(made.stderr, '')]);
    return made;
  };
  const run = async (command: readonly string[], pod?: string): Promise<CreateRequest & { readonly pid: number }> => {
    const made = await asked(command, pod);
    const { pid } = await host.runtime.create(made);
    await host.runtime.start(made.id);
    return { ...made, pid };
  };
  const killDaemon = async () => {
    const daemon = host.daemon.process();
    if (!daemon) throw new Error('no daemon');
    process.kill(daemon.pid, 'SIGKILL');
    await vi.waitFor(async () => expect(await isAlive(daemon)).toBe(false));
    return daemon;
  };

  test('containerd killed: containers, waits, watches, exits and execs go on', async () => {
    const stays = await run(['sleep', '1000']);
    const ends = await run(['sh', '-c', 'while [ ! -e /tmp/end ]; do sleep 0.05; done; exit 42']);
    const controller = new AbortController();
    const exits: (readonly [string, number])[] = [];
    let resyncs = 0;
    host.runtime.watch({ exit: (id, { code }) => void exits.push([id, code]), oom: () => {}, resync: () => void resyncs++ }, controller.signal);
    await vi.waitFor(() => expect(resyncs).toBe(1), { timeout: 10_000 });
    const waits = [host.runtime.wait(ends.id, forever), host.runtime.wait(stays.id, forever)] as const;
    const exec = await host.runtime.exec(stays.id, { argv: ['sh', '-c', 'read line; echo "got $line"; exit 8'], env: {}, tty: false, stdin: true });
    const output = text(exec.stdout);
    exec.stderr?.resume();
    const stayer = await identify(stays.pid);
    const before = await killDaemon();
    // It ends while nobody looks.
    await writeFile(`/proc/${ends.pid}/root/tmp/end`, '');
    await vi.waitFor(async () => expect(await identify(ends.pid)).toBeNull(), { timeout: 10_000 });
    await vi.waitFor(() => expect(host.daemon.process()?.pid).not.toBe(before.pid), { timeout: 10_000 });
    expect((await waits[0]).code).toBe(42);
    exec.stdin?.end('through it all\n');
    expect((await exec.exit).code).toBe(8);
    expect(await output).toBe('got through it all\n');
    await vi.waitFor(() => expect(resyncs).toBe(2), { timeout: 10_000 });
    expect(stayer && (await isAlive(stayer))).toBe(true);
    const list = await host.runtime.list();
    expect(list.find((c) => c.id === stays.id)).toMatchObject({ state: 'running', pid: stays.pid });
    expect(list.find((c) => c.id === ends.id)).toMatchObject({ state: 'stopped', exit: { code: 42 } });
    await host.runtime.kill(stays.id, 9);
    expect((await waits[1]).code).toBe(137);
    await vi.waitFor(() => expect(exits).toContainEqual([stays.id, 137]), { timeout: 10_000 });
    controller.abort();
    await host.runtime.remove(stays.id);
    await host.runtime.remove(ends.id);
  });

  test('containerd killed while containers are made: trying again succeeds', async () => {
    const requests = await Promise.all(Array.from({ length: 6 }, () => asked(['sleep', '1000'])));
    const making = Promise.allSettled(requests.map((made) => host.runtime.create(made)));
    const before = host.daemon.process();
    await vi.waitFor(async () => expect((await host.runtime.list()).length).toBeGreaterThan(0), { timeout: 10_000, interval: 5 });
    if (before) process.kill(before.pid, 'SIGKILL');
    const results = await making;
    for (const [index, result] of results.entries()) {
      if (result.status === 'rejected') expect((result.reason as { retryable?: boolean }).retryable, String(result.reason)).toBe(true);
      const made = requests[index];
      if (!made) continue;
      expect((await insist(() => host.runtime.create(made))).state).toBe('created');
      await insist(() => host.runtime.start(made.id));
    }
    expect((await host.runtime.list()).map((c) => c.state)).toEqual(requests.map(() => 'running'));
    await Promise.all(requests.map((made) => host.runtime.remove(made.id)));
    expect(await host.runtime.list()).toEqual([]);
  });

  test('what a killed containerd left of a container, and neither takes up nor removes, does not stand in the way for ever', async () => {
    const made = await asked(['sleep', '1000']);
    const bundle = join(host.runDir, 'containerd/io.containerd.runtime.v2.task/tsorch', made.id);
    await mkdir(join(bundle, 'rootfs'), { recursive: true });
    mount('tmpfs', join(bundle, 'rootfs'), 'tmpfs');
    expect((await host.runtime.create(made)).state).toBe('created');
    await host.runtime.start(made.id);
    await host.runtime.remove(made.id);
    expect(existsSync(bundle)).toBe(false);
  });

  test('a shim killed: its containers count as killed, and can be removed without a trace', async () => {
    const first = await run(['sleep', '1000'], 'shared');
    const second = await run(['sleep', '1000'], 'shared');
    const shims = await findProcesses((argv) => /containerd-shim/.test(argv[0] ?? '') && argv.includes(host.daemon.socket));
    // One shim for the pod.
    expect(shims).toHaveLength(1);
    expect(sockets(host.daemon.socket, 'shared')).toEqual(['shared']);
    const waiting = [host.runtime.wait(first.id, forever), host.runtime.wait(second.id, forever)];
    for (const pid of shims) process.kill(pid, 'SIGKILL');
    expect((await Promise.all(waiting)).map((exit) => exit.code)).toEqual([137, 137]);
    await Promise.all([host.runtime.remove(first.id), host.runtime.remove(second.id)]);
    expect(await identify(first.pid)).toBeNull();
    expect(await host.runtime.list()).toEqual([]);
    expect(sockets(host.daemon.socket, 'shared')).toEqual([]);
  });

  test.each([0, 4, 8, 12, 18, 25, 35])('the agent killed %i ms into a create: trying again succeeds', async (delay) => {
    const made = await asked(['sleep', '1000'], undefined, { stdinOpen: true });
    const child = await createInChild(host, made);
    await clock.sleep(delay);
    await killed(child);
    expect((await host.runtime.create(made)).state).toBe('created');
    await host.runtime.start(made.id);
    expect((await host.runtime.list()).map((c) => [c.id, c.state])).toEqual([[made.id, 'running']]);
    // containerd may still be busy with what was cut off; whoever removes asks again.
    await insist(() => host.runtime.remove(made.id));
  }, 120_000);

  test.each([0, 20, 45])('the agent killed %i ms into a create with all there is: the next one takes down what was staged, and nothing is left', async (delay) => {
    const pod = `k${++number}`;
    const peer = await run(['sleep', '1000'], pod);
    const made = { ...(await asked(['sleep', '1000'], pod, { userns: 'private', mounts: [], tty: true })), sharesIpc: true, imageMounts: [{ image, target: '/img', subpath: 'etc' }], mounts: [{ source: host.logDir, target: '/logs', type: 'bind', options: ['rbind', 'ro'] }] } as CreateRequest;
    const child = await createInChild(host, made);
    await clock.sleep(delay);
    await killed(child);
    const client = new ContainerdClient({ socket: host.daemon.socket });
    const runtime = await openContainerdRuntime({ client, runDir: host.runDir, clock, log, cgroupPrefix: host.cgroupPrefix });
    expect(mountsIn(host, 'mounts')).toEqual([]);
    expect((await runtime.create(made)).state).toBe('created');
    await runtime.start(made.id);
    expect(mountsIn(host, 'mounts')).toEqual([]);
    await Promise.all([runtime.remove(made.id), runtime.remove(peer.id)]);
    await runtime.release(pod);
    expect([...mountsIn(host, 'shm'), ...mountsIn(host, 'userns')]).toEqual([]);
    const { info } = await snapshotsOf(client);
    expect(info.filter((key) => key.includes(made.id))).toEqual([]);
    client.close();
  });

  test.each([0, 12, 35])('containerd killed %i ms into a removal: trying again leaves nothing', async (delay) => {
    const made = await run(['sleep', '1000']);
    const removing = host.runtime.remove(made.id).then(() => null, (error: unknown) => error as TsorchError);
    await clock.sleep(delay);
    await killDaemon();
    const failed = await removing;
    if (failed !== null) expect(failed.retryable, String(failed)).toBe(true);
    await insist(() => host.runtime.remove(made.id));
    expect(await host.runtime.list()).toEqual([]);
    expect(await identify(made.pid)).toBeNull();
    expect((await snapshotsOf(host.client)).info.filter((key) => key === made.id)).toEqual([]);
  });

  test.each([0, 3, 10])('containerd killed %i ms into a start: the container runs once, and says how it ended', async (delay) => {
    const made = await asked(['sh', '-c', 'echo run >> /logs/ran-$NAME; while [ ! -e /tmp/end ]; do sleep 0.05; done; exit 3']);
    const request = { ...made, spec: { ...made.spec, env: { NAME: made.id } }, mounts: [{ source: host.logDir, target: '/logs', type: 'bind', options: ['rbind', 'rw'] }] } as CreateRequest;
    const { pid } = await host.runtime.create(request);
    const starting = host.runtime.start(made.id).then(() => null, (error: unknown) => error as TsorchError);
    await clock.sleep(delay);
    await killDaemon();
    const failed = await starting;
    if (failed !== null) expect(failed.retryable, String(failed)).toBe(true);
    await insist(() => host.runtime.start(made.id));
    expect((await host.runtime.list()).map((c) => [c.id, c.state])).toEqual([[made.id, 'running']]);
    const over = host.runtime.wait(made.id, forever);
    await writeFile(`/proc/${pid}/root/tmp/end`, '');
    expect((await over).code).toBe(3);
    expect(await readFile(join(host.logDir, `ran-${made.id}`), 'utf8')).toBe('run\n');
    await host.runtime.remove(made.id);
  });

  test('a fork bomb within its limit: the host goes on, and not one of its processes stays', async () => {
    const bomb = await asked(['sh', '-c', 'bomb() { bomb | bomb & }; bomb; while true; do sleep 1; done'], 'bomb', { limits: { pids: 60, cpus: 0.5, memory: 128 << 20 } });
    const beside = await run(['sleep', '1000'], 'bomb');
    await host.runtime.create(bomb);
    await host.runtime.start(bomb.id);
    const cgroup = `/${host.cgroupPrefix}/bomb/${bomb.id}`;
    const layout = await readCgroupLayout();
    const pids = (file: string) => readFile(join(layout.v1.find((h) => h.controllers.includes('pids'))?.directory ?? layout.v2 ?? '', cgroup, file), 'utf8');
    await vi.waitFor(async () => expect(Number(/max (\d+)/.exec(await pids('pids.events'))?.[1])).toBeGreaterThan(0), { timeout: 20_000 });
    // The kernel's own count: a list of such processes is old before it is read to its end.
    expect(Number(await pids('pids.current'))).toBeLessThanOrEqual(60);
    // Everything else is done as ever: the neighbour, another pod, the list.
    const exec = await host.runtime.exec(beside.id, { argv: ['echo', 'fine'], env: {}, tty: false, stdin: false });
    exec.stderr?.resume();
    expect(await text(exec.stdout)).toBe('fine\n');
    const other = await run(['true']);
    expect((await host.runtime.wait(other.id, forever)).code).toBe(0);
    expect((await host.runtime.list()).find(({ id }) => id === bomb.id)?.state).toBe('running');
    const processes = await cgroupProcesses(layout, cgroup);
    await host.runtime.remove(bomb.id);
    expect((await Promise.all(processes.map(identify))).filter((alive) => alive !== null)).toEqual([]);
    expect((await host.runtime.list()).map(({ id, state }) => [id, state])).toEqual([[beside.id, 'running'], [other.id, 'stopped']]);
  });

  test('out of memory: that container is told apart, its neighbours in the pod run on', async () => {
    const controller = new AbortController();
    const ooms: string[] = [];
    let ready = false;
    host.runtime.watch({ exit: () => {}, oom: (id) => void ooms.push(id), resync: () => { ready = true; } }, controller.signal);
    await vi.waitFor(() => expect(ready).toBe(true), { timeout: 10_000 });
    const neighbour = await run(['sleep', '1000'], 'hungry');
    const hungry = await asked(['sh', '-c', 'exec dd if=/dev/zero of=/dev/null bs=200M count=5'], 'hungry', { limits: { memory: 16 << 20, memorySwap: 16 << 20 } });
    await host.runtime.create(hungry);
    await host.runtime.start(hungry.id);
    expect((await host.runtime.wait(hungry.id, forever)).code).toBe(137);
    await vi.waitFor(() => expect(ooms).toEqual([hungry.id]), { timeout: 10_000 });
    controller.abort();
    const states = (await host.runtime.list()).map(({ id, state }) => [id, state]);
    expect(states).toContainEqual([neighbour.id, 'running']);
    expect(states).toContainEqual([hungry.id, 'stopped']);
  });

  test('layers that are gone from the disk: it says so, and the image is unpacked again', async () => {
    await host.images.load(asStream(await dockerArchive(await busyboxImage({ variant: 'damaged' }), ['tsorch-test:damaged'])));
    const damaged = await host.images.get('tsorch-test:damaged');
    const first = { ...(await asked(['cat', '/variant'])), image: damaged } as CreateRequest;
    await host.runtime.create(first);
    const { info } = await snapshotsOf(host.client);
    expect(info).toContain(damaged.chainId);
    const { mounts } = await host.client.call(SnapshotsService.mounts, { snapshotter: 'overlayfs', key: first.id });
    // The topmost layer of the image is its own: the others share the one below.
    const layer = layerDirectories(mounts)[1] ?? '';
    expect(existsSync(join(layer, 'variant'))).toBe(true);
    await host.runtime.remove(first.id);
    await rm(layer, { recursive: true });
    const second = { ...(await asked(['cat', '/variant'])), image: damaged } as CreateRequest;
    const failed = await host.runtime.create(second).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: 'not-found', message: expect.stringMatching(/damaged: layers of it are gone/) as unknown });
    expect(await host.runtime.list()).toEqual([]);
    // To look for the image is enough: what it was made of is there still.
    const third = { ...(await asked(['cat', '/variant'])), image: await host.images.get('tsorch-test:damaged') } as CreateRequest;
    await host.runtime.create(third);
    await host.runtime.start(third.id);
    expect((await host.runtime.wait(third.id, forever)).code).toBe(0);
    await host.runtime.remove(third.id);
    expect(await readFile(third.stdout, 'utf8')).toBe('damaged');
  });

  test('an agent that comes after adopts the daemon, its containers, and ends execs nobody reads', async () => {
    const made = await run(['sleep', '1000']);
    const before = host.daemon.process();
    const exec = await host.runtime.exec(made.id, { argv: ['sleep', '777'], env: {}, tty: false, stdin: false });
    const controller = new AbortController();
    // The record may be lost with the agent that was to write it.
    await rm(join(host.runDir, 'containerd.json'));
    const daemon = await startContainerd({ stateDir: host.stateDir, runDir: host.runDir, clock, log, signal: controller.signal });
    expect(daemon.process()).toEqual(before);
    const client = new ContainerdClient({ socket: daemon.socket });
    const runtime = await openContainerdRuntime({ client, runDir: host.runDir, clock, log, cgroupPrefix: host.cgroupPrefix });
    expect(await runtime.list()).toMatchObject([{ id: made.id, podId: made.podId, labels: made.labels, state: 'running', pid: made.pid }]);
    exec.stdout.resume();
    exec.stderr?.resume();
    expect((await exec.exit).code).toBe(137);
    expect(readdirSync(join(host.runDir, 'exec'))).toEqual([]);
    controller.abort();
    await daemon.done;
    client.close();
    await host.runtime.remove(made.id);
  });
});

describe('the end', () => {
  test('stopping leaves no process, mount, cgroup, socket or file that runs', async () => {
    const host = await startHost('end');
    try {
      await host.images.load(asStream(await dockerArchive(await busyboxImage(), ['tsorch-test:busybox'])));
      const image = await host.images.get('tsorch-test:busybox');
      const pids: number[] = [];
      for (const id of ['e1.a.1', 'e1.b.1', 'e2.a.1']) {
        const made = request(id, image, host.logDir, { command: ['sleep', '1000'] });
        await mkdir(host.logDir, { recursive: true });
        await Promise.all([writeFile(made.stdout, ''), writeFile(made.stderr, '')]);
        pids.push((await host.runtime.create(made)).pid);
        await host.runtime.start(id);
      }
      // Hard: a shim without a parent, and a dead daemon.
      const [shim] = await findProcesses((argv) => /containerd-shim/.test(argv[0] ?? '') && argv.includes(host.daemon.socket) && argv.includes('e2.a.1'));
      await host.runtime.list();
      if (shim !== undefined) process.kill(shim, 'SIGKILL');
      const daemon = host.daemon.process();
      expect(sockets(host.daemon.socket, 'e1', 'e2')).toEqual(['e1', 'e2']);
      await host.close();
      for (const pid of pids) expect(await identify(pid)).toBeNull();
      expect(daemon && (await isAlive(daemon))).toBe(false);
      expect(await findProcesses((argv) => argv.some((arg) => arg.includes(host.base) || arg.includes(host.runDir)))).toEqual([]);
      expect(listMounts().filter((mount) => mount.target.startsWith(host.base) || mount.target.startsWith(host.runDir))).toEqual([]);
      const layout = await readCgroupLayout();
      expect([...layout.v1.map((h) => h.directory), layout.v2 ?? ''].filter((root) => existsSync(join(root, host.cgroupPrefix)))).toEqual([]);
      expect(existsSync(host.runDir)).toBe(false);
      expect(sockets(host.daemon.socket, 'e1', 'e2')).toEqual([]);
    } finally {
      await host.close();
    }
    await stopContainerd({ stateDir: host.stateDir, runDir: host.runDir, cgroupPrefix: host.cgroupPrefix, clock, log });
  });

  test('a socket path that is too long, a missing daemon', async () => {
    const long = `/tmp/${'x'.repeat(90)}`;
    await expect(startContainerd({ stateDir: long, runDir: long, clock, log, signal: forever })).rejects.toMatchObject({ code: 'invalid' });
    await expect(startContainerd({ stateDir: '/tmp/none', runDir: '/tmp/none', socket: '/tmp/none/no.sock', clock, log, signal: forever })).rejects.toMatchObject({ code: 'unavailable' });
  });
});

/** Whether pods' shims left their sockets behind. */
function sockets(daemonSocket: string, ...pods: readonly string[]): readonly string[] {
  return pods.filter((pod) => existsSync(shimSocket(daemonSocket, defaultNamespace, pod)));
}

/** An agent of its own that makes the container; returns when it begins. */
async function createInChild(host: ContainerdHost, made: CreateRequest): Promise<ChildProcess> {
  const script = join(host.logDir, 'create.ts');
  const root = join(import.meta.dirname, '../../../..');
  await writeFile(script, `
    const { ContainerdClient } = await import('${root}/agent/runtime/client.ts');
    const { openContainerdRuntime } = await import('${root}/agent/runtime/containerd.ts');
    const { systemClock: clock } = await import('${root}/lib/clock.ts');
    const { silentLog: log } = await import('${root}/lib/log.ts');
    const [socket, runDir, cgroupPrefix, request] = process.argv.slice(2);
    const runtime = await openContainerdRuntime({ client: new ContainerdClient({ socket }), runDir, clock, log, cgroupPrefix });
    await runtime.list();
    process.stdout.write('go');
    await runtime.create(JSON.parse(request));
  `);
  const child = spawn(process.execPath, [script, host.daemon.socket, host.runDir, host.cgroupPrefix, JSON.stringify(made)], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return child;
}

/** As an agent does: what may be tried again is tried again. */
async function insist<T>(call: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await call();
    } catch (error) {
      if (tries === 20 || (error as { retryable?: boolean }).retryable !== true) throw error;
      await clock.sleep(100);
    }
  }
}

function mountsIn(host: ContainerdHost, name: string): readonly string[] {
  return listMounts().map(({ target }) => target).filter((target) => target.startsWith(`${host.runDir}/${name}/`));
}

/** Names of all snapshots. */
async function snapshotsOf(client: ContainerdClient): Promise<{ readonly info: readonly string[] }> {
  const names: string[] = [];
  for await (const { info } of client.stream(SnapshotsService.list, { snapshotter: 'overlayfs', filters: [] }) as AsyncIterable<{ info: readonly { name: string }[] }>) names.push(...info.map(({ name }) => name));
  return { info: names };
}

async function killed(child: ChildProcess): Promise<void> {
  const over = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await over;
}
