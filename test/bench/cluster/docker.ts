/** A Docker daemon of the bench's own, in namespaces of its own, so that all of it goes when its first process does. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../../cluster/lib/tsorch.ts';
import { Guard } from './guard.ts';

const netns = 't-bench-docker';
const cgroup = 't-bench-docker';
const address = '10.199.0.1';

const cleanUp = `
[ -n "$1" ] && kill -9 "$1"
for i in 1 2 3 4 5 6 7 8 9 10; do
  find /sys/fs/cgroup -depth -type d -path '*/${cgroup}*' -exec rmdir {} + && break
  sleep 0.2
done
ip netns del ${netns}
rm -rf "$2"
`;

export interface Docker {
  readonly version: string;
  call<T>(method: string, path: string, body?: unknown): Promise<T>;
  /** Loads an archive; the image's id. */
  load(archive: Uint8Array): Promise<string>;
  until(what: string, holds: () => Promise<boolean>): Promise<void>;
  close(): Promise<void>;
}

/** Throws when there is no dockerd, or it does not come up as a swarm manager. */
export async function startDocker(): Promise<Docker> {
  const version = execFileSync('dockerd', ['--version'], { stdio: ['ignore', 'pipe', 'ignore'] }).toString().trim().replace(/^Docker version ([^,]+),.*$/, '$1');
  const directory = await mkdtemp(join(tmpdir(), 'tsorch-bench-docker-'));
  try {
    execFileSync('ip', ['netns', 'del', netns], { stdio: 'ignore' });
  } catch {
    // There was none.
  }
  execFileSync('ip', ['netns', 'add', netns]);
  for (const args of [['link', 'set', 'lo', 'up'], ['addr', 'add', `${address}/32`, 'dev', 'lo']]) execFileSync('ip', ['-n', netns, ...args]);
  const socket = join(directory, 'docker.sock');
  // A shell comes first in the PID namespace: it reaps what the daemon leaves, and with it all of them end.
  const child = spawn('nsenter', [`--net=/run/netns/${netns}`, 'unshare', '--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child=SIGKILL', '--mount-proc', 'sh', '-c', '"$@" & wait', 'sh',
    'dockerd', '--data-root', join(directory, 'data'), '--exec-root', join(directory, 'run'), '--pidfile', join(directory, 'docker.pid'), '-H', `unix://${socket}`, '--cgroup-parent', `/${cgroup}`],
  { stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-4000)));
  const guard = new Guard(cleanUp, [String(child.pid ?? ''), directory]);
  const docker = connectTo(socket, version, () => guard.release());
  try {
    await until('dockerd', async () => {
      if (child.exitCode !== null) throw new Error('dockerd has ended');
      await docker.call('GET', '/info');
      return true;
    }, 30_000);
    await docker.call('POST', '/swarm/init', { ListenAddr: `${address}:2377`, AdvertiseAddr: address });
    return docker;
  } catch (error) {
    await docker.close();
    throw new Error(`${String(error)}\n${errors}`, { cause: error });
  }
}

function connectTo(socketPath: string, version: string, close: () => Promise<void>): Docker {
  const send = (method: string, path: string, body?: Uint8Array, type = 'application/json') => new Promise<string>((resolve, reject) => {
    const req = request({ socketPath, method, path, headers: body ? { 'content-type': type, 'content-length': body.length } : {} }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        if ((response.statusCode ?? 500) < 400) resolve(text);
        else reject(new Error(`${method} ${path}: ${response.statusCode} ${text}`));
      });
      response.on('error', reject);
    });
    req.on('error', reject);
    req.end(body);
  });
  const call = async <T>(method: string, path: string, body?: unknown) => {
    const text = await send(method, path, body === undefined ? undefined : Buffer.from(JSON.stringify(body)));
    return (text === '' ? undefined : JSON.parse(text)) as T;
  };
  return {
    version,
    call,
    async load(archive) {
      await send('POST', '/images/load?quiet=true', archive, 'application/x-tar');
      const [image] = await call<{ readonly Id: string }[]>('GET', '/images/json');
      if (!image) throw new Error('docker has loaded no image');
      return image.Id;
    },
    until: async (what, holds) => void (await until(what, holds, 60_000, 10)),
    close,
  };
}
