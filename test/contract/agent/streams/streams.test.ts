import { once } from 'node:events';
import fs from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Agent } from '../../../../agent/main.ts';
import type { DataFrame } from '../../../../proto/gen/tsorch/node.ts';
import { TsorchError } from '../../../../model/errors.ts';
import type { LogLine } from '../../../../model/api.ts';
import { linesOf } from '../../../../model/log-chunk.ts';
import { assignment, containerSpec } from '../../../unit/agent/pods/specs.ts';
import { AgentHost, until } from '../session/host.ts';
import { collect, type Data, TestMaster } from '../session/master.ts';

let host: AgentHost;
let agent: Agent;
let master: TestMaster;

beforeEach(async () => {
  host = await AgentHost.make({
    exec: async (_id, request, stdin) => {
      if (request.argv[0] === 'cat') return { code: 3, stdout: stdin, stderr: 'warned' };
      if (request.argv[0] === 'hang') return await new Promise(() => {});
      return { code: 0, stdout: request.argv.join(' ') };
    },
    refuseExec: (_id, { argv }) =>
      argv[0] === 'nope' ? new TsorchError('invalid', 'executable file `nope` not found in $PATH: No such file or directory') : argv[0] === '/etc/passwd' ? new TsorchError('invalid', 'exec /etc/passwd: permission denied') : undefined,
  });
  master = await TestMaster.start();
  agent = await host.start(`127.0.0.1:${master.port}`);
  await until(() => master.hellos.length === 2);
  master.assign([assignment('p1')]);
  await until(() => master.statuses.get('p1')?.ready === true);
});
afterEach(async () => {
  await host.dispose();
  master.kill();
});

const stdout = () => host.runtime.requests.get('p1.main.1')?.stdout ?? '';
type Frames = readonly NonNullable<DataFrame['kind']>[];
const chunks = (frames: Frames) => frames.flatMap((f) => (f.$case === 'logs' ? f.value.chunks : []));
const lines = (frames: Frames): readonly LogLine[] =>
  chunks(frames).flatMap(({ stderr, notice: _notice, ...chunk }) => linesOf({ ...chunk, stream: stderr ? 'stderr' : 'stdout', pod: 'shop_web.1', podId: 'p1', node: 'host-1' }));
const write = (stream: Data, kind: DataFrame['kind']) => stream.write({ kind });

