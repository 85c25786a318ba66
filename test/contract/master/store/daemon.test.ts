/** The master's own etcd: adopted, restarted, ended, and closed to everybody but masters. */
import { spawn } from 'node:child_process';
import { chmod, mkdtemp, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../../lib/clock.ts';
import { silentLog } from '../../../../lib/log.ts';
import { Authority, createAuthority } from '../../../../lib/pki/authority.ts';
import { startEtcd } from '../../../../master/store/daemon.ts';
import type { DaemonOptions, EtcdDaemon } from '../../../../master/store/daemon.ts';
import { endProcess, findRecorded } from '../../../../master/store/daemon/process.ts';
import { EtcdStore } from '../../../../master/store/etcd.ts';
import type { EtcdTls } from '../../../../master/store/etcd.ts';
import type { Op } from '../../../../master/store/port.ts';
import { until } from './etcd.ts';

let dir: string;
let authority: Authority;
let tls: EtcdTls;
let ends: (() => unknown)[] = [];

async function credentials(of: Authority, name: string, names: readonly string[]): Promise<EtcdTls> {
  const { certificate, privateKey } = await of.issue({ subject: { commonName: name, organizationalUnit: name.split(':')[0]! }, names, now: Date.now() });
  return { ca: of.certificate, cert: certificate, key: privateKey };
}

/** What runs that were killed have left. */
beforeAll(async () => {
  for (const name of await readdir(tmpdir())) {
    const [, owner] = /^tsorch-daemon-(\d+)-/.exec(name) ?? [];
    if (owner === undefined || (await alive(Number(owner)))) continue;
    for (const run of ['run', 'elsewhere']) {
      const left = await findRecorded(join(tmpdir(), name, run, 'etcd.json'));
      if (left) await endProcess(left, systemClock, 0);
    }
    await rm(join(tmpdir(), name), { recursive: true, force: true });
  }
});
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), `tsorch-daemon-${process.pid}-`));
  authority = await Authority.load(await createAuthority('test', Date.now()));
  tls = await credentials(authority, 'master:m1', ['localhost', '127.0.0.1']);
});
afterEach(async () => {
  for (const end of ends.toReversed()) await end();
  ends = [];
  await rm(dir, { recursive: true, force: true });
});

async function start(more: Partial<DaemonOptions> = {}): Promise<EtcdDaemon & { abandon: () => void }> {
  const controller = new AbortController();
  const daemon = await startEtcd({ dataDir: join(dir, 'etcd'), runDir: join(dir, 'run'), tls, log: silentLog, clock: systemClock, signal: controller.signal, ...more });
  ends.push(() => daemon.stop());
  return Object.assign(daemon, { abandon: () => controller.abort() });
}

function client(daemon: EtcdDaemon, as: EtcdTls = tls): EtcdStore {
  const store = new EtcdStore({ endpoints: daemon.endpoints, tls: as, deadlineMs: 3000 });
  ends.push(() => store.close());
  return store;
}

const put = (id: string): Op => ({ op: 'put', kind: 'events', id, value: { id, at: 0, subject: 'x', message: id } });
const alive = (pid: number) => readFile(`/proc/${pid}/stat`, 'utf8').then((line) => !line.includes(') Z '), () => false);

