/** Pods of several containers, from stack files, on a cluster of two hosts: their lives, their checks, their deaths. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { busyboxImage, dockerArchive } from '../contract/agent/runtime/busybox.ts';
import { clusterNames, hostNames } from '../../deploy/local/names.ts';
import { Cluster } from './lib/cluster.ts';
import { killProcess, processesOf } from './lib/processes.ts';
import { apply, container, says, sh, Shared, statusOf, stays } from './lib/stack.ts';
import { root, until } from './lib/tsorch.ts';

const image = 'pods-test:1';
let cluster: Cluster;
let out: Shared;

beforeAll(async () => {
  cluster = await Cluster.own('t-pods', ['--nodes', '2', '--split']);
  out = new Shared(cluster);
  await writeFile(join(cluster.dir, 'image.tar'), await dockerArchive(await busyboxImage(), [image]));
  await cluster.ok(['image', 'load', join(cluster.dir, 'image.tar')]);
}, 120_000);

afterAll(async () => {
  await cluster?.destroy();
}, 120_000);

afterEach(async ({ task }) => {
  // What a test that failed has left must not fail the next.
  if (task.result?.state === 'fail') for (const { name } of await cluster.json<{ name: string }[]>(['ls'])) await cluster.ok(['rm', name]);
}, 60_000);

const on = (node: string) => `deploy: { placement: { constraints: ["node.hostname==${node}"] } }`;
const common = (grace = '0s') => `image: ${image}, stop_grace_period: ${grace}, volumes: ["${out.directory}:/out"]`;
const pidOf = async (service: string, name: string) => (await container(cluster, service, name, ({ pid }) => pid !== undefined)).pid as number;
const netns = (pid: number) => readlinkSync(`/proc/${pid}/ns/net`);

/** What a host keeps of pods in the kernel and on disk; all of it is to be gone with them. */
function leftovers(node: number): readonly string[] {
  const run = `/run/tsorch/${cluster.name}/node-${node}`;
  const state = join(cluster.stateDir, `node-${node}`);
  const inside = (directory: string) => (existsSync(directory) ? readdirSync(directory).map((name) => join(directory, name)) : []);
  const links = execFileSync('nsenter', [`--net=/run/netns/ts-${cluster.name}-${node}`, 'ip', '-o', 'link'], { encoding: 'utf8' }).match(/tsv[0-9a-f]{12}/g) ?? [];
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n').map((line) => line.split(' ')[4] ?? '').filter((at) => [`${run}/netns/`, `${run}/pods/`, `${run}/volumes/`, `${run}/shm/`, `${run}/mounts/`].some((place) => at.startsWith(place)));
  const cgroups = readdirSync('/sys/fs/cgroup').flatMap((hierarchy) => inside(`/sys/fs/cgroup/${hierarchy}/tsorch/${cluster.name}/node-${node}`)).filter((path) => existsSync(join(path, 'cgroup.procs')));
  return [...links, ...mounts, ...cgroups, ...['netns', 'pods', 'volumes', 'shm', 'mounts'].flatMap((name) => inside(join(run, name))), ...inside(join(state, 'pods')), ...processesOf(cluster, `pods-${node}`).map((pid) => `process ${pid}`)];
}

async function removed(stack: string): Promise<void> {
  // It sees what runs, so it would see what is left.
  expect([1, 2].flatMap(leftovers).length).toBeGreaterThan(5);
  await cluster.ok(['rm', stack]);
  await until(`nothing to be left of ${stack}`, () => {
    const left = [1, 2].flatMap(leftovers);
    return left.length === 0 || Promise.reject(new Error(left.join('\n')));
  }, 30_000);
}

