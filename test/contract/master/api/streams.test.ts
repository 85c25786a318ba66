/** Logs, exec, images and volumes: what goes from a client through the master to a host, and that nothing of it stays behind. */
import { createHash } from 'node:crypto';
import { request } from 'node:https';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { LogLine } from '../../../../model/api.ts';
import { makeContainer, makeSpec } from '../../../unit/master/scheduler/make.ts';
import { Joined, message } from './joined.ts';
import { Lab, until } from './lab.ts';

let lab: Lab;
let joined: Joined;
beforeEach(async () => {
  lab = await Lab.start();
  joined = new Joined(lab);
});
afterEach(async () => {
  joined.close();
  await lab[Symbol.asyncDispose]();
});

const connect: Joined['connect'] = (name) => joined.connect(name);
const answer: Joined['answer'] = (host, kind) => joined.answer(host, kind);
const done = (value = 0) => ({ $case: 'done', value }) as const;
const chunk = (time: number, text: string, end = 0) => ({ container: 'web', attempt: 1, stderr: false, time, end, data: Buffer.from(`${text}\n`), notice: false });
const lines = (...chunks: ReturnType<typeof chunk>[]) => ({ $case: 'logs', value: { chunks } }) as const;

/** Lines as they come; `leave` hangs up. */
function follow(path: string) {
  const { ca, cert, key } = lab.admin;
  const lines: LogLine[] = [];
  const state = { lines, ended: false, leave: () => req.destroy() };
  const req = request({ host: '127.0.0.1', port: lab.serving.apiPort, path, ca, cert, key, agent: false }, (response) => {
    let rest = '';
    response.setEncoding('utf8');
    response.on('error', () => {});
    response.on('end', () => { state.ended = true; });
    response.on('data', (chunk: string) => {
      const parts = (rest + chunk).split('\n');
      rest = parts.pop() ?? '';
      lines.push(...parts.map((text) => JSON.parse(text) as LogLine));
    });
  });
  req.on('error', () => {});
  req.end();
  return state;
}

it('logs of several hosts are one stream in order of time; each call ends on both sides', async () => {
  const [a, b] = [await connect('alpha'), await connect('beta')];
  const reader = follow('/v1/logs?target=shop_web&tail=10');
  const [one, two] = [await answer(a, 'logs'), await answer(b, 'logs')];
  expect(one.params).toEqual({ podId: 'p1', follow: false, tail: 10 });
  one.send(lines(chunk(1, 'a1'), chunk(4, 'a4')), done());
  two.send(lines(chunk(2, 'b2')), lines(chunk(3, 'b3')), { $case: 'error', value: { code: 'not-found', message: 'no more' } });
  await until('the reader has all', () => reader.ended);
  expect(reader.lines.slice(0, 4).map(({ line: text, pod, node }) => `${node} ${pod} ${text}`)).toEqual(['alpha shop_web.1 a1', 'beta shop_web.2 b2', 'beta shop_web.2 b3', 'alpha shop_web.1 a4']);
  expect(reader.lines.at(-1)).toMatchObject({ stream: 'stderr', line: '[tsorch] no output of shop_web.2: no more', notice: true });
  await until('both calls are over', () => joined.answers.every(({ over }) => over));
});

it('whoever stops following is not read for any longer', async () => {
  const host = await connect('alpha');
  const reader = follow('/v1/logs?target=shop_web.1&follow=true');
  const logs = await answer(host, 'logs');
  logs.send(lines(chunk(Date.now(), 'hello')));
  await until('the line has come', () => reader.lines.length === 1);
  expect(logs.over).toBe(false);
  reader.leave();
  await until('the host is told', () => logs.over);
});

it('a pod that comes while somebody follows is followed too', async () => {
  await connect('alpha');
  const reader = follow('/v1/logs?target=shop_web&follow=true');
  await answer(joined.hosts[0]!, 'logs');
  const second = await connect('beta');
  const logs = await answer(second, 'logs');
  logs.send(lines(chunk(Date.now(), 'new here')));
  await until('its line has come', () => reader.lines.some(({ line: text, node }) => text === 'new here' && node === 'beta'));
  reader.leave();
  await until('all calls are over', () => joined.answers.every(({ over }) => over));
});

