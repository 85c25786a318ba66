/** Every port that a master and its etcd open, and who gets in: nobody in plain text, nobody of another authority, nobody in the wrong role. */
import { Metadata, status, type ServiceError } from '@grpc/grpc-js';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { request } from 'node:https';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority, createAuthority } from '../../../lib/pki/authority.ts';
import { channelCredentials } from '../../../lib/pki/channel.ts';
import { readCredentials, type Credentials } from '../../../lib/pki/credentials.ts';
import { createRequest } from '../../../lib/pki/request.ts';
import { EtcdConnection } from '../../../master/store/etcd/connection.ts';
import { subjectOf, type Role } from '../../../model/identity.ts';
import type { EnrolReply } from '../../../model/api.ts';
import { AgentsClient } from '../../../proto/gen/tsorch/node.ts';
import { until } from './api/lab.ts';
import { freePort } from './store/etcd.ts';

type Who = 'nobody' | 'stranger' | 'expired' | 'viewer' | 'admin' | 'node' | 'removed node' | 'master';
type Kind = 'api' | 'grpc' | 'etcd client' | 'etcd peer';

let directory: string;
let master: ChildProcess;
const ports = new Map<Kind, number>();
const who = new Map<Who, { readonly ca: string; readonly cert?: string; readonly key?: string }>();

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tsorch-ports-'));
  const [api, grpc] = [await freePort(), await freePort()];
  const root = join(import.meta.dirname, '../../..');
  // The shell ends the master when its input closes, which it also does when this process is killed; the master ends its etcd.
  master = spawn('sh', ['-c', '"$@" 2>"$0/log" & pid=$!; echo $pid; read _; kill -TERM $pid; wait $pid', directory, process.execPath, join(root, 'cli/main.ts'), 'master',
    '--state-dir', join(directory, 'state'), '--run-dir', join(directory, 'run'), '--listen', `127.0.0.1:${api}`, '--grpc', `127.0.0.1:${grpc}`], { stdio: ['pipe', 'pipe', 'ignore'] });
  const pid = Number(await new Promise<string>((resolve) => master.stdout!.once('data', (data: Buffer) => resolve(data.toString()))));
  const admin = async () => readCredentials(join(directory, 'state/admin'));
  await until('the master leads', async () => {
    const own = await admin();
    return own !== null && (await get(api, own, '/v1/version').catch(() => null))?.body.includes('"leader":true') === true;
  }, 30_000);
  const etcdPid = (JSON.parse(await readFile(join(directory, 'run/etcd/etcd.json'), 'utf8')) as { pid: number }).pid;
  const etcd = JSON.parse(await readFile(join(directory, 'state/etcd/ports.json'), 'utf8')) as { client: number; peer: number };
  ports.set('api', api).set('grpc', grpc).set('etcd client', etcd.client).set('etcd peer', etcd.peer);
  expect([...await listening(pid), ...await listening(etcdPid)].toSorted()).toEqual([...ports.values()].map((port) => `127.0.0.1:${port}`).toSorted());

  const pem = { certificate: await readFile(join(directory, 'state/ca/cert.pem'), 'utf8'), privateKey: await readFile(join(directory, 'state/ca/key.pem'), 'utf8') };
  const own = await Authority.load(pem);
  const other = await Authority.load(await createAuthority('tsorch cluster CA', Date.now()));
  const issue = async (authority: Authority, role: Role, name: string, names: readonly string[] = [], now = Date.now(), lifeMs = 3_600_000): Promise<Credentials> => {
    const { certificate, privateKey } = await authority.issue({ subject: subjectOf({ role, name }), names, now, lifeMs });
    return { ca: pem.certificate, cert: certificate, key: privateKey };
  };
  who.set('nobody', { ca: pem.certificate });
  who.set('stranger', await issue(other, 'master', 'm', ['localhost', '127.0.0.1']));
  who.set('expired', await issue(own, 'master', 'm', ['localhost', '127.0.0.1'], Date.now() - 7_200_000));
  who.set('viewer', await issue(own, 'viewer', 'ann'));
  who.set('admin', (await admin())!);
  who.set('node', await joinAs(api, (await admin())!, pem.certificate));
  who.set('removed node', await issue(own, 'node', 'n000000000000'));
  who.set('master', (await readCredentials(join(directory, 'state/tls/etcd')))!);
});

afterAll(async () => {
  const gone = new Promise((resolve) => master.once('exit', resolve));
  master.stdin!.destroy();
  await gone;
  await rm(directory, { recursive: true, force: true });
});

async function joinAs(port: number, admin: Credentials, ca: string): Promise<Credentials> {
  const { token } = JSON.parse((await get(port, admin, '/v1/tokens', { role: 'node' })).body) as { token: string };
  const { csr, privateKey } = await createRequest('alpha');
  const reply = JSON.parse((await get(port, { ca }, '/v1/enrol', { token, csr, name: 'alpha', labels: {} })).body) as EnrolReply;
  return { ca: reply.ca, cert: reply.certificate, key: privateKey };
}