describe('one pod', () => {
  test('init containers, hooks, sidecars and a service that joins: one namespace, shared files, begun and ended in order', async () => {
    await apply(cluster, 'shop', `
services:
  web:
    image: ${image}
    command: ${sh(stays('web'))}
    stop_grace_period: 5s
    volumes: ["${out.directory}:/out", "cache:/cache"]
    pre_start: [{ command: ${sh('cat /cache/seed >> /out/log; echo migrate >> /out/log')} }]
    post_start: [{ command: ${sh('sleep 0.3; echo web warmed >> /out/log')} }]
    pre_stop: [{ command: ${sh('echo web leaves >> /out/log')} }]
    x-pod:
      init:
        - { name: fetch, image: ${image}, command: ${sh('echo fetch >> /out/log; echo seed > /cache/seed')}, volumes: ["${out.directory}:/out", "cache:/cache"] }
      sidecars:
        proxy: { image: ${image}, command: ${sh(stays('proxy', 'busybox httpd -p 127.0.0.1:8080 -h /cache;'))}, depends_on: { web: { condition: service_started } }, volumes: ["${out.directory}:/out", "cache:/cache:ro"] }
      volumes: { cache: { medium: memory, size: 1m } }
  logs:
    image: ${image}
    network_mode: service:web
    command: ${sh(stays('logs'))}
    depends_on: { web: { condition: service_started } }
    volumes: ["${out.directory}:/out"]
`, ['--wait', '--timeout', '60s']);
    const pods = await cluster.pods('shop');
    expect(pods.map(({ name, state, ready }) => ({ name, state, ready }))).toEqual([{ name: 'shop_web.1', state: 'running', ready: true }]);
    const pids = await Promise.all(['web', 'proxy', 'logs'].map((name) => pidOf('shop_web', name)));
    expect(new Set(pids.map(netns)).size).toBe(1);
    expect(netns(pids[0] ?? 0)).not.toBe(readlinkSync('/proc/self/ns/net'));
    // The sidecar serves what the init container wrote; the service that joined asks on localhost.
    expect(execFileSync('nsenter', ['-t', String(pids[2]), '-m', '-n', 'busybox', 'wget', '-qO-', 'http://127.0.0.1:8080/seed'], { encoding: 'utf8', timeout: 10_000 })).toBe('seed\n');
    // That they run is known before they have said so.
    await until('all to begin', () => out.lines().length === 7);
    expect(out.lines().slice(0, 5)).toEqual(['fetch', 'seed', 'migrate', 'web begins', 'web warmed']);
    expect(out.lines().slice(5).sort()).toEqual(['logs begins', 'proxy begins']);
    await removed('shop');
    const end = out.lines().slice(7);
    expect(end.slice(0, 2).sort()).toEqual(['logs ends', 'proxy ends']);
    expect(end.slice(2)).toEqual(['web leaves', 'web ends']);
  });
});

