/** Probes against real servers, on this host and inside a network namespace. */
import http from 'node:http';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Asks } from '../../../../agent/pods/ask/asks.ts';
import { type Place, placeOf } from '../../../../agent/pods/ask/place.ts';
import { type Answer, type CheckResult, containerId } from '../../../../agent/pods/step/types.ts';
import type { ExecRequest, Runtime } from '../../../../agent/runtime/port.ts';
import { FakeRuntime } from '../../../../agent/runtime/fake.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { inNetns, openNetns } from '../../../../lib/linux/netns.ts';
import { listenTcp } from '../../../../lib/linux/socket.ts';
import { silentLog } from '../../../../lib/log.ts';
import { Authority, createAuthority } from '../../../../lib/pki/authority.ts';
import type { Hook, Probe } from '../../../../model/spec.ts';
import { type HealthServer, HealthService } from '../../../../proto/gen/grpc/health.ts';
import { type OwnNetns, ownNetns } from '../../../own.ts';
import { assignment } from '../../../unit/agent/pods/specs.ts';

const ends: (() => unknown)[] = [];
let stop: AbortController;

beforeEach(() => {
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  for (const end of ends.splice(0)) await end();
});

async function listen(server: net.Server | http.Server, fd?: number): Promise<number> {
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => void sockets.add(socket.on('error', () => {})));
  await new Promise<void>((resolve) => (fd === undefined ? server.listen(0, '127.0.0.1', resolve) : server.listen({ fd }, resolve)));
  ends.push(() => new Promise((resolve) => (sockets.forEach((socket) => socket.destroy()), server.close(resolve))));
  return (server.address() as AddressInfo).port;
}

/** One question's answer. */
function ask(what: Probe['ask'], options: { readonly place?: Place; readonly timeoutMs?: number; readonly runtime?: Pick<Runtime, 'exec'> } = {}): Promise<CheckResult | null> {
  const { place = { host: '127.0.0.1', netns: null }, timeoutMs = 5000, runtime = { exec: () => Promise.reject(new Error('none')) } } = options;
  return new Promise((resolve) => {
    const asks: Asks = new Asks({ podId: 'p1', runtime, clock: systemClock, log: silentLog, signal: stop.signal, place: () => place, answered: () => resolve(asks.answers[0]?.result ?? null) });
    asks.check({ kind: 'check', container: 'main', attempt: 1, which: 'liveness', ask: what, timeoutMs });
  });
}
const well = { passed: true, output: '' };
const http0 = (port: number, over: Partial<Extract<Probe['ask'], { kind: 'http' }>> = {}) => ({ kind: 'http' as const, scheme: 'http' as const, port, path: '/', headers: {}, ...over });
const closedPort = async () => {
  const server = net.createServer();
  const port = await listen(server);
  await ends.pop()?.();
  return port;
};

describe('tcp', () => {
  test('whoever takes the connection is well; nobody there; nobody answers', async () => {
    const port = await listen(net.createServer());
    expect(await ask({ kind: 'tcp', port })).toEqual(well);
    const closed = await closedPort();
    expect(await ask({ kind: 'tcp', port: closed })).toEqual({ passed: false, output: `connect ECONNREFUSED 127.0.0.1:${closed}` });
    // An address of documentation leads nowhere, or is told to be unreachable.
    const nowhere = await ask({ kind: 'tcp', port: 80 }, { place: { host: '192.0.2.77', netns: null }, timeoutMs: 50 });
    expect(nowhere).toMatchObject({ passed: false, output: expect.stringMatching(/no answer in 50 ms|UNREACH/) });
  });
});