it('a host that breaks off, or is not there, is a line in the log and not an end of it', async () => {
  const [a, b] = [await connect('alpha'), await connect('beta')];
  b.close();
  await until('beta is gone', () => !lab.serving.context.sessions.has(b.id));
  const reader = follow('/v1/logs?target=shop');
  const logs = await answer(a, 'logs');
  logs.send(lines(chunk(1, 'a1')));
  await until('the reader has it', () => reader.lines.some(({ line: text }) => text === 'a1'));
  logs.call.cancel();
  await until('it is over', () => reader.ended);
  expect(reader.lines.map(({ line: text }) => text)).toEqual(expect.arrayContaining(['a1', expect.stringMatching(/output of shop_web\.1 broke off: node alpha went away/) as string, expect.stringMatching(/no output of shop_web\.2: node beta is not connected/) as string]));
});

it('a follower is led through the absence of a host: it goes on where it was', async () => {
  const host = await connect('alpha');
  const reader = follow('/v1/logs?target=shop_web&follow=true&tail=5');
  const before = await answer(host, 'logs');
  before.send({ $case: 'logs', value: { chunks: [{ ...chunk(0, '', 40), data: Buffer.alloc(0) }] } }, lines(chunk(Date.now(), 'one', 44)));
  await until('the line has come', () => reader.lines.length === 1);
  // Its agent is started again.
  before.call.cancel();
  const again = await answer(host, 'logs');
  expect(again.params).toEqual({ podId: 'p1', follow: true, tail: 5, places: { 'web.1/stdout': 44 } });
  again.send(lines(chunk(Date.now(), 'two', 48)), { $case: 'error', value: { code: 'aborted', message: 'the agent stops' } });
  const third = await answer(host, 'logs');
  expect(third.params['places']).toEqual({ 'web.1/stdout': 48 });
  third.send(lines(chunk(Date.now(), 'three', 54)));
  await until('the line has come', () => reader.lines.length === 3);
  expect(reader.lines.map(({ line: text, end }) => [text, end])).toEqual([['one', 44], ['two', 48], ['three', 54]]);
  reader.leave();
  await until('all calls are over', () => joined.answers.every(({ over }) => over));
});

it('a pod that its host does not know yet is asked for again; a follow of one pod ends with it, one of a service with the service', async () => {
  const host = await connect('alpha');
  const [pod, service] = [follow('/v1/logs?target=p1&follow=true'), follow('/v1/logs?target=shop_web&follow=true')];
  for (let i = 0; i < 2; i++) (await answer(host, 'logs')).send({ $case: 'error', value: { code: 'not-found', message: 'this node has no output of pod p1' } });
  for (let i = 0; i < 2; i++) (await answer(host, 'logs')).send(lines(chunk(Date.now(), 'here', 5)), done());
  await until('the one of the pod has ended', () => pod.ended);
  await until('the line has come', () => service.lines.length === 1);
  expect(service.ended).toBe(false);
  await lab.world.waitFor((await lab.store.commit([{ op: 'delete', kind: 'services', id: 'shop_web' }, { op: 'delete', kind: 'pods', id: 'p1' }])).revision, AbortSignal.timeout(5000));
  await until('the other has ended too', () => service.ended);
});

it('a reader that was cut off says where it was, and gets new pods from their beginning', async () => {
  const [a, b] = [await connect('alpha'), await connect('beta')];
  const viewer = await lab.person('viewer');
  const body = { target: ['shop_web'], follow: false, tail: 1, stream: 'stdout', places: { p1: { 'web.1/stdout': 12 } } };
  const call = lab.call('POST', '/v1/logs', { as: viewer, body });
  const [one, two] = [await answer(a, 'logs'), await answer(b, 'logs')];
  expect([one.params, two.params]).toEqual([{ podId: 'p1', follow: false, stream: 'stdout', places: { 'web.1/stdout': 12 } }, { podId: 'p2', follow: false, stream: 'stdout', places: {} }]);
  one.send(done());
  two.send(done());
  expect((await call).status).toBe(200);
  expect(await lab.fails('POST', '/v1/logs', { body: { target: ['shop_web'], places: { p1: { x: -1 } } } })).toMatchObject({ status: 400, error: { code: 'invalid' } });
  expect(await lab.fails('GET', '/v1/logs?target=shop_wev')).toMatchObject({ status: 404, error: { hint: 'did you mean shop_web?' } });
  expect(await lab.fails('GET', '/v1/logs?target=shop_wev.1')).toMatchObject({ status: 404, error: { hint: 'did you mean shop_web.1?' } });
  expect(await lab.fails('GET', '/v1/logs?target=shop_web.9')).toMatchObject({ status: 404, error: { message: 'shop_web has no pod shop_web.9' } });
  expect(await lab.fails('GET', '/v1/logs?target=shop_web&container=wob')).toMatchObject({ status: 404, error: { message: 'shop_web has no container wob' } });
});

