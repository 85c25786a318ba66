/** A shim that answers nobody any more. */
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { cgroupProcesses, readCgroupLayout } from '../../../../agent/runtime/cgroup.ts';
import type { CreateRequest, ImageHandle } from '../../../../agent/runtime/port.ts';
import { identify, isAlive, type ProcessIdentity, signalProcess } from '../../../../agent/runtime/proc.ts';
import { listMounts } from '../../../../lib/linux/mount.ts';
import { isCode } from '../../../../model/errors.ts';
import { asStream, busyboxImage, dockerArchive } from './busybox.ts';
import { type ContainerdHost, request, startHost } from './containerd-host.ts';

let host: ContainerdHost;
let image: ImageHandle;
const stopped: number[] = [];

beforeAll(async () => {
  host = await startHost('stuck', { patienceMs: 3000 });
  await host.images.load(asStream(await dockerArchive(await busyboxImage(), ['tsorch-test:busybox'])));
  image = await host.images.get('tsorch-test:busybox');
});
afterAll(() => host?.close());
afterEach(async () => {
  // A test that failed leaves its containers to nobody.
  for (const pid of stopped.splice(0)) signalProcess(pid, 'SIGCONT');
  for (const { id } of await host.runtime.list()) await host.runtime.remove(id);
});

interface Running extends CreateRequest {
  readonly process: ProcessIdentity;
  readonly shim: ProcessIdentity;
}

async function identified(pid: number): Promise<ProcessIdentity> {
  const found = await identify(pid);
  if (!found) throw new Error(`no process ${pid}`);
  return found;
}

async function run(id: string): Promise<Running> {
  const made = request(id, image, host.logDir, { command: ['sleep', '1000'] });
  await Promise.all([writeFile(made.stdout, ''), writeFile(made.stderr, '')]);
  const { pid } = await host.runtime.create(made);
  await host.runtime.start(id);
  const shim = Number(/^PPid:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]);
  expect(await readFile(`/proc/${shim}/comm`, 'utf8')).toMatch(/^containerd-shim/);
  return { ...made, process: await identified(pid), shim: await identified(shim) };
}

function stop({ shim }: Running): void {
  process.kill(shim.pid, 'SIGSTOP');
  stopped.push(shim.pid);
}

async function gone(...containers: readonly Running[]): Promise<void> {
  for (const { process: own, shim } of containers) expect([await isAlive(own), await isAlive(shim)]).toEqual([false, false]);
  expect(await host.runtime.list()).toEqual([]);
  expect(await cgroupProcesses(await readCgroupLayout(), `/${host.cgroupPrefix}`)).toEqual([]);
  expect(listMounts().filter(({ target }) => containers.some(({ id }) => target.includes(id)))).toEqual([]);
}

test('its container is removed all the same', async () => {
  const lone = await run('s1.c.1');
  stop(lone);
  await host.runtime.remove(lone.id);
  await gone(lone);
}, 120_000);

test('its container is killed all the same, with its exit code', async () => {
  const lone = await run('s2.c.1');
  const exit = host.runtime.wait(lone.id, new AbortController().signal);
  stop(lone);
  await host.runtime.kill(lone.id, 9);
  expect(await exit).toMatchObject({ code: 137 });
  await host.runtime.remove(lone.id);
  await gone(lone);
}, 120_000);

test('no signal but SIGKILL ends it, and no container beside is taken along before it is to go too', async () => {
  const [first, second] = [await run('s3.a.1'), await run('s3.b.1')];
  expect(second.shim).toEqual(first.shim);
  stop(first);
  await expect(host.runtime.kill(first.id, 15)).rejects.toSatisfy((error: unknown) => isCode(error, 'timeout'));
  await expect(host.runtime.remove(first.id)).rejects.toSatisfy((error: unknown) => isCode(error, 'timeout'));
  expect([await isAlive(first.shim), await isAlive(second.process)]).toEqual([true, true]);
  await host.runtime.remove(second.id);
  await vi.waitFor(async () => expect(await isAlive(first.process)).toBe(false), { timeout: 10_000 });
  await host.runtime.remove(first.id);
  await gone(first, second);
}, 120_000);

test('one that is only slow is left alone', async () => {
  const slow = await run('s4.c.1');
  stop(slow);
  const killed = expect(host.runtime.kill(slow.id, 15)).rejects.toSatisfy((error: unknown) => isCode(error, 'timeout'));
  await killed;
  signalProcess(slow.shim.pid, 'SIGCONT');
  await host.runtime.remove(slow.id);
  await gone(slow);
}, 120_000);