describe('checks', () => {
  const times = 'period: 300ms, timeout: 2s, failure_threshold: 2';
  const hits = (from: number) => out.lines('hits').slice(from);

  test('through the VIP nobody meets a pod that is not ready', async () => {
    for (const slot of [1, 2]) out.put(`api-${slot}/cgi-bin/who`, `#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n${slot}\\n'\n`, 0o777);
    out.put('api-1/ready');
    await apply(cluster, 'probes', `
services:
  api:
    image: ${image}
    stop_grace_period: 0s
    volumes: ["${out.directory}:/out"]
    command: ${sh('exec busybox httpd -f -p 8080 -h /out/api-$SLOT')}
    environment: { SLOT: "{{.Task.Slot}}" }
    x-probes: { readiness: { http: ":8080/ready", ${times} } }
    deploy: { replicas: 2, placement: { max_replicas_per_node: 1 } }
  client: { ${common()}, depends_on: { api: { condition: service_healthy } }, command: ${sh('until [ -e /out/vip ]; do sleep 0.1; done; vip=$(cat /out/vip); while :; do got=$(printf "GET /cgi-bin/who HTTP/1.0\\r\\n\\r\\n" | nc -w 5 $vip 8080 2>&1 | tail -n 1); echo ${got:-nothing} >> /out/hits; done')} }
`);
    const readiness = async () => (await cluster.pods('probes_api')).map(({ state, ready }) => `${state} ${ready}`).join();
    await until('one of two ready', async () => (await readiness()) === 'running true,running false', 30_000, 200);
    await says(cluster, 'probes_api', /not ready.*404|readiness probe has not passed yet.*404/);
    // By address: a static busybox cannot resolve.
    out.put('vip', (await cluster.services()).find(({ id }) => id === 'probes_api')?.vips[0]?.ip);
    await until('requests', () => hits(0).length > 100);
    expect(new Set(hits(0))).toEqual(new Set(['1']));
    out.put('api-2/ready');
    await until('both to be asked', () => new Set(hits(0)).size === 2);
    expect(new Set(hits(0))).toEqual(new Set(['1', '2']));
    out.remove('api-1/ready');
    await until('one of two ready', async () => (await readiness()) === 'running false,running true', 30_000, 200);
    // From some request on, no more.
    const from = await until('the other to be asked alone', () => (hits(0).length > 20 && hits(-20).every((who) => who === '2') ? hits(0).length : false));
    await until('further requests', () => hits(from).length > 100);
    expect(new Set(hits(from))).toEqual(new Set(['2']));
    expect(new Set(out.lines('hits'))).toEqual(new Set(['1', '2']));
    expect((await cluster.pods('probes')).map(({ restarts }) => restarts)).toEqual([0, 0, 0]);
  });

  test('startup, readiness and liveness by command, TCP and gRPC', async () => {
    await apply(cluster, 'probes', `
services:
  exec: { ${common()}, command: ["sleep", "1000"], x-probes: { startup: { exec: ["test", "-e", "/out/begun"], period: 300ms, timeout: 2s, failure_threshold: 1000 }, liveness: { exec: ["test", "-e", "/out/alive"], ${times} } } }
  tcp: { ${common()}, command: ${sh('until [ -e /out/begun ]; do sleep 0.1; done; exec nc -ll -p 5432 -e true')}, x-probes: { readiness: { tcp: 5432, ${times} } } }
  grpc:
    image: ${image}
    stop_grace_period: 0s
    volumes: ["/:/host:ro"]
    command: ["busybox", "chroot", "/host", "${process.execPath}", "${join(root, 'test/cluster/lib/health-server.ts')}", "9000", "${out.path('begun')}"]
    x-probes: { readiness: { grpc: "9000/shop", ${times} } }
`);
    await says(cluster, 'probes_exec', /startup probe has not passed yet/);
    await says(cluster, 'probes_tcp', /ECONNREFUSED/);
    await says(cluster, 'probes_grpc', /NOT_SERVING/);
    expect((await cluster.pods('probes')).filter(({ ready }) => ready)).toEqual([]);
    out.put('alive');
    out.put('begun');
    await cluster.ready('probes');
    out.remove('alive');
    const again = await container(cluster, 'probes_exec', 'exec', ({ attempt = 0 }) => attempt > 1);
    expect(again.ended?.[0]?.message).toMatch(/liveness/);
    out.put('alive');
    await cluster.ready('probes');
    const rest = (await cluster.pods('probes')).filter(({ service }) => service !== 'probes_exec');
    expect(rest.map(({ restarts }) => restarts)).toEqual([0, 0]);
    await removed('probes');
  });
});

describe('depends_on', () => {
  test('across hosts: each waits for what it names, ps says for what; restart: true follows an update and a rollback', async () => {
    const chain = (version: string) => `
services:
  migrate: { ${common()}, ${on('node-1')}, command: ${sh('until [ -e /out/migrated ]; do sleep 0.1; done; echo migrated >> /out/log')} }
  db: { ${common('5s')}, ${on('node-2')}, environment: { V: "${version}" }, command: ${sh(`${stays('db $V')}`)}, healthcheck: { test: ["CMD", "test", "-e", "/out/healthy"], interval: 300ms, start_period: 30s, start_interval: 300ms } }
  cache: { ${common('5s')}, ${on('node-2')}, command: ${sh(stays('cache'))}, depends_on: { db: { condition: service_healthy } } }
  app:
    image: ${image}
    stop_grace_period: 5s
    volumes: ["${out.directory}:/out"]
    ${on('node-1')}
    command: ${sh(stays('app'))}
    depends_on: { migrate: { condition: service_completed_successfully }, db: { condition: service_healthy, restart: true }, cache: { condition: service_started } }
`;
    const from = out.lines().length;
    const log = () => out.lines().slice(from);
    await apply(cluster, 'chain', chain('1'));
    await says(cluster, 'chain_app', /^waiting for migrate: completed successfully.*waiting for db: healthy.*waiting for cache: started$/);
    await says(cluster, 'chain_cache', /^waiting for db: healthy$/);
    await until('db to begin', () => log().includes('db 1 begins'));
    out.put('migrated');
    await says(cluster, 'chain_app', /^waiting for db: healthy/);
    expect(log().sort()).toEqual(['db 1 begins', 'migrated']);
    out.put('healthy');
    await until('the app to begin', () => log().includes('app begins'));
    await until('the cache to have said so', () => log().includes('cache begins'));
    expect(log().slice(2).sort()).toEqual(['app begins', 'cache begins']);

    out.remove('healthy');
    await apply(cluster, 'chain', chain('2'));
    await says(cluster, 'chain_db', /health check/);
    await until('the new db to begin', () => log().includes('db 2 begins'));
    expect(log().slice(4)).toEqual(['db 1 ends', 'db 2 begins']);
    out.put('healthy');
    await until('the app to begin again', () => log().filter((line) => line === 'app begins').length === 2);
    expect(log().slice(4)).toEqual(['db 1 ends', 'db 2 begins', 'app ends', 'app begins']);

    await cluster.ok(['rollback', 'chain_db']);
    await until('the app to begin once more', () => log().filter((line) => line === 'app begins').length === 3);
    expect(log().slice(8)).toEqual(['db 2 ends', 'db 1 begins', 'app ends', 'app begins']);
    await removed('chain');
  });
});