describe('http', () => {
  const seen: http.IncomingMessage[] = [];
  const serve = () =>
    listen(
      http.createServer((request, response) => {
        seen.push(request);
        const code = Number(/^\/(\d+)/.exec(request.url ?? '')?.[1] ?? 200);
        if (request.url === '/silent') return;
        if (request.url === '/endless') return void response.writeHead(200).write('x');
        response.writeHead(code, code === 302 ? { location: 'http://192.0.2.1/' } : {}).end(request.url === '/long' ? 'y'.repeat(3_000_000) : 'ok');
      }),
    );

  test.each([
    ['/', true, ''],
    ['/399', true, ''],
    ['/302', true, ''],
    ['/400', false, 'HTTP 400 Bad Request'],
    ['/503', false, 'HTTP 503 Service Unavailable'],
    ['/long', true, ''],
    ['/silent', false, 'no answer in 300 ms'],
    ['/endless', true, ''],
    ['not a path', false, 'Request path contains unescaped characters'],
  ])('%s passes: %s', async (path, passed, output) => {
    expect(await ask(http0(await serve(), { path }), { timeoutMs: ['/silent', '/endless'].includes(path) ? 300 : 5000 })).toEqual({ passed, output });
  });

  test('headers, among them the host', async () => {
    const port = await serve();
    seen.length = 0;
    await ask(http0(port, { headers: { 'X-Token': 'a', Host: 'shop.example' } }));
    await ask(http0(port));
    expect(seen.map(({ headers }) => [headers.host, headers['x-token'], headers['user-agent']])).toEqual([['shop.example', 'a', 'tsorch-probe'], [`127.0.0.1:${port}`, undefined, 'tsorch-probe']]);
    expect(await ask(http0(port, { headers: { 'bad name': 'x' } }))).toMatchObject({ passed: false, output: expect.stringContaining('bad name') });
  });

  test('https, whoever signed the certificate', async () => {
    const authority = await Authority.load(await createAuthority('test', Date.now()));
    const own = await authority.issue({ subject: { commonName: 'x' }, names: ['x'], now: Date.now() });
    const port = await listen(https.createServer({ cert: own.certificate, key: own.privateKey }, (_request, response) => response.end('ok')));
    expect(await ask(http0(port, { scheme: 'https' }))).toEqual(well);
    expect((await ask(http0(await serve(), { scheme: 'https' })))?.passed).toBe(false);
    expect(await ask(http0(port))).toMatchObject({ passed: false });
  });

  test('what does not speak it', async () => {
    const port = await listen(net.createServer((socket) => socket.end('SSH-2.0-OpenSSH_9\r\n')));
    expect(await ask(http0(port))).toMatchObject({ passed: false, output: expect.stringMatching(/Parse Error|hang up/) });
  });
});

describe('grpc', () => {
  const serve = async (implement = true) => {
    const server = new Server();
    const check: HealthServer['check'] = ({ request: { service } }, reply) => {
      if (service === 'nobody') return reply({ code: status.NOT_FOUND, message: 'unknown' });
      if (service === 'ill') return reply({ code: status.INTERNAL, message: 'it hurts: 100 %' });
      if (service === 'silent') return;
      reply(null, { status: service === 'starting' ? 2 : 1 });
    };
    if (implement) server.addService(HealthService, { check });
    const port = await new Promise<number>((resolve, reject) => server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))));
    ends.push(() => server.forceShutdown());
    return port;
  };

  test.each([
    ['', true, ''],
    ['shop.Cart', true, ''],
    ['starting', false, 'it is NOT_SERVING'],
    ['nobody', false, 'the server knows no service "nobody"'],
    ['ill', false, 'gRPC status 13: it hurts: 100 %'],
    ['silent', false, 'no answer in 300 ms'],
  ])('service %j passes: %s', async (service, passed, output) => {
    expect(await ask({ kind: 'grpc', port: await serve(), service }, { timeoutMs: service === 'silent' ? 300 : 5000 })).toEqual({ passed, output });
  });

  test('servers that do not have it, or are none', async () => {
    expect(await ask({ kind: 'grpc', port: await serve(false), service: '' })).toEqual({ passed: false, output: 'the server does not implement grpc.health.v1.Health' });
    const web = await listen(http.createServer((_request, response) => response.end('ok')));
    expect(await ask({ kind: 'grpc', port: web, service: '' })).toMatchObject({ passed: false });
    const closed = await closedPort();
    expect(await ask({ kind: 'grpc', port: closed, service: '' })).toMatchObject({ passed: false, output: expect.stringContaining('ECONNREFUSED') });
  });
});

describe('from inside a namespace', () => {
  let netns: OwnNetns;
  beforeAll(() => {
    netns = ownNetns('t-ask');
  });
  afterAll(() => netns?.[Symbol.dispose]());

  test('its own loopback is asked, by every kind, and this thread stays at home', async () => {
    const fd = openNetns(netns.path) ?? -1;
    const inside = () => inNetns<number>(fd, () => listenTcp({ address: '127.0.0.1', port: 0 }));
    const place = { host: '127.0.0.1', netns: netns.path };
    const port = await listen(http.createServer((_request, response) => response.end('ok')), inside());
    expect(await ask({ kind: 'tcp', port }, { place })).toEqual(well);
    expect(await ask(http0(port), { place })).toEqual(well);
    expect(await ask({ kind: 'tcp', port }, { place: { host: '127.0.0.1', netns: null } })).toMatchObject({ passed: false });
    const grpc = net.createServer();
    const h2 = await listen(grpc, inside());
    expect(await ask({ kind: 'grpc', port: h2, service: '' }, { place, timeoutMs: 100 })).toMatchObject({ passed: false, output: 'no answer in 100 ms' });
    expect(await ask({ kind: 'tcp', port }, { place: { host: '127.0.0.1', netns: '/proc/0/ns/net' } })).toMatchObject({ passed: false, output: expect.stringContaining('ENOENT') });
  });
});