describe('logs', () => {
  test('all, tail, and the end', async () => {
    await fs.appendFile(stdout(), 'one\ntwo\nthree\n');
    const frames = await collect(await master.open('logs', { podId: 'p1', follow: false }));
    expect(lines(frames)).toMatchObject([{ container: 'main', attempt: 1, stream: 'stdout', line: 'one', end: 4 }, { line: 'two', end: 8 }, { line: 'three', end: 14 }]);
    expect(frames.at(-1)).toEqual({ $case: 'done', value: 0 });
    expect(lines(await collect(await master.open('logs', { podId: 'p1', follow: false, tail: 1 }))).map((l) => l.line)).toEqual(['three']);
  });

  test('one container, one attempt', async () => {
    await fs.appendFile(stdout(), 'one\n');
    for (const [only, found] of [[{ container: 'main' }, 1], [{ container: 'side' }, 0], [{ container: 'main', attempt: 1 }, 1], [{ container: 'main', attempt: 2 }, 0]] as const) {
      const got = lines(await collect(await master.open('logs', { podId: 'p1', follow: false, ...only })));
      expect(got).toMatchObject(found ? [{ container: 'main', line: 'one' }] : []);
    }
  });

  test('a follower that goes away is not followed', async () => {
    let ended = false;
    const original = agent.logs.read.bind(agent.logs);
    agent.logs.read = async function* (...args) {
      try {
        yield* original(...args);
      } finally {
        ended = true;
      }
    };
    const stream = await master.open('logs', { podId: 'p1', follow: true });
    stream.end();
    await until(() => ended);
  });

  test('follow until the pod is gone', async () => {
    const stream = await master.open('logs', { podId: 'p1', follow: true });
    const got = collect(stream);
    await fs.appendFile(stdout(), 'live\n');
    master.assign([], { remove: ['p1'], full: false });
    const frames = await got;
    expect(lines(frames).map((l) => l.line)).toEqual(['live']);
    expect(frames.at(-1)?.$case).toBe('done');
    // And it can still be read afterwards.
    expect(lines(await collect(await master.open('logs', { podId: 'p1', follow: false }))).map((l) => l.line)).toEqual(['live']);
  });

  test('a reader that does not read costs no memory, and loses nothing', async () => {
    const count = 400_000;
    await fs.appendFile(stdout(), Array.from({ length: count }, (_, i) => `${i} ${'x'.repeat(40)}\n`).join(''));
    let read = 0;
    const original = agent.logs.read.bind(agent.logs);
    agent.logs.read = async function* (...args) {
      for await (const batch of original(...args)) {
        for (const { data } of batch) read += data.length;
        yield batch;
      }
    };
    const stream = await master.open('logs', { podId: 'p1', follow: false });
    // Nor does anybody else wait for it: the session is on the same connection.
    const { heartbeats } = master;
    await until(() => master.heartbeats > heartbeats + 5);
    expect(read).toBeLessThan(count * 10);
    const got = lines(await collect(stream));
    expect([got.length, got.every((l, i) => l.line.startsWith(`${i} `))]).toEqual([count, true]);
  });

  test('a reader that was cut off goes on where it was, whatever the tail was; one stream or container alone', async () => {
    await fs.appendFile(stdout(), 'one\ntwo\n');
    await fs.appendFile(stdout().replace(/stdout$/, 'stderr'), 'oops\n');
    const places = { 'main.1/stdout': 4, 'main.1/stderr': 5 };
    expect(lines(await collect(await master.open('logs', { podId: 'p1', follow: false, tail: 0, places }))).map((l) => l.line)).toEqual(['two']);
    // A stream that it has not heard of is new.
    expect(lines(await collect(await master.open('logs', { podId: 'p1', follow: false, tail: 0, places: { 'main.1/stdout': 4 } }))).map((l) => l.line).toSorted()).toEqual(['oops', 'two']);
    const first = chunks(await collect(await master.open('logs', { podId: 'p1', follow: false, tail: 1, stream: 'stdout' })));
    expect(first.map(({ stderr, end, data }) => [stderr, end, data.toString()])).toEqual([[false, 4, ''], [false, 8, 'two\n']]);
    expect(lines(await collect(await master.open('logs', { podId: 'p1', follow: false, stream: 'stderr' }))).map((l) => l.line)).toEqual(['oops']);
    expect(lines(await collect(await master.open('logs', { podId: 'p1', follow: false, container: 'other' })))).toEqual([]);
  });

  test('an agent that stops does not call it the end', async () => {
    const stream = await master.open('logs', { podId: 'p1', follow: true });
    const got = collect(stream);
    await fs.appendFile(stdout(), 'live\n');
    await host.stop();
    const last = await got.then((frames) => frames.at(-1)?.$case, () => 'broken off');
    expect(last).not.toBe('done');
  });

  test('a pod that is not here', async () => {
    expect(await collect(await master.open('logs', { podId: 'nope', follow: false }))).toMatchObject([{ $case: 'error', value: { code: 'not-found' } }]);
  });
});