describe('ends', () => {
  test('restarts by policy: delays that double, exit codes and the last five attempts\' logs kept, failed in the end', async () => {
    await apply(cluster, 'ends', `
services:
  tries: { ${common()}, command: ${sh('echo x >> /out/tries; n=$(wc -l < /out/tries); echo try $n; exit $((10 + n))')}, deploy: { restart_policy: { condition: on-failure, delay: 150ms, max_attempts: 5 } } }
  twice: { ${common()}, command: ["false"], restart: "on-failure:1" }
  never: { ${common()}, command: ${sh('exit 9')}, restart: "no" }
  done: { ${common()}, command: ["true"], restart: on-failure }
  eater: { ${common()}, command: ${sh('[ -e /out/eaten ] && exec sleep 1000; touch /out/eaten; x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done')}, mem_limit: 16m, memswap_limit: 16m }
`);
    await says(cluster, 'ends_tries', /^exit code 1[1-6], restarting in (150|300|600) ms|restarting in (1.2|2.4) s$/);
    const ended = (service: string) => async () => (await statusOf(cluster, `ends_${service}`))?.phase === 'failed';
    await until('the last try', ended('tries'), 30_000, 200);
    const tries = await container(cluster, 'ends_tries', 'tries', ({ state }) => state === 'failed');
    expect(tries.ended?.map(({ attempt, exitCode }) => ({ attempt, exitCode }))).toEqual([2, 3, 4, 5, 6].map((attempt) => ({ attempt, exitCode: 10 + attempt })));
    // Whole milliseconds on both sides.
    const gaps = tries.ended?.slice(1).map(({ startedAt }, at) => (startedAt ?? 0) - (tries.ended?.[at]?.endedAt ?? 0)) ?? [];
    for (const [at, least] of [300, 600, 1200, 2400].entries()) expect(gaps[at]).toBeGreaterThanOrEqual(least - 1);
    expect(await cluster.ok(['logs', '--previous', 'ends_tries.1'])).toBe('try 6\n');
    expect(await cluster.ok(['logs', 'ends_tries.1'])).toBe('try 2\ntry 3\ntry 4\ntry 5\ntry 6\n');
    const [pod] = await cluster.pods('ends_tries');
    expect(pod).toMatchObject({ state: 'failed', exitCode: 16, restarts: 5, message: 'exit code 16' });
    await until('the others to end', async () => (await ended('twice')()) && (await ended('never')()), 30_000, 200);
    const all = new Map((await cluster.json<{ service: string; state: string; restarts: number; exitCode?: number }[]>(['ps', '-a', 'ends'])).map((each) => [each.service, each]));
    expect(all.get('ends_twice')).toMatchObject({ state: 'failed', restarts: 1, exitCode: 1 });
    expect(all.get('ends_never')).toMatchObject({ state: 'failed', restarts: 0, exitCode: 9 });
    expect(all.get('ends_done')).toMatchObject({ state: 'succeeded', restarts: 0, exitCode: 0 });
    const eater = await container(cluster, 'ends_eater', 'eater', ({ attempt, state }) => attempt === 2 && state === 'running');
    expect(eater.ended).toMatchObject([{ attempt: 1, exitCode: 137, oomKilled: true, message: 'out of memory (exit code 137)' }]);
    await removed('ends');
  });
});

