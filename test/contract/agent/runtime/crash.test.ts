/** What dies in the middle: containerd, shims, the agent itself. Containers and answers must not be lost. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { readCgroupLayout } from '../../../../agent/runtime/cgroup.ts';
import { ContainerdClient, defaultNamespace } from '../../../../agent/runtime/client.ts';
import { openContainerdRuntime } from '../../../../agent/runtime/containerd.ts';
import { startContainerd } from '../../../../agent/runtime/daemon.ts';
import { shimSocket } from '../../../../agent/runtime/ids.ts';
import type { CreateRequest, ImageHandle } from '../../../../agent/runtime/port.ts';
import { findProcesses, identify, isAlive } from '../../../../agent/runtime/proc.ts';
import { stopContainerd } from '../../../../agent/runtime/teardown.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { listMounts } from '../../../../lib/linux/mount.ts';
import { silentLog } from '../../../../lib/log.ts';
import type { ContainerSpec } from '../../../../model/spec.ts';
import { asStream, busyboxImage, dockerArchive } from './busybox.ts';
import { type ContainerdHost, hostPaths, request, startHost } from './containerd-host.ts';
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
    for (const { id } of await host.runtime.list()) await host.runtime.remove(id);
  });

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
      expect((await host.runtime.create(made)).state).toBe('created');
      await host.runtime.start(made.id);
    }
    expect((await host.runtime.list()).map((c) => c.state)).toEqual(requests.map(() => 'running'));
    await Promise.all(requests.map((made) => host.runtime.remove(made.id)));
    expect(await host.runtime.list()).toEqual([]);
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
    await clock.sleep(delay);
    await killed(child);
    expect((await host.runtime.create(made)).state).toBe('created');
    await host.runtime.start(made.id);
    expect((await host.runtime.list()).map((c) => [c.id, c.state])).toEqual([[made.id, 'running']]);
    await host.runtime.remove(made.id);
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
      expect(await findProcesses((argv) => argv.some((arg) => arg.includes('tsorch-test-rt-end')))).toEqual([]);
      expect(listMounts().filter((mount) => mount.target.includes('tsorch-test-rt-end'))).toEqual([]);
      const layout = await readCgroupLayout();
      expect([...layout.v1.map((h) => h.directory), layout.v2 ?? ''].filter((root) => existsSync(join(root, host.cgroupPrefix)))).toEqual([]);
      expect(existsSync(host.runDir)).toBe(false);
      expect(sockets(host.daemon.socket, 'e1', 'e2')).toEqual([]);
    } finally {
      await host.close();
    }
    const { stateDir, runDir, cgroupPrefix } = hostPaths('end');
    await stopContainerd({ stateDir, runDir, cgroupPrefix, clock, log });
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

async function killed(child: ChildProcess): Promise<void> {
  const over = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await over;
}