/** TCP sockets that a process listens on, `address:port`. */
async function listening(pid: number): Promise<string[]> {
  const inodes = new Set<string>();
  for (const fd of await readdir(`/proc/${pid}/fd`)) {
    const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '');
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
    if (inode !== undefined) inodes.add(inode);
  }
  const found: string[] = [];
  for (const table of ['tcp', 'tcp6']) {
    for (const line of (await readFile(`/proc/${pid}/net/${table}`, 'utf8')).split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/);
      if (fields[3] !== '0A' || !inodes.has(fields[9] ?? '')) continue;
      const [address, port] = (fields[1] ?? '').split(':');
      found.push(`${address === '0100007F' ? '127.0.0.1' : address}:${parseInt(port ?? '', 16)}`);
    }
  }
  return found;
}

function get(port: number, tls: object, path: string, body?: unknown): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const req = request({ host: '127.0.0.1', port, path, method: body === undefined ? 'GET' : 'POST', agent: false, timeout: 5000, headers: body === undefined ? {} : { 'content-type': 'application/json' }, ...tls }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
    });
    req.on('timeout', () => req.destroy(new Error('no answer')));
    req.on('error', reject);
    req.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** What comes of asking: an HTTP status, a gRPC status, `in` or `shut out`. */
async function attempt(kind: Kind, tls: { readonly ca: string; readonly cert?: string; readonly key?: string }): Promise<number | string> {
  const port = ports.get(kind)!;
  switch (kind) {
    case 'api':
      return get(port, tls, '/v1/nodes').then(({ status: code }) => code, () => 'shut out');
    case 'grpc':
      return session(port, tls);
    case 'etcd client': {
      const { ca, cert, key } = tls;
      if (cert === undefined || key === undefined) return get(port, tls, '/version').then(() => 'in', () => 'shut out');
      const connection = new EtcdConnection({ endpoints: [`https://127.0.0.1:${port}`], tls: { ca, cert, key }, deadlineMs: 3000 });
      return connection.kv.range({ key: Buffer.from('/tsorch/v1/ca/ca') }).then(() => 'in', () => 'shut out').finally(() => connection.close());
    }
    case 'etcd peer':
      return get(port, tls, '/members').then(({ status: code }) => (code < 400 ? 'in' : 'shut out'), () => 'shut out');
  }
}

function session(port: number, tls: { readonly ca: string; readonly cert?: string; readonly key?: string }): Promise<string> {
  const client = new AgentsClient(`127.0.0.1:${port}`, channelCredentials(tls), { 'grpc.use_local_subchannel_pool': 1, 'grpc.enable_retries': 0 });
  return new Promise<string>((resolve) => {
    const call = client.session(new Metadata(), { deadline: Date.now() + 5000 });
    call.on('data', () => resolve('in'));
    call.on('error', (error: ServiceError) => resolve(error.code === status.PERMISSION_DENIED ? 'denied' : error.code === status.UNAVAILABLE ? 'shut out' : String(error.code)));
    call.write({ kind: { $case: 'heartbeat', value: { sequence: 1 } } });
  }).finally(() => client.close());
}

const table: Record<Kind, Record<Who, number | string>> = {
  api: { nobody: 401, stranger: 401, expired: 401, viewer: 200, admin: 200, node: 403, 'removed node': 403, master: 403 },
  grpc: { nobody: 'shut out', stranger: 'shut out', expired: 'shut out', viewer: 'denied', admin: 'denied', node: 'in', 'removed node': 'denied', master: 'denied' },
  'etcd client': { nobody: 'shut out', stranger: 'shut out', expired: 'shut out', viewer: 'shut out', admin: 'shut out', node: 'shut out', 'removed node': 'shut out', master: 'in' },
  'etcd peer': { nobody: 'shut out', stranger: 'shut out', expired: 'shut out', viewer: 'shut out', admin: 'shut out', node: 'shut out', 'removed node': 'shut out', master: 'in' },
};

describe.each(Object.entries(table) as [Kind, Record<Who, number | string>][])('%s', (kind, expected) => {
  it.each(Object.entries(expected) as [Who, number | string][])('%s: %s', async (name, outcome) => {
    expect(await attempt(kind, who.get(name)!)).toBe(outcome);
  });

  it('answers nothing in plain text', async () => {
    const said = await new Promise<string>((resolve) => {
      const socket = createConnection({ host: '127.0.0.1', port: ports.get(kind)! }, () => socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'));
      let text = '';
      socket.setTimeout(3000, () => socket.destroy());
      socket.on('data', (data: Buffer) => { text += data.toString('latin1'); });
      socket.on('error', () => {});
      socket.on('close', () => resolve(text));
    });
    // A TLS alert, or the polite refusal of a server that was spoken to in plain text.
    expect(said === '' || said.charCodeAt(0) === 21 || /^HTTP\/1\.[01] 400 /.test(said), JSON.stringify(said)).toBe(true);
  });

  it.each(['TLSv1', 'TLSv1.1'] as const)('does not speak %s', async (version) => {
    const { ca, cert, key } = who.get('master')!;
    const outcome = await new Promise<string>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port: ports.get(kind)!, ca, cert, key, minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' }, () => {
        resolve(`spoke ${socket.getProtocol()}`);
        socket.destroy();
      });
      socket.on('error', () => resolve('refused'));
    });
    expect(outcome).toBe('refused');
  });
});