it('exec carries bytes both ways and ends with the exit code', async () => {
  const host = await connect('alpha');
  const { ca, cert, key } = lab.admin;
  const q = encodeURIComponent(JSON.stringify({ target: 'shop_web', argv: ['cat'], env: { A: 'b' }, tty: true, stdin: true }));
  const socket = new WebSocket(`wss://127.0.0.1:${lab.serving.apiPort}/v1/exec?q=${q}`, { ca, cert, key });
  const frames: Buffer[] = [];
  let closed = false;
  socket.on('message', (data: Buffer) => frames.push(data));
  socket.on('close', () => { closed = true; });
  // What is typed before the process runs is not lost.
  socket.on('open', () => {
    socket.send(Buffer.from([0, 0, 255, 10]));
    // Nonsense is passed over.
    for (const text of ['', 'x', 'null', '{"width":-1,"height":"a"}']) socket.send(Buffer.concat([Buffer.from([3]), Buffer.from(text)]));
    socket.send(Buffer.from([99, 1]));
    socket.send(Buffer.alloc(0));
    socket.send(Buffer.concat([Buffer.from([3]), Buffer.from('{"width":80,"height":24}')]));
    socket.send(Buffer.from([4]));
  });
  const exec = await answer(host, 'exec');
  expect(exec.params).toMatchObject({ podId: 'p1', argv: ['cat'], env: { A: 'b' }, tty: true, stdin: true });
  await until('input, size and end have come', () => exec.received.length === 3);
  expect(exec.received.map(({ $case }) => $case)).toEqual(['stdin', 'resize', 'stdinEnd']);
  expect(Buffer.from((exec.received[0] as { value: Uint8Array }).value)).toEqual(Buffer.from([0, 255, 10]));
  const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  exec.send({ $case: 'stdout', value: all }, { $case: 'stderr', value: Buffer.from('oh') }, done(3));
  await until('the client is told', () => closed);
  expect(frames.map((frame) => frame[0])).toEqual([1, 2, 5]);
  expect(frames[0]!.subarray(1)).toEqual(all);
  expect(JSON.parse(frames[2]!.subarray(1).toString())).toEqual({ code: 3 });
  await until('the call is over', () => exec.over);
});

it('a container is chosen by its name, and a joined service goes by its own', async () => {
  const host = await connect('alpha');
  const spec = makeSpec({ template: { containers: [makeContainer({ name: 'web' }), makeContainer({ name: 'side' })] } });
  const containers = [{ name: 'web', image: 'x', state: 'running', attempt: 1 }, { name: 'side', image: 'x', state: 'running', attempt: 3 }] as const;
  const { revision } = await lab.store.commit([
    { op: 'put', kind: 'revisions', id: 'shop_web.r1', value: { service: 'shop_web', revision: 'r1', spec } },
    { op: 'put', kind: 'podstatus', id: 'p1', value: { id: 'p1', node: host.id, phase: 'running', ready: true, message: '', restarts: 2, since: 1, containers } },
  ]);
  await lab.world.waitFor(revision, AbortSignal.timeout(5000));
  for (const [path, params] of [
    ['target=shop_side', { podId: 'p1', container: 'side', follow: false }],
    ['target=shop_web&container=web&follow=true', { podId: 'p1', container: 'web', follow: true }],
    ['target=shop_side&previous=true&follow=true', { podId: 'p1', container: 'side', attempt: 2, follow: false }],
    ['target=shop_side&attempt=1', { podId: 'p1', container: 'side', attempt: 1, follow: false }],
  ] as const) {
    const reader = follow(`/v1/logs?${path}`);
    const logs = await answer(host, 'logs');
    expect(logs.params).toEqual(params);
    logs.send(lines({ ...chunk(1, 'said'), container: 'side' }), done());
    await until('it has come', () => reader.lines.length === 1);
    expect(reader.lines[0]).toMatchObject({ container: 'side', line: 'said' });
    reader.leave();
  }
  expect(await lab.fails('GET', '/v1/logs?target=shop_web&container=none')).toMatchObject({ status: 404 });
  expect((await lab.fails('GET', '/v1/logs?target=shop_web&previous=true&container=web')).error.message).toBe('shop_web has no attempt before this one');
  expect(await lab.fails('GET', '/v1/logs?target=shop_side&attempt=4')).toMatchObject({ status: 404, error: { message: 'shop_side has no attempt 4', hint: 'the last is 3' } });
  expect((await lab.fails('GET', '/v1/logs?target=shop_side&attempt=1&previous=true')).status).toBe(400);
  const { ca, cert, key } = lab.admin;
  const q = encodeURIComponent(JSON.stringify({ target: 'shop_web', container: 'side', argv: ['true'] }));
  const socket = new WebSocket(`wss://127.0.0.1:${lab.serving.apiPort}/v1/exec?q=${q}`, { ca, cert, key });
  const exec = await answer(host, 'exec');
  expect(exec.params).toMatchObject({ podId: 'p1', container: 'side' });
  exec.send(done());
  socket.terminate();
});