describe('exec', () => {
  const params = { podId: 'p1', argv: ['cat'], env: {}, tty: false, stdin: true };

  test('input, both outputs, exit code', async () => {
    const stream = await master.open('exec', params);
    write(stream, { $case: 'resize', value: { width: 80, height: 24 } });
    const payload = Buffer.alloc(300_000, 'ab');
    for (let at = 0; at < payload.length; at += 50_000) write(stream, { $case: 'stdin', value: payload.subarray(at, at + 50_000) });
    write(stream, { $case: 'stdinEnd', value: true });
    const frames = await collect(stream);
    const bytes = (which: 'stdout' | 'stderr') => Buffer.concat(frames.flatMap((f) => (f.$case === which ? [f.value] : [])));
    expect(bytes('stdout').equals(payload)).toBe(true);
    expect(bytes('stderr').toString()).toBe('warned');
    expect(frames.at(-1)).toEqual({ $case: 'done', value: 3 });
  });

  test('a caller that goes away takes its process along', async () => {
    const killed: number[] = [];
    const exec = host.runtime.exec.bind(host.runtime);
    host.runtime.exec = async (...args) => {
      const process = await exec(...args);
      return { ...process, kill: async (signal) => (killed.push(signal), process.kill(signal)) };
    };
    const stream = await master.open('exec', { ...params, argv: ['hang'], stdin: false });
    stream.end();
    await until(() => killed.includes(1));
  });

  test.each([['nope', 127, 'not found'], ['/etc/passwd', 126, 'permission denied']])('%s cannot be run: code %i', async (program, code, why) => {
    const frames = await collect(await master.open('exec', { ...params, argv: [program], stdin: false }));
    expect(frames).toMatchObject([{ $case: 'stderr' }, { $case: 'done', value: code }]);
    expect(frames[0]?.$case === 'stderr' && frames[0].value.toString()).toContain(why);
  });

  test('what is not running', async () => {
    expect(await collect(await master.open('exec', { ...params, podId: 'nope' }))).toMatchObject([{ $case: 'error', value: { code: 'unavailable', message: expect.stringContaining('nope') } }]);
    expect(await collect(await master.open('exec', { ...params, container: 'side' }))).toMatchObject([{ $case: 'error', value: { code: 'unavailable' } }]);
  });
});

describe('images and volumes', () => {
  test('list and remove', async () => {
    const [list] = await collect(await master.open('image-list', {}));
    expect(JSON.parse(list?.$case === 'message' ? list.value : '')).toMatchObject([{ references: ['docker.io/library/busybox:latest'] }]);
    expect(await collect(await master.open('image-rm', { reference: 'busybox' }))).toEqual([{ $case: 'done', value: 0 }]);
    expect(await collect(await master.open('image-rm', { reference: 'busybox' }))).toMatchObject([{ $case: 'error', value: { code: 'not-found' } }]);
  });

  test('a loaded image wakes the pods that wait for it', async () => {
    const load = host.images.load.bind(host.images);
    let received = 0;
    host.images.load = async (archive, progress) => {
      for await (const part of archive) received += part.length;
      progress?.('unpacking');
      host.images.add('late:1');
      return ['late:1'];
    };
    const container = containerSpec({ image: 'late:1' });
    master.assign([assignment('p2', { pod: { ip: '10.32.1.9' }, template: { containers: [container] } })], { full: false });
    await until(() => master.statuses.get('p2')?.message.includes('tsorch image load') ?? false);
    const stream = await master.open('image-load', {});
    for (let i = 0; i < 20; i++) if (!write(stream, { $case: 'stdin', value: Buffer.alloc(100_000) })) await once(stream, 'drain');
    write(stream, { $case: 'stdinEnd', value: true });
    const frames = await collect(stream);
    expect(frames.map((f) => (f.$case === 'message' ? JSON.parse(f.value) : f))).toEqual([{ message: 'unpacking' }, { loaded: ['late:1'] }, { $case: 'done', value: 0 }]);
    expect(received).toBe(2_000_000);
    await until(() => master.statuses.get('p2')?.ready === true);
    host.images.load = load;
  });

  test('a load that breaks off, or holds no image, says so', async () => {
    const stream = await master.open('image-load', {});
    write(stream, { $case: 'stdin', value: Buffer.from('this is no tar archive'.repeat(100)) });
    write(stream, { $case: 'stdinEnd', value: true });
    expect((await collect(stream)).at(-1)?.$case).toBe('error');
  });

  test('volumes', async () => {
    await fs.mkdir(`${host.directory}/state/volumes/data/_data`, { recursive: true });
    expect(await collect(await master.open('volume-list', {}))).toMatchObject([{ $case: 'message', value: expect.stringContaining('"name":"data"') }, { $case: 'done' }]);
    expect(await collect(await master.open('volume-rm', { name: '../../x' }))).toMatchObject([{ $case: 'error', value: { code: 'invalid' } }]);
    expect(await collect(await master.open('volume-rm', { name: 'data' }))).toEqual([{ $case: 'done', value: 0 }]);
    expect(await fs.readdir(`${host.directory}/state/volumes`)).toEqual([]);
  });

  test('kinds of a newer master', async () => {
    expect(await collect(await master.open('telepathy', {}))).toMatchObject([{ $case: 'error', value: { code: 'unsupported' } }]);
  });
});