describe('where', () => {
  const { pod, template } = assignment('p1');
  test.each([
    ['pod', '10.32.1.2', undefined, '10.32.1.2', null],
    ['pod', '10.32.1.2', '10.9.9.9', '10.9.9.9', null],
    ['pod', '10.32.1.2', 'localhost', '127.0.0.1', '/proc/7/ns/net'],
    ['pod', '10.32.1.2', '127.0.0.3', '127.0.0.3', '/proc/7/ns/net'],
    ['none', null, undefined, '127.0.0.1', '/proc/7/ns/net'],
    ['host', null, undefined, '127.0.0.1', null],
    ['host', null, 'localhost', 'localhost', null],
  ] as const)('network %s, address %s, asked for %s', (networkMode, ip, wanted, host, inside) => {
    expect(placeOf({ pod: { ...pod, ip }, template: { ...template, networkMode } }, 7, wanted)).toEqual({ host, netns: inside });
  });
});

describe('commands', () => {
  const running = async (exec: (id: string, request: ExecRequest) => Promise<{ code: number; stdout?: string }>) => {
    const runtime = new FakeRuntime({ clock: systemClock, exec });
    const { containerSpec } = await import('../../../unit/agent/pods/specs.ts');
    const { FakeImages } = await import('../../../../agent/images/fake.ts');
    const images = new FakeImages();
    images.add('busybox');
    const id = containerId('p1', 'main', 1);
    await runtime.create({ id, podId: 'p1', labels: {}, image: await images.get('busybox'), spec: containerSpec({ command: ['x'] }), hostname: 'x', netns: null, mounts: [], env: {}, sysctls: {}, stdout: '/dev/null', stderr: '/dev/null' });
    await runtime.start(id);
    return runtime;
  };

  test('exec: its exit code decides, what it printed says why', async () => {
    const runtime = await running(async (_id, { argv }) => ({ code: Number(argv[1]), stdout: 'not\n  today' }));
    expect(await ask({ kind: 'exec', argv: ['check', '0'] }, { runtime })).toEqual(well);
    expect(await ask({ kind: 'exec', argv: ['check', '4'] }, { runtime })).toEqual({ passed: false, output: 'not today' });
  });

  test('exec: one that hangs is killed', async () => {
    const runtime = await running(() => new Promise(() => {}));
    const killed: number[] = [];
    const wrapped: Pick<Runtime, 'exec'> = {
      exec: async (id, request) => {
        const process = await runtime.exec(id, request);
        return { ...process, kill: async (signal) => (killed.push(signal), process.kill(signal)) };
      },
    };
    expect(await ask({ kind: 'exec', argv: ['x'] }, { runtime: wrapped, timeoutMs: 50 })).toEqual({ passed: false, output: 'no answer in 50 ms' });
    expect(killed).toEqual([9]);
  });

  test('hooks: how they are run, and that one whose time is over is ended', async () => {
    const requests: ExecRequest[] = [];
    const runtime = await running((_id, request) => (requests.push(request), request.argv.at(-1) === 'hang' ? new Promise(() => {}) : Promise.resolve({ code: 3, stdout: 'oh' })));
    const answers: Answer[] = [];
    const hook = (over: Partial<Hook>): Hook => ({ command: { kind: 'shell', command: 'hang' }, env: {}, privileged: false, ...over });
    await new Promise<void>((resolve) => {
      const asks: Asks = new Asks({ podId: 'p1', runtime, clock: systemClock, log: silentLog, signal: stop.signal, place: () => ({ host: '', netns: null }), answered: () => {
        answers.push(...asks.answers);
        asks.taken(asks.answers.length);
        if (answers.length === 1) {
          asks.hook({ kind: 'hook', container: 'main', attempt: 1, at: 'preStop', index: 0, hook: hook({}) });
          setImmediate(() => asks.endHook('p1.main.1'));
        } else resolve();
      } });
      asks.hook({ kind: 'hook', container: 'main', attempt: 1, at: 'postStart', index: 0, hook: hook({ command: { kind: 'exec', argv: ['a', 'b'] }, user: 'web', workingDir: '/w', env: { A: null }, privileged: true }) });
    });
    expect(requests).toEqual([
      { argv: ['a', 'b'], env: { A: null }, tty: false, stdin: false, user: 'web', workingDir: '/w', privileged: true },
      { argv: ['/bin/sh', '-c', 'hang'], env: {}, tty: false, stdin: false },
    ]);
    expect(answers.map(({ result }) => result)).toEqual([{ passed: false, output: 'exit code 3: oh' }, { passed: false, output: 'it did not end in time' }]);
  });
});
