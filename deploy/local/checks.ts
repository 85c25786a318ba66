/** What a machine needs to carry a cluster, each with one line that says what to do. */
import { access, constants, mkdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { TsorchError } from '../../model/errors.ts';
import { listMounts } from './mounts.ts';
import { mustRun } from './process.ts';

const programs: readonly (readonly [readonly string[], string])[] = [
  [['ip'], 'iproute2'],
  [['nsenter'], 'util-linux'],
  [['nft'], 'nftables'],
  [['etcd'], 'etcd-server'],
  [['containerd'], 'containerd'],
  [['crun', 'runc'], 'crun'],
];

export function checkRoot(uid: number | undefined, what: string): void {
  if (uid !== 0) throw new TsorchError('forbidden', `${what} needs root: it makes network namespaces and starts containers`, { hint: 'run it with sudo' });
}

export async function checkPrograms(path: string): Promise<void> {
  const directories = [...path.split(':'), '/usr/sbin', '/sbin'].filter(Boolean);
  const missing: string[] = [];
  for (const [names, debianPackage] of programs) {
    const found = await Promise.all(directories.flatMap((directory) => names.map((name) => access(join(directory, name), constants.X_OK).then(() => true, () => false))));
    if (!found.includes(true)) missing.push(debianPackage);
  }
  if (missing.length > 0) {
    throw new TsorchError('unsupported', `this machine lacks ${missing.join(', ')}`, { hint: `apt-get install ${missing.join(' ')}` });
  }
}

/** Whether the master could listen there. Somebody who listens on every address takes ours too. */
export async function checkPort(address: string, port: number): Promise<void> {
  const failure = await new Promise<NodeJS.ErrnoException | null>((resolve) => {
    const server = createServer();
    server.once('error', resolve);
    server.listen({ host: address, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
  if (failure?.code === 'EADDRINUSE') {
    throw new TsorchError('conflict', `port ${port} is taken on ${address}`, { hint: `see who has it: ss -ltnp 'sport = :${port}'` });
  }
  if (failure) throw new TsorchError('unsupported', `cannot listen on ${address}:${port}: ${failure.message}`, { cause: failure });
}

/** eBPF programs are pinned in this file system; a machine without systemd has not mounted it. Whether it had to be mounted. */
export async function ensureBpfFs(): Promise<boolean> {
  if ((await listMounts()).some((mount) => mount.type === 'bpf' && mount.point === '/sys/fs/bpf')) return false;
  const supported = (await readFile('/proc/filesystems', 'utf8')).includes('\tbpf\n');
  if (!supported) return false;
  await mkdir('/sys/fs/bpf', { recursive: true }).catch(() => {});
  await mustRun(['mount', '-t', 'bpf', 'bpf', '/sys/fs/bpf'], { unless: /already mounted|busy|No such file|denied|not permitted/i });
  return true;
}
