/** An etcd for one test file: loopback ports of its own, a temporary directory, gone with this process however it ends. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TestEtcd {
  readonly endpoint: string;
  readonly port: number;
  readonly pid: number;
  /** kill -9, and the same data on the same port again. */
  kill(): Promise<void>;
  start(): Promise<void>;
  etcdctl(...args: string[]): string;
  stop(): Promise<void>;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export async function startTestEtcd(...args: string[]): Promise<TestEtcd> {
  await sweep();
  const dir = await mkdtemp(join(tmpdir(), `tsorch-store-${process.pid}-`));
  const port = await freePort();
  const peer = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  let pid = 0;
  let gone: Promise<void> = Promise.resolve();

  const start = async () => {
    // The shell ends etcd when its input closes, which it also does when this process is killed.
    const shell = spawn('sh', ['-c', '"$@" >>"$0/log" 2>&1 & pid=$!; echo $pid; read _; kill -9 $pid; wait $pid', dir,
      'etcd', '--data-dir', join(dir, 'data'), '--listen-client-urls', endpoint, '--advertise-client-urls', endpoint,
      '--listen-peer-urls', `http://127.0.0.1:${peer}`, '--heartbeat-interval', '20', '--election-timeout', '200', ...args], { stdio: ['pipe', 'pipe', 'ignore'] });
    gone = new Promise((resolve) => shell.once('exit', () => resolve()));
    stopShell = () => shell.stdin.destroy();
    pid = Number(await new Promise<string>((resolve) => shell.stdout.once('data', (data: Buffer) => resolve(data.toString()))));
    await until(() => etcdctl('endpoint', 'health').includes('is healthy'), 15_000);
  };
  let stopShell = () => {};
  const etcdctl = (...rest: string[]) => {
    const result = spawnSync('etcdctl', ['--endpoints', endpoint, ...rest], { env: { ...process.env, ETCDCTL_API: '3' }, encoding: 'utf8' });
    return result.stdout + result.stderr;
  };
  const kill = async () => {
    process.kill(pid, 'SIGKILL');
    stopShell();
    await gone;
  };

  await start();
  return {
    endpoint,
    port,
    get pid() {
      return pid;
    },
    kill,
    start,
    etcdctl,
    async stop() {
      stopShell();
      await gone;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Directories of runs that were killed; their etcd ended with them. */
async function sweep(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const [, owner] = /^tsorch-store-(\d+)-/.exec(name) ?? [];
    if (owner !== undefined && !existsSync(`/proc/${owner}`)) await rm(join(tmpdir(), name), { recursive: true, force: true });
  }
}

/** Waits for a condition; fails with the last state of things named by `what`. */
export async function until(condition: () => boolean | Promise<boolean>, ms = 20_000, what = 'the condition'): Promise<void> {
  const end = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`${what} did not come true in ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