describe('life', () => {
  it('serves, ends with stop, and keeps its data and its port', async () => {
    const first = await start();
    await client(first).commit([put('a')]);
    const pid = first.pid();
    await first.stop();
    expect(await alive(pid)).toBe(false);
    const second = await start();
    expect(second.endpoints).toEqual(first.endpoints);
    expect(await client(second).get('events', 'a')).not.toBeNull();
  });

  it('is adopted by the next master, and started again at once when it is killed then', async () => {
    const first = await start();
    const pid = first.pid();
    first.abandon();
    const second = await start();
    expect(second.pid()).toBe(pid);
    const store = client(second);
    await store.commit([put('a')]);
    process.kill(pid, 'SIGKILL');
    const begin = performance.now();
    await until(async () => second.pid() !== pid && (await store.get('events', 'a').catch(() => null)) !== null);
    expect(performance.now() - begin).toBeLessThan(10_000);
    expect(second.endpoints).toEqual(first.endpoints);
  });

  it('outlives a master that is killed', async () => {
    const script = join(dir, 'master.ts');
    const root = new URL('../../../../', import.meta.url).pathname;
    await writeFile(join(dir, 'tls.json'), JSON.stringify(tls));
    await writeFile(script, `
      import { readFileSync } from 'node:fs';
      import { startEtcd } from '${root}master/store/daemon.ts';
      import { systemClock } from '${root}lib/clock.ts';
      import { silentLog } from '${root}lib/log.ts';
      const tls = JSON.parse(readFileSync('${dir}/tls.json', 'utf8'));
      const controller = new AbortController();
      process.on('SIGTERM', () => { controller.abort(); process.exit(0); });
      const daemon = await startEtcd({ dataDir: '${dir}/etcd', runDir: '${dir}/run', tls, log: silentLog, clock: systemClock, signal: controller.signal });
      console.log(daemon.pid());
      setInterval(() => {}, 1000);
    `);
    const master = async () => {
      const child = spawn(join(root, 'node_modules/.bin/node'), [script], { stdio: ['ignore', 'pipe', 'inherit'] });
      ends.push(() => child.kill('SIGKILL'));
      const pid = Number(await new Promise<string>((resolve) => child.stdout.once('data', (data: Buffer) => resolve(data.toString()))));
      return { child, pid };
    };
    const first = await master();
    ends.push(() => alive(first.pid).then((is) => is && process.kill(first.pid, 'SIGKILL')));
    first.child.kill('SIGKILL');
    await new Promise((resolve) => first.child.once('exit', resolve));
    expect(await alive(first.pid)).toBe(true);
    const second = await master();
    expect(second.pid).toBe(first.pid);
    second.child.kill('SIGTERM');
    await until(async () => !(await alive(first.pid)));
  });

  it('takes another port when its own was taken', async () => {
    const first = await start();
    await first.stop();
    const { createServer } = await import('node:net');
    const squatter = createServer();
    await new Promise<void>((resolve) => squatter.listen(Number(new URL(first.endpoints[0]!).port), '127.0.0.1', resolve));
    ends.push(() => squatter.close());
    const second = await start();
    expect(second.endpoints).not.toEqual(first.endpoints);
    await client(second).commit([put('a')]);
  });

  it('is started anew when it runs with another authority', async () => {
    const first = await start();
    first.abandon();
    const other = await Authority.load(await createAuthority('other', Date.now()));
    const fresh = await credentials(other, 'master:m1', ['localhost', '127.0.0.1']);
    const second = await start({ tls: fresh });
    expect(second.pid()).not.toBe(first.pid());
    await client(second, fresh).commit([put('a')]);
  });

  it('takes a renewed certificate without a restart', async () => {
    const daemon = await start();
    const pid = daemon.pid();
    const fresh = await credentials(authority, 'master:m1', ['localhost', '127.0.0.1']);
    await daemon.rotate(fresh);
    const store = client(daemon);
    await store.commit([put('a')]);
    store.rotate(fresh);
    await store.commit([put('b')]);
    expect(daemon.pid()).toBe(pid);
  });
});

describe('access', () => {
  it.each([
    ['a node', async () => credentials(authority, 'node:n1', [])],
    ['an administrator', async () => credentials(authority, 'admin:me', [])],
    ['a master of another authority', async () => {
      const other = await Authority.load(await createAuthority('other', Date.now()));
      return { ...(await credentials(other, 'master:m1', ['localhost'])), ca: tls.ca };
    }],
  ])('is refused to %s', async (_who, make) => {
    const daemon = await start();
    await client(daemon).commit([put('secret')]);
    await expect(client(daemon, await make()).get('events', 'secret')).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('is refused without a certificate', async () => {
    const daemon = await start();
    const store = new EtcdStore({ endpoints: daemon.endpoints.map((url) => url.replace('https', 'http')), deadlineMs: 3000 });
    ends.push(() => store.close());
    await expect(store.get('events', 'x')).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('keeps its key and data to itself', async () => {
    const daemon = await start();
    expect(daemon.pid()).toBeGreaterThan(1);
    const { stat } = await import('node:fs/promises');
    expect((await stat(join(dir, 'etcd/tls/key.pem'))).mode & 0o777).toBe(0o600);
    expect((await stat(join(dir, 'etcd/data'))).mode & 0o777).toBe(0o700);
  });
});

describe('an unusable directory', () => {
  it('with damaged data is named, with what to do', async () => {
    const first = await start();
    await client(first).commit([put('a')]);
    await first.stop();
    const wal = join(dir, 'etcd/data/member/wal');
    for (const file of await readdir(wal)) if (file.endsWith('.wal')) await writeFile(join(wal, file), 'nonsense');
    await expect(start()).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining('damaged') as string, hint: expect.stringContaining('etcdctl snapshot restore') as string });
  });

  it('with a truncated database is named', async () => {
    const first = await start();
    await client(first).commit([put('a')]);
    await first.stop();
    await truncate(join(dir, 'etcd/data/member/snap/db'), 1000);
    await expect(start()).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining('damaged') as string });
  });

  it('that is a file is named', async () => {
    await writeFile(join(dir, 'etcd'), 'a file');
    await expect(start()).rejects.toMatchObject({ code: 'invalid', hint: expect.stringContaining('move away') as string });
  });

  it('in use by another etcd is named', async () => {
    const first = await start();
    expect(first.pid()).toBeGreaterThan(1);
    await expect(start({ runDir: join(dir, 'elsewhere') })).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('another etcd') as string });
  });

  it('a missing program is named', async () => {
    await expect(start({ program: 'etcd-that-is-not-there' })).rejects.toMatchObject({ code: 'unsupported', hint: expect.stringContaining('install') as string });
    await chmod(dir, 0o700);
  });
});
