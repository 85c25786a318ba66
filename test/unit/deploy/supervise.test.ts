import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { endProcess, isAlive, signalProcess, type ProcessId } from '../../../deploy/local/process.ts';
import { readRecord, readSpecs, writeSpecs, type ProcessSpec } from '../../../deploy/local/run-file.ts';
import { supervise } from '../../../deploy/local/supervise.ts';
import { systemClock } from '../../../lib/clock.ts';
import { silentLog } from '../../../lib/log.ts';

let runDir: string;
let stop: AbortController;
let reload: () => void;
let supervision: Promise<void>;

beforeEach(async () => {
  runDir = await mkdtemp(join(tmpdir(), 'ts-supervise-'));
});

afterEach(async () => {
  stop.abort();
  await supervision;
  for (const spec of await readSpecs(runDir)) {
    const id = await readRecord(runDir, spec.name);
    if (id) await endProcess(id, 100);
  }
  await rm(runDir, { recursive: true, force: true });
});

function start(): void {
  stop = new AbortController();
  supervision = supervise({ runDir, clock: systemClock, log: silentLog, signal: stop.signal, onReload: (ask) => (reload = ask) });
}

function spec(name: string, ...argv: readonly string[]): ProcessSpec {
  return { name, argv: argv.length > 0 ? argv : ['sleep', '600'], env: {}, log: join(runDir, `${name}.log`) };
}

async function until<T>(look: () => Promise<T | null | undefined | false>): Promise<T> {
  for (const end = Date.now() + 10_000; Date.now() < end; await systemClock.sleep(10)) {
    const seen = await look();
    if (seen) return seen;
  }
  throw new Error('it did not happen');
}

async function living(name: string, not?: ProcessId): Promise<ProcessId> {
  return until(async () => {
    const id = await readRecord(runDir, name);
    return id && id.pid !== not?.pid && (await isAlive(id)) && id;
  });
}

test('starts what is listed, in a session of its own, with its output in a file', async () => {
  await writeSpecs(runDir, [spec('a'), spec('talker', 'sh', '-c', 'echo hello; exec sleep 600')]);
  start();
  const id = await living('a');
  await living('talker');
  const stat = (await readFile(`/proc/${id.pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
  // state, parent, group, session: a group and session of its own survive the supervisor's.
  expect(stat.slice(2, 4)).toEqual([String(id.pid), String(id.pid)]);
  await until(async () => (await readFile(join(runDir, 'talker.log'), 'utf8').catch(() => '')) === 'hello\n');
});

test('starts again what ended, at once', async () => {
  await writeSpecs(runDir, [spec('a')]);
  start();
  const first = await living('a');
  await signalProcess(first, 'SIGKILL');
  const second = await living('a', first);
  expect(second.pid).not.toBe(first.pid);
});

test('waits longer and longer for what ends all the time', async () => {
  const count = join(runDir, 'count');
  await writeSpecs(runDir, [spec('crasher', 'sh', '-c', `echo x >>${count}`)]);
  start();
  await until(async () => (await readFile(count, 'utf8').catch(() => '')).length >= 4 * 2);
  const before = (await readFile(count, 'utf8')).length;
  await systemClock.sleep(300);
  // After 0, 100 and 200 ms the next wait is 400 ms: at most one more in 300 ms.
  expect((await readFile(count, 'utf8')).length - before).toBeLessThanOrEqual(2);
});

test('its own end touches nobody, and the next one finds them by their records', async () => {
  await writeSpecs(runDir, [spec('a'), spec('b')]);
  start();
  const [a, b] = [await living('a'), await living('b')];
  stop.abort();
  await supervision;
  expect(await isAlive(a)).toBe(true);
  await signalProcess(b, 'SIGKILL');
  await until(async () => !(await isAlive(b)));
  start();
  const newB = await living('b', b);
  expect(await readRecord(runDir, 'a')).toEqual(a);
  // An adopted process is no child of the supervisor; it is started again all the same.
  await signalProcess(a, 'SIGKILL');
  const newA = await living('a', a);
  expect(newA.pid).not.toBe(newB.pid);
});

test('a reload ends what left the list, starts what is new, and leaves the rest alone', async () => {
  await writeSpecs(runDir, [spec('a'), spec('b')]);
  start();
  const [a, b] = [await living('a'), await living('b')];
  await writeSpecs(runDir, [spec('b'), spec('c')]);
  reload();
  await living('c');
  await until(async () => !(await isAlive(a)));
  expect(await isAlive(b)).toBe(true);
  expect(await readRecord(runDir, 'b')).toEqual(b);
  expect(await readRecord(runDir, 'a')).toBeNull();
});

test('a record of somebody else who has the pid now is not believed', async () => {
  await writeSpecs(runDir, [spec('a')]);
  const line = await readFile('/proc/self/stat', 'utf8');
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
  fields[19] = '1';
  await writeFile(join(runDir, 'proc', 'a'), `${process.pid} (node) ${fields.join(' ')}`);
  start();
  const id = await living('a');
  expect(id.pid).not.toBe(process.pid);
});
