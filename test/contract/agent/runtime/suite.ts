/** What every runtime does, whatever runs underneath. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { CreateRequest, ImageHandle, Runtime } from '../../../../agent/runtime/port.ts';
import { isCode } from '../../../../model/errors.ts';
import type { ContainerSpec } from '../../../../model/spec.ts';
import { request } from './containerd-host.ts';

export interface Subject {
  readonly runtime: Runtime;
  readonly image: ImageHandle;
  close(): Promise<void>;
}

/** Commands the suite uses; a fake must behave as they do. */
export const commands = {
  sleep: ['sleep', '1000'],
  exit3: ['sh', '-c', 'exit 3'],
  both: ['sh', '-c', 'echo to stdout; echo to stderr >&2; exit 5'],
  cat: ['cat'],
  missing: ['no-such-program'],
} as const;

export function runtimeContract(name: string, open: () => Promise<Subject>): void {
  describe(`runtime contract: ${name}`, () => {
    let subject: Subject;
    let directory: string;
    let number = 0;
    const signal = new AbortController().signal;

    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), 'tsorch-rt-'));
      subject = await open();
    });
    afterAll(async () => {
      await subject?.close();
      await rm(directory, { recursive: true, force: true });
    });

    const make = async (command: readonly string[], spec: Partial<ContainerSpec> = {}): Promise<CreateRequest> => {
      const asked = request(`pod${++number}.c.1`, subject.image, directory, { command, ...spec });
      await Promise.all([writeFile(asked.stdout, ''), writeFile(asked.stderr, '')]);
      return asked;
    };
    const run = async (command: readonly string[], spec: Partial<ContainerSpec> = {}): Promise<string> => {
      const asked = await make(command, spec);
      await subject.runtime.create(asked);
      await subject.runtime.start(asked.id);
      return asked.id;
    };
    const find = async (id: string) => (await subject.runtime.list()).find((container) => container.id === id);

    test('created, running, stopped, gone', async () => {
      const { runtime } = subject;
      const asked = await make(commands.sleep);
      const created = await runtime.create(asked);
      expect(created).toMatchObject({ id: asked.id, podId: asked.podId, labels: asked.labels, state: 'created' });
      expect(created.pid).toBeGreaterThan(0);
      expect(await find(asked.id)).toMatchObject({ state: 'created', labels: asked.labels, podId: asked.podId });
      await runtime.start(asked.id);
      expect(await find(asked.id)).toMatchObject({ state: 'running', pid: created.pid });
      const before = Date.now();
      await runtime.kill(asked.id, 9);
      const exit = await runtime.wait(asked.id, signal);
      expect(exit.code).toBe(137);
      expect(Math.abs(exit.at - before)).toBeLessThan(60_000);
      expect(await find(asked.id)).toMatchObject({ state: 'stopped', exit: { code: 137 } });
      await runtime.remove(asked.id);
      expect(await find(asked.id)).toBeUndefined();
    });

    test('every call can be repeated', async () => {
      const { runtime } = subject;
      const asked = await make(commands.sleep);
      const first = await runtime.create(asked);
      expect(await runtime.create(asked)).toMatchObject({ id: first.id, pid: first.pid, state: 'created' });
      await runtime.start(asked.id);
      await runtime.start(asked.id);
      expect(await runtime.create(asked)).toMatchObject({ pid: first.pid, state: 'running' });
      await runtime.kill(asked.id, 9);
      await runtime.wait(asked.id, signal);
      await runtime.kill(asked.id, 9);
      expect(await runtime.wait(asked.id, signal)).toMatchObject({ code: 137 });
      await runtime.remove(asked.id);
      await runtime.remove(asked.id);
      await runtime.kill(asked.id, 15);
    });

    test('an exit code of its own, waited for before and after', async () => {
      const { runtime } = subject;
      const asked = await make(commands.exit3);
      await runtime.create(asked);
      const early = runtime.wait(asked.id, signal);
      await runtime.start(asked.id);
      expect((await early).code).toBe(3);
      expect((await runtime.wait(asked.id, signal)).code).toBe(3);
      await runtime.remove(asked.id);
    });

    test('waiting ends with its signal, and is refused for what never was', async () => {
      const { runtime } = subject;
      const id = await run(commands.sleep);
      const controller = new AbortController();
      const waiting = runtime.wait(id, controller.signal);
      controller.abort();
      expect(isCode(await waiting.catch((error: unknown) => error), 'aborted')).toBe(true);
      expect((await find(id))?.state).toBe('running');
      await runtime.remove(id);
      expect(isCode(await runtime.wait('pod0.none.1', signal).catch((error: unknown) => error), 'not-found')).toBe(true);
      expect(isCode(await runtime.start('pod0.none.1').catch((error: unknown) => error), 'not-found')).toBe(true);
    });

    test('removing kills what runs, and what never started', async () => {
      const { runtime } = subject;
      const running = await run(commands.sleep);
      const created = await make(commands.sleep);
      await runtime.create(created);
      await Promise.all([runtime.remove(running), runtime.remove(created.id)]);
      expect(await find(running)).toBeUndefined();
      expect(await find(created.id)).toBeUndefined();
    });

    test('watchers hear of exits, once each', async () => {
      const { runtime } = subject;
      const controller = new AbortController();
      const exits: (readonly [string, number])[] = [];
      let resyncs = 0;
      runtime.watch({ exit: (id, status) => void exits.push([id, status.code]), oom: () => {}, resync: () => void resyncs++ }, controller.signal);
      await vi.waitFor(() => expect(resyncs).toBe(1), { timeout: 10_000 });
      const first = await run(commands.exit3);
      await vi.waitFor(() => expect(exits.length).toBe(1), { timeout: 10_000 });
      const second = await run(commands.sleep);
      await runtime.kill(second, 9);
      await vi.waitFor(() => expect(exits.length).toBe(2), { timeout: 10_000 });
      expect(exits).toEqual([[first, 3], [second, 137]]);
      controller.abort();
      await runtime.remove(first);
      await runtime.remove(second);
    });

    test('exec: outputs, code, input to its end', async () => {
      const { runtime } = subject;
      const id = await run(commands.sleep);
      const both = await runtime.exec(id, { argv: commands.both, env: {}, tty: false, stdin: false });
      const texts = Promise.all([text(both.stdout), text(both.stderr)]);
      expect((await both.exit).code).toBe(5);
      expect(await texts).toEqual(['to stdout\n', 'to stderr\n']);
      const bytes = Buffer.from(Uint8Array.from({ length: 200_000 }, (_, at) => (at * 7 + (at >> 8)) & 0xff));
      const cat = await runtime.exec(id, { argv: commands.cat, env: {}, tty: false, stdin: true });
      const back = collect(cat.stdout);
      cat.stderr?.resume();
      cat.stdin?.end(bytes);
      expect((await cat.exit).code).toBe(0);
      expect((await back).equals(bytes)).toBe(true);
      await runtime.remove(id);
    });

    test('exec is refused where nothing runs', async () => {
      const { runtime } = subject;
      const id = await run(commands.exit3);
      await runtime.wait(id, signal);
      const refused = runtime.exec(id, { argv: ['true'], env: {}, tty: false, stdin: false });
      expect(isCode(await refused.catch((error: unknown) => error), 'conflict')).toBe(true);
      await runtime.remove(id);
      const gone = runtime.exec(id, { argv: ['true'], env: {}, tty: false, stdin: false });
      expect(isCode(await gone.catch((error: unknown) => error), 'not-found')).toBe(true);
    });

    test('exec of what is not there is invalid, and says that it is not there', async () => {
      const { runtime } = subject;
      const id = await run(commands.sleep);
      const refused = await runtime.exec(id, { argv: commands.missing, env: {}, tty: false, stdin: false }).catch((error: unknown) => error);
      expect(refused).toMatchObject({ code: 'invalid', message: expect.stringMatching(/not found|no such file/i) });
      await runtime.remove(id);
    });

    test('exec can be killed', async () => {
      const { runtime } = subject;
      const id = await run(commands.sleep);
      const cat = await runtime.exec(id, { argv: commands.cat, env: {}, tty: false, stdin: true });
      cat.stdout.resume();
      cat.stderr?.resume();
      await cat.kill(9);
      expect((await cat.exit).code).toBe(137);
      await runtime.remove(id);
    });

    test('limits change while it runs, and not after', async () => {
      const { runtime } = subject;
      const id = await run(commands.sleep, { limits: { memory: 64 << 20, cpus: 0.5 } });
      await runtime.update(id, { memory: 128 << 20, cpus: 1.5, pids: 50 });
      await runtime.update(id, {});
      await runtime.remove(id);
      expect(isCode(await runtime.update(id, {}).catch((error: unknown) => error), 'conflict')).toBe(true);
    });

    test('nothing to run is invalid, and leaves nothing', async () => {
      const { runtime } = subject;
      const asked = await make([], { entrypoint: [] });
      expect(isCode(await runtime.create(asked).catch((error: unknown) => error), 'invalid')).toBe(true);
      expect(await find(asked.id)).toBeUndefined();
    });

    test('ids of any length and form', async () => {
      const { runtime } = subject;
      const asked = { ...(await make(commands.sleep)), id: `pod-x.${'a_very__long-'.repeat(12)}.1` };
      await runtime.create(asked);
      expect(await find(asked.id)).toMatchObject({ id: asked.id, state: 'created' });
      await runtime.remove(asked.id);
      expect(await find(asked.id)).toBeUndefined();
    });
  });
}

export async function collect(stream: NodeJS.ReadableStream | null): Promise<Buffer> {
  const parts: Buffer[] = [];
  if (stream) for await (const part of stream) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

export async function text(stream: NodeJS.ReadableStream | null): Promise<string> {
  return (await collect(stream)).toString('utf8');
}