it('a client of exec that goes takes the process along', async () => {
  const host = await connect('alpha');
  const { ca, cert, key } = lab.admin;
  const q = encodeURIComponent(JSON.stringify({ target: 'shop_web', argv: ['cat'], env: {}, tty: false, stdin: true }));
  const socket = new WebSocket(`wss://127.0.0.1:${lab.serving.apiPort}/v1/exec?q=${q}`, { ca, cert, key });
  const exec = await answer(host, 'exec');
  socket.terminate();
  await until('the host is told', () => exec.over);
});

it('images are listed and removed on every host, and a failing host fails the call', async () => {
  const [a, b] = [await connect('alpha'), await connect('beta')];
  const listing = lab.ok<{ node: string; digest: string }[]>('GET', '/v1/images');
  for (const host of [a, b]) (await answer(host, 'image-list')).send(message([{ references: ['x:1'], digest: `of ${host.id}`, size: 1 }]), done());
  expect((await listing).map(({ node }) => node)).toEqual(['alpha', 'beta']);
  const removal = lab.fails('DELETE', '/v1/images/registry.example/x:1');
  (await answer(a, 'image-rm')).send(done());
  const refusing = await answer(b, 'image-rm');
  expect(refusing.params).toEqual({ reference: 'registry.example/x:1' });
  refusing.send({ $case: 'error', value: { code: 'conflict', message: 'it is in use' } });
  expect((await removal).error.message).toBe('it is in use');
  await until('all calls are over', () => joined.answers.every(({ over }) => over));
});

it('an image archive reaches every host byte for byte', async () => {
  const [a, b] = [await connect('alpha'), await connect('beta')];
  const archive = Buffer.alloc(3_000_000, 'tar archive ');
  const { ca, cert, key } = lab.admin;
  const reply = new Promise<string>((resolve, reject) => {
    const req = request({ host: '127.0.0.1', port: lab.serving.apiPort, path: '/v1/images', method: 'PUT', ca, cert, key, agent: false, headers: { 'content-type': 'application/x-tar' } }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => { text += chunk; });
      response.on('end', () => resolve(text));
    });
    req.on('error', reject);
    req.end(archive);
  });
  const loads = [await answer(a, 'image-load'), await answer(b, 'image-load')];
  for (const load of loads) {
    await until('all of it has come', () => load.received.at(-1)?.$case === 'stdinEnd', 20_000);
    expect(Buffer.concat(load.received.flatMap((frame) => (frame.$case === 'stdin' ? [frame.value] : []))).equals(archive)).toBe(true);
  }
  loads[0]!.send(message({ loaded: ['x:1'] }), done());
  loads[1]!.send({ $case: 'error', value: { code: 'invalid', message: 'no such layer' } });
  expect((await reply).trim().split('\n').map((text) => JSON.parse(text) as unknown)).toEqual(expect.arrayContaining([{ node: 'alpha', loaded: ['x:1'] }, { node: 'beta', error: 'no such layer' }]));
  await until('all calls are over', () => joined.answers.every(({ over }) => over));
});

