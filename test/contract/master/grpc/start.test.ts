import { mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createLog } from '../../../../lib/log.ts';
import { runMaster, type MasterOptions } from '../../../../master/main.ts';
import { until } from '../api/lab.ts';

let directory: string;
let stop: AbortController;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tsorch-start-'));
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort(new Error('the test is over'));
  await rm(directory, { recursive: true, force: true });
});

const lines: string[] = [];
const options = (changes: Partial<MasterOptions> = {}): MasterOptions => ({
  stateDir: join(directory, 'state'), runDir: join(directory, 'run'), listen: '127.0.0.1:0', grpc: '127.0.0.1:0', version: '0', log: createLog('master', 'info', (line) => void lines.push(line)), ...changes,
});

/** Processes that run with this test's directory on their command line. */
async function left(): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    const program = await readlink(`/proc/${pid}/exe`).catch(() => '');
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (program.endsWith('etcd') && command.includes(directory)) found.push(command);
  }
  return found;
}

it('leaves no etcd behind when a port is taken, and starts when it is free again', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const taken = `127.0.0.1:${(other.address() as AddressInfo).port}`;
  try {
    await expect(runMaster(options({ grpc: taken }), stop.signal)).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining(taken) as string, hint: expect.stringContaining('--grpc') as string });
    expect(await left()).toEqual([]);
    await expect(runMaster(options({ listen: taken }), stop.signal)).rejects.toMatchObject({ code: 'unavailable', hint: expect.stringContaining('--listen') as string });
    expect(await left()).toEqual([]);
  } finally {
    other.close();
  }
  lines.length = 0;
  const running = runMaster(options({ grpc: taken }), stop.signal);
  await until('it leads', () => lines.some((line) => line.includes('leading')), 30_000);
  expect(await left()).toHaveLength(1);
  stop.abort(new Error('enough'));
  await running;
  expect(await left()).toEqual([]);
});

it('does not serve a cluster of another authority, nor with other networks than it was made with', async () => {
  lines.length = 0;
  const running = runMaster(options({ podCidr: '10.64.0.0/12' }), stop.signal);
  await until('it leads', () => lines.some((line) => line.includes('leading')), 30_000);
  stop.abort(new Error('enough'));
  await running;
  const again = new AbortController();
  await expect(runMaster(options({ podCidr: '10.32.0.0/12' }), again.signal)).rejects.toMatchObject({ code: 'invalid', message: expect.stringContaining('10.64.0.0/12') as string });
  await rm(join(directory, 'state/ca'), { recursive: true });
  await expect(runMaster(options(), again.signal)).rejects.toMatchObject({ code: 'conflict', hint: expect.stringContaining('copy') as string });
  expect(await left()).toEqual([]);
});

it('being told to stop while it starts is no failure of its own making', async () => {
  setTimeout(() => stop.abort(new Error('changed my mind')), 150);
  await runMaster(options(), stop.signal).catch(() => {});
  expect(await left()).toEqual([]);
});
