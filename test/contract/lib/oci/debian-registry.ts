/** Debian's `docker-registry` on loopback, in a directory of its own: plain, or over TLS with a password. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Authority, createAuthority } from '../../../../lib/pki/authority.ts';
import { abandoned, own } from '../../../own.ts';

export interface DebianRegistry {
  readonly host: string;
  /** PEM of the CA that signed its certificate, when it speaks TLS. */
  readonly ca: string | null;
  readonly caFile: string | null;
  /** Ends the process; what it has stays. */
  stop(): Promise<void>;
  /** Begins again at the same address. */
  start(): Promise<void>;
  close(): Promise<void>;
}

const parent = '/var/tmp';
const prefix = 'tsorch-test-registry-';

export const puller = { kind: 'basic', username: 'puller', password: 's3cret' } as const;
/** Made by `htpasswd -Bbn puller s3cret`. */
const htpasswd = 'puller:$2y$05$oLBDdGp8THLaeJ.U06WTvONw4edZiFnasxZ7XoMYH90rNQxh2mZli\n';

/** `name` is the test's: what a killed run of it left is ended and removed. */
export async function startDebianRegistry(name: string, options: { readonly secure?: boolean; readonly address?: string } = {}): Promise<DebianRegistry> {
  const { secure = false, address = '127.0.0.1' } = options;
  for (const left of abandoned(parent, name, prefix)) await removeEarlier(join(parent, prefix + left));
  const directory = join(parent, prefix + own(name));
  await mkdir(join(directory, 'data'), { recursive: true });
  const port = await freePort(address);
  const host = `${address}:${port}`;
  const caFile = secure ? join(directory, 'ca.pem') : null;
  const ca = secure ? await writeCertificates(directory, address) : null;
  const configuration = {
    version: '0.1',
    log: { level: 'warn' },
    storage: { filesystem: { rootdirectory: join(directory, 'data') }, delete: { enabled: true } },
    http: { addr: host, ...(secure ? { tls: { certificate: join(directory, 'cert.pem'), key: join(directory, 'key.pem') } } : {}) },
    ...(secure ? { auth: { htpasswd: { realm: 'test', path: join(directory, 'htpasswd') } } } : {}),
  };
  await writeFile(join(directory, 'htpasswd'), htpasswd);
  await writeFile(join(directory, 'config.yml'), JSON.stringify(configuration));
  let child: ChildProcess | undefined;
  const stop = async () => {
    const running = child;
    child = undefined;
    if (!running || running.exitCode !== null) return;
    const ended = new Promise((resolve) => running.once('exit', resolve));
    running.kill('SIGKILL');
    await ended;
  };
  const start = async () => {
    const started = spawn('docker-registry', ['serve', join(directory, 'config.yml')], { stdio: 'ignore' });
    child = started;
    await writeFile(join(directory, 'pid'), String(started.pid));
    while (!(await answers(host, secure))) {
      if (started.exitCode !== null) throw new Error(`docker-registry ended with ${started.exitCode}; is the package docker-registry installed?`);
      await sleep(20);
    }
  };
  await start();
  return {
    host, ca, caFile, stop, start,
    async close() {
      await stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function removeEarlier(directory: string): Promise<void> {
  const pid = Number(await readFile(join(directory, 'pid'), 'utf8').catch(() => '0'));
  const command = pid === 0 ? '' : await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  if (command.includes(directory)) process.kill(pid, 'SIGKILL');
  await rm(directory, { recursive: true, force: true });
}

async function writeCertificates(directory: string, address: string): Promise<string> {
  const now = Date.now();
  const pem = await createAuthority('tsorch-test registry', now);
  const { certificate, privateKey } = await (await Authority.load(pem)).issue({ subject: { commonName: 'registry' }, names: [address, 'localhost'], now });
  await writeFile(join(directory, 'ca.pem'), pem.certificate);
  await writeFile(join(directory, 'cert.pem'), certificate);
  await writeFile(join(directory, 'key.pem'), privateKey, { mode: 0o600 });
  return pem.certificate;
}

async function answers(host: string, secure: boolean): Promise<boolean> {
  const { request } = secure ? await import('node:https') : await import('node:http');
  return await new Promise((resolve) => {
    const sent = request(`${secure ? 'https' : 'http'}://${host}/v2/`, { rejectUnauthorized: false, agent: false }, (response) => {
      response.resume();
      resolve(true);
    });
    sent.once('error', () => resolve(false));
    sent.end();
  });
}

async function freePort(address: string): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, address, () => {
      const found = server.address();
      server.close(() => resolve(typeof found === 'object' && found ? found.port : 0));
    });
  });
}