it('a push is completed on its seed, then on the others; a node whose connection breaks is asked again', async () => {
  const [a, b] = [await connect('alpha'), await connect('beta')];
  const config = '{}';
  const digest = `sha256:${createHash('sha256').update(config).digest('hex')}`;
  const manifest = JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: 2 }, layers: [] });
  let told = '';
  const post = (body: unknown) => new Promise<string>((resolve, reject) => {
    told = '';
    const { ca, cert, key } = lab.admin;
    const req = request({ host: '127.0.0.1', port: lab.serving.apiPort, path: '/v1/images/commit', method: 'POST', ca, cert, key, agent: false, headers: { 'content-type': 'application/json' } }, (response) => {
      response.setEncoding('utf8').on('data', (part: string) => { told += part; }).on('end', () => resolve(told));
    });
    req.on('error', reject).end(JSON.stringify(body));
  });
  const body = { push: 'feedbeef00000000', seed: 'alpha', nodes: ['alpha', 'beta'], images: [{ references: ['x:1'], manifest, config }] };
  const reply = post(body);
  const seed = await answer(a, 'push-commit');
  // The documents go to the seed alone: the others have them from there.
  expect(seed.params['images']).toMatchObject([{ references: ['docker.io/library/x:1'], documents: [{ text: manifest }, { digest, text: config }] }]);
  expect(b.requests).toEqual([]);
  seed.send(message({ held: [] }), done());
  const broken = await answer(b, 'push-commit');
  expect(broken.params['images']).toMatchObject([{ documents: [] }]);
  broken.send(message({ message: 'fetching' }));
  await until('it has begun', () => told.includes('fetching'));
  broken.call.cancel();
  const again = await answer(b, 'push-commit');
  again.send(message({ held: [], bytes: 7 }), done());
  const events = (await reply).trim().split('\n').map((text) => JSON.parse(text) as unknown);
  expect(events).toEqual([
    { node: 'alpha', kind: 'done', references: ['docker.io/library/x:1'], bytes: 0 },
    { node: 'beta', kind: 'progress', message: 'fetching' },
    { node: 'beta', kind: 'progress', message: expect.stringMatching(/trying again$/) as unknown },
    { node: 'beta', kind: 'done', references: ['docker.io/library/x:1'], bytes: 7 },
  ]);
  expect(await post({ ...body, images: [{ ...body.images[0], config: '{"other":1}' }] })).toContain('the configuration is not the one that the manifest names');
  await until('all calls are over', () => joined.answers.every(({ over }) => over));
});

it('a volume that shall go is marked for the leader, and the answer comes once it is gone', async () => {
  const host = await connect('alpha');
  const { revision } = await lab.store.commit([{ op: 'put', kind: 'volumes', id: 'v', value: { name: 'v', stack: null, driver: 'local', driverOpts: {}, labels: {}, node: host.id } }]);
  await lab.world.waitFor(revision, AbortSignal.timeout(5000));
  let answered = false;
  const asked = lab.ok('DELETE', '/v1/volumes/v').then(() => { answered = true; });
  await until('it is marked', () => lab.world.get('volumes', 'v')?.removing !== undefined);
  expect(answered).toBe(false);
  // What the leader does when the node has said that the data is gone.
  await lab.store.commit([{ op: 'delete', kind: 'volumes', id: 'v' }]);
  await asked;
});

it('a stream is for the host that was asked: another that knows its id gets nothing', async () => {
  const [a, b] = [await connect('alpha'), await connect('beta')];
  const reader = follow('/v1/logs?target=shop_web.1');
  await until('alpha is asked', () => a.requests.length === 1);
  const stolen = b.dial(a.requests[0]!.id);
  let refused = false;
  stolen.on('status', () => { refused = true; });
  stolen.resume();
  stolen.write({ kind: lines(chunk(1, 'lies')) });
  await until('it is turned away', () => refused);
  const logs = await answer(a, 'logs');
  logs.send(lines(chunk(1, 'truth')), done());
  await until('the reader has it', () => reader.ended);
  expect(reader.lines.map(({ line: text }) => text)).toEqual(['truth']);
});