describe('deaths', () => {
  test('of a container, its shim, the agent and containerd: exit codes are right, nothing runs twice, nothing is left', async () => {
    await apply(cluster, 'deaths', `
services:
  web:
    image: ${image}
    stop_grace_period: 0s
    ${on('node-1')}
    command: ["sleep", "1000"]
    x-pod: { sidecars: { proxy: { image: ${image}, command: ["sleep", "1000"] } }, volumes: { cache: { medium: memory } } }
  ender: { ${common()}, ${on('node-1')}, command: ${sh('rm -f /out/end; until [ -e /out/end ]; do sleep 0.05; done; exit $(cat /out/end)')}, init: true }
`, ['--wait', '--timeout', '60s']);
    const attempts = async () => (await statusOf(cluster, 'deaths_web'))?.containers.map(({ attempt }) => attempt);
    const running = () => cluster.ready('deaths');
    const [web, proxy] = [await pidOf('deaths_web', 'web'), await pidOf('deaths_web', 'proxy')];

    killProcess(web);
    expect((await container(cluster, 'deaths_web', 'web', ({ attempt, state }) => attempt === 2 && state === 'running')).ended).toMatchObject([{ exitCode: 137 }]);
    expect(await pidOf('deaths_web', 'proxy')).toBe(proxy);

    const shim = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${proxy}/status`, 'utf8'))?.[1]);
    expect(readFileSync(`/proc/${shim}/comm`, 'utf8')).toMatch(/^containerd-shim/);
    killProcess(shim);
    await until('both to begin again', async () => String(await attempts()) === '3,2', 30_000, 200);
    await running();
    expect((await container(cluster, 'deaths_web', 'proxy', () => true)).ended).toMatchObject([{ exitCode: 137 }]);

    // Their exit is seen by nobody: the code is kept for who comes later.
    const pids = processesOf(cluster, 'pods-1');
    const [supervisor = 0] = processesOf(cluster, 'supervisor');
    for (const [victim, code] of [['agent-1', 42], ['containerd-1', 43]] as const) {
      const ender = await pidOf('deaths_ender', 'ender');
      process.kill(supervisor, 'SIGSTOP');
      try {
        for (const program of ['agent-1', victim]) for (const pid of processesOf(cluster, program)) killProcess(pid);
        out.put('end', String(code));
        await until('the container to end', () => !existsSync(`/proc/${ender}`));
      } finally {
        process.kill(supervisor, 'SIGCONT');
      }
      const { ended } = await container(cluster, 'deaths_ender', 'ender', (seen) => seen.state === 'running' && seen.ended?.at(-1)?.exitCode === code);
      expect(ended?.at(-1)).toMatchObject({ exitCode: code, message: `exit code ${code}` });
      await running();
      expect(processesOf(cluster, 'pods-1').length).toBe(pids.length);
      expect(await attempts()).toEqual([3, 2]);
    }
    await removed('deaths');
  });

  test('of a host, with all that a machine without power loses: its pods are made anew on the data they had', async () => {
    await apply(cluster, 'power', `
services:
  db:
    image: ${image}
    stop_grace_period: 0s
    ${on('node-2')}
    volumes: ["data:/data", "cache:/cache", "${out.directory}:/out"]
    command: ${sh('echo begins >> /data/log; ls /cache > /out/cache; touch /cache/warm; cat /data/log > /out/data; exec sleep 1000')}
    x-pod: { init: [{ image: ${image}, command: ${sh('echo init >> /data/log')}, volumes: ["data:/data"] }], volumes: { cache: { medium: memory } } }
  web: { ${common()}, ${on('node-1')}, command: ["sleep", "1000"] }
volumes: { data: }
`, ['--wait', '--timeout', '60s']);
    const [before] = await cluster.pods('power_db');
    const web = await pidOf('power_web', 'web');
    const [supervisor = 0] = processesOf(cluster, 'supervisor');
    process.kill(supervisor, 'SIGSTOP');
    try {
      await until('every process of the host to end', () => {
        const left = processesOf(cluster, 'host-2');
        for (const pid of left) killProcess(pid);
        return left.length === 0;
      });
      const run = `/run/tsorch/${cluster.name}/node-2`;
      const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n').map((line) => line.split(' ')[4] ?? '').filter((at) => at === run || at.startsWith(`${run}/`) || at.startsWith(`${cluster.stateDir}/node-2/`));
      // The namespaces and memory of pods at least, below the run directory, which may be in memory itself; what a dying shim had mounted may have gone
      // with it.
      expect(mounts.filter((at) => at !== run).length).toBeGreaterThan(1);
      for (const at of mounts.reverse()) execFileSync('umount', ['-l', at]);
      rmSync(run, { recursive: true });
      rmSync(`/sys/fs/bpf/tsorch/${cluster.name}/node-2`, { recursive: true });
      execFileSync('ip', ['netns', 'delete', `ts-${cluster.name}-2`]);
      await until('it to be missed', async () => (await cluster.nodes()).some(({ name, state }) => name === 'node-2' && state === 'down'), 30_000, 200);
    } finally {
      process.kill(supervisor, 'SIGCONT');
    }
    await cluster.start(['--split']);
    // Its pods were given up meanwhile; the one with a volume is made anew where that is. Before the host hears of that, it may have begun the old one
    // once more, as a host does that stands alone.
    const ran = ['init', 'begins'];
    await until('it to have looked what there is', () => out.lines('data').length >= 4 && out.lines('data').slice(-2).join() === ran.join());
    const lines = out.lines('data');
    expect(lines.slice(0, 2)).toEqual(ran);
    expect(lines.slice(2, -2).filter((line) => line === 'begins').length).toBeLessThanOrEqual(1);
    expect(out.lines('cache')).toEqual([]);
    await cluster.ready('power');
    const [after, ...others] = await cluster.pods('power_db');
    expect(others).toEqual([]);
    expect(after?.node).toBe('node-2');
    expect(after?.id).not.toBe(before?.id);
    expect(await pidOf('power_web', 'web')).toBe(web);
    await removed('power');
  });
});

describe('a host that is cut off', () => {
  test('its pods run on, or stop by themselves, though its agent is killed meanwhile; what stops is replaced only then', async () => {
    const from = out.lines().length;
    const log = (service: string) => out.lines().slice(from).filter((line) => line.startsWith(service));
    await cluster.ok(['node', 'pause', 'node-1']);
    await apply(cluster, 'cut', `
services:
  keeps: { ${common('1s')}, command: ${sh(stays('keeps'))} }
  stops: { ${common('1s')}, command: ${sh(stays('stops'))}, x-on-disconnect: { action: stop, after: 5s } }
`, ['--wait', '--timeout', '60s']);
    await cluster.ok(['node', 'activate', 'node-1']);
    const [keeps, stops] = [await pidOf('cut_keeps', 'keeps'), await pidOf('cut_stops', 'stops')];
    const [agent] = processesOf(cluster, 'agent-2');
    const link = (state: 'up' | 'down') => execFileSync('ip', ['link', 'set', hostNames(clusterNames(cluster.name), '', 2).veth, state]);
    link('down');
    try {
      killProcess(agent ?? 0);
      await until('the pod to stop by itself', () => log('stops').includes('stops ends') && !existsSync(`/proc/${stops}`), 60_000);
      await until('both to run elsewhere', () => log('keeps').length === 2 && log('stops').length === 3, 60_000);
      expect(log('stops')).toEqual(['stops begins', 'stops ends', 'stops begins']);
      expect(log('keeps')).toEqual(['keeps begins', 'keeps begins']);
      expect(existsSync(`/proc/${keeps}`)).toBe(true);
    } finally {
      link('up');
    }
    await until('the host to be back', async () => (await cluster.nodes()).every(({ state }) => state === 'ready'), 30_000, 200);
    await until('the one before to be told', () => !existsSync(`/proc/${keeps}`));
    await cluster.ready('cut');
    expect((await cluster.pods('cut')).map(({ name, node }) => ({ name, node }))).toEqual([{ name: 'cut_keeps.1', node: 'node-1' }, { name: 'cut_stops.1', node: 'node-1' }]);
    expect(log('stops')).toEqual(['stops begins', 'stops ends', 'stops begins']);
    await removed('cut');
  });
});
