/** Commands that stream: logs, events, exec, waiting. */
import type { ServerResponse } from 'node:http';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocketServer, type WebSocket } from 'ws';
import { renderPlan } from '../../../cli/commands/plan.ts';
import { painter } from '../../../cli/output/color.ts';
import { type AttachInfo, type AttachQuery, execChannel, type ExecQuery, inputWindow, type LogLine, type ServiceListItem } from '../../../model/api.ts';
import { encodeChunk, logChunkType, type PodLogChunk } from '../../../model/log-chunk.ts';
import { events, plan, pods, services } from './fixtures.ts';
import { FakeMaster, fixedNow, runCli, type FakeRequest } from './harness.ts';

let master: FakeMaster;

beforeEach(async () => {
  master = await new FakeMaster().start();
});

afterEach(() => master.stop());

const logChunk = (pod: string, text: string | Uint8Array, change: Partial<PodLogChunk> = {}): PodLogChunk => ({
  pod, podId: `id-${pod}`, node: 'node-1', container: pod.replace(/^[^_]*_|\.\d+$/g, ''), attempt: 1, stream: 'stdout', time: fixedNow, end: Buffer.byteLength(text), data: Buffer.from(text), ...change,
});

function answerChunks(values: readonly PodLogChunk[], end: (response: ServerResponse) => void = (response) => response.end()) {
  return (request: FakeRequest, response: ServerResponse) => {
    expect(request.headers.accept).toBe(logChunkType);
    response.writeHead(200, { 'content-type': logChunkType });
    response.write(Buffer.concat(values.flatMap(encodeChunk)), () => end(response));
  };
}

describe('logs', () => {
  test('of a stack: who said it in front, stderr to stderr', async () => {
    master.on('GET /v1/logs', answerChunks([logChunk('s_web.1', 'hello\nagain\n'), logChunk('s_database.1', 'oops\n', { stream: 'stderr' }), logChunk('s_web.1', '\n'), logChunk('s_web.1', 'beside\n', { container: 'sidecar', several: true })]));
    const at = '2026-01-31T12:00:00.000Z';
    expect(await runCli(['logs', 's', '-f', '--tail', '10', '--since', '5m', '-t'], { master })).toEqual({
      code: 0,
      stdout: `s_web.1 | ${at} hello\ns_web.1 | ${at} again\ns_web.1      | ${at} \ns_web.1 sidecar | ${at} beside\n`,
      stderr: `s_database.1 | ${at} oops\n`,
    });
    expect(master.requests[0]?.url).toBe(`/v1/logs?target=s&follow=true&tail=10&since=${fixedNow - 300_000}`);
  });

  test('several targets, one container, one stream', async () => {
    master.on('GET /v1/logs', answerChunks([logChunk('s_web.1', 'x\n')]));
    expect((await runCli(['logs', 's_web.1', 's_db.1', '-c', 'web', '--stderr'], { master })).stdout).toBe('s_web.1 | x\n');
    expect(master.requests[0]?.url).toBe('/v1/logs?target=s_web.1&target=s_db.1&container=web&follow=false&stream=stderr');
  });

  test('of one pod: its bytes and nothing else, whatever they are', async () => {
    const bytes = Buffer.from(Array.from({ length: 1000 }, (_, i) => (i * 7) % 256));
    master.on('GET /v1/logs', answerChunks([logChunk('s_web.1', 'aaaaa'), logChunk('s_web.1', 'bcd\n'), logChunk('s_web.1', '\u001b[1mcolour of its own\u001b[0m\n'), logChunk('s_web.1', bytes), logChunk('s_web.1', 'no end')]));
    const { raw } = await runCli(['logs', 's_web.1'], { master });
    expect(raw.equals(Buffer.concat([Buffer.from('aaaaabcd\n\u001b[1mcolour of its own\u001b[0m\n'), bytes, Buffer.from('no end')]))).toBe(true);
  });

  test('pieces of a line stay together, unless another pod cuts in', async () => {
    master.on('GET /v1/logs', answerChunks([logChunk('s_a.1', 'begin'), logChunk('s_a.1', 'end\n'), logChunk('s_a.1', 'cut'), logChunk('s_b.1', 'b\n'), logChunk('s_a.1', 'off\n')]));
    expect((await runCli(['logs', 's'], { master })).stdout).toBe('s_a.1 | beginend\ns_a.1 | cut\ns_b.1 | b\ns_a.1 | off\n');
  });

  test('as JSON: a record per line, what is no text also in base64', async () => {
    master.on('GET /v1/logs', answerChunks([logChunk('s_web.1', 'é\ntwo\nthr'), logChunk('s_web.1', Buffer.from([0x61, 0xff, 0x0a]))]));
    const records = (await runCli(['logs', 's_web.1', '--format', 'json'], { master })).stdout.trimEnd().split('\n').map((text) => JSON.parse(text) as LogLine);
    expect(records).toEqual([
      { pod: 's_web.1', podId: 'id-s_web.1', node: 'node-1', container: 'web', attempt: 1, stream: 'stdout', time: fixedNow, line: 'é', end: 3 },
      expect.objectContaining({ line: 'two', end: 7 }), expect.objectContaining({ line: 'thr', partial: true, end: 10 }),
      expect.objectContaining({ line: 'a\ufffd', bytes: Buffer.from([0x61, 0xff]).toString('base64'), end: 3 }),
    ]);
  });

  test('the pods have colours in a terminal', async () => {
    master.on('GET /v1/logs', answerChunks([logChunk('s_web.1', 'x\n')]));
    expect((await runCli(['logs', 's_web'], { master, columns: 80 })).stdout).toMatch(/^\u001b\[3\dms_web\.1 \|\u001b\[39m x\n$/);
    expect((await runCli(['logs', 's_web'], { master, columns: 80, env: { NO_COLOR: '1' } })).stdout).toBe('s_web.1 | x\n');
  });

  test('of several containers, of one, and of an attempt before', async () => {
    master.on('GET /v1/logs', answerChunks([logChunk('s_web.1', 'x\n', { several: true }), logChunk('s_web.1', 'y\n', { container: 'side', several: true })]));
    master.requests.length = 0;
    expect((await runCli(['logs', 's_web'], { master })).stdout).toBe('s_web.1 web | x\ns_web.1 side | y\n');
    expect((await runCli(['logs', 's_web.1'], { master })).stdout).toBe('web | x\nside | y\n');
    expect((await runCli(['logs', '-p', '-c', 'web', 's_web.1'], { master })).stdout).toBe('x\ny\n');
    expect(master.requests.at(-1)?.url).toBe('/v1/logs?target=s_web.1&container=web&previous=true&follow=false');
    expect((await runCli(['logs', '--attempt', '3', 's_web.1'], { master })).stdout).toBe('web | x\nside | y\n');
    expect(master.requests.at(-1)?.url).toBe('/v1/logs?target=s_web.1&attempt=3&follow=false');
    for (const flags of [['--attempt', '0'], ['--attempt', '3', '-f'], ['--attempt', '3', '-p'], ['-p', '-f']]) expect((await runCli(['logs', ...flags, 's_web.1'], { master })).code).toBe(2);
  });

  test('a connection that breaks off says so', async () => {
    master.on('GET /v1/logs', answerChunks([logChunk('s_web.1', 'x\n')], (response) => response.destroy()));
    const result = await runCli(['logs', 's_web.1'], { master });
    expect(result).toMatchObject({ code: 6, stdout: 'x\n' });
    expect(result.stderr).toMatch(/^error: cannot reach the master at .*: connection lost/);
  });

  test('a follower goes on where it was when the master is back', async () => {
    master.on('GET /v1/logs', answerChunks([logChunk('s_web.1', 'one\n', { end: 4 }), logChunk('s_web.2', '', { end: 77 }), logChunk('s_web.1', 'of ours\n', { end: 0, notice: true })], (response) => response.destroy()));
    let tries = 0;
    master.on('POST /v1/logs', (request: FakeRequest, response: ServerResponse) => {
      expect(JSON.parse(request.body.toString())).toEqual({ target: ['s'], follow: true, tail: 3, places: { 'id-s_web.1': { 'web.1/stdout': 4 }, 'id-s_web.2': { 'web.1/stdout': 77 } } });
      if (++tries === 1) response.destroy();
      else answerChunks([logChunk('s_web.1', 'two\n', { end: 8 })])(request, response);
    });
    const result = await runCli(['logs', '-f', '-n', '3', 's'], { master });
    expect(result).toMatchObject({ code: 0, stdout: 's_web.1 | one\ns_web.1 | of ours\ns_web.1 | two\n' });
    expect(result.stderr).toMatch(/^\[tsorch\] cannot reach the master at .*: connection lost; trying again\n\[tsorch\] the master is back\n$/);
  });

  test('Ctrl-C ends it quietly', async () => {
    const stop = new AbortController();
    master.on('GET /v1/logs', answerChunks([logChunk('s_web.1', 'x\n')], () => stop.abort(new Error('SIGINT'))));
    expect(await runCli(['logs', '-f', 's_web.1'], { master, signal: stop.signal })).toMatchObject({ code: 130, stderr: '' });
  });
});

test('events as they happen', async () => {
  master.on('GET /v1/events', (request: FakeRequest, response: ServerResponse) => {
    expect(request.url).toBe('/v1/events?follow=true');
    response.writeHead(200, { 'content-type': 'text/event-stream' }).end(events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(''));
  });
  expect((await runCli(['events', '-f'], { master })).stdout).toBe('2026-01-31T11:59:00.000Z  pod/voting_vote.1  exit code 1\n');
});

test('the text of a plan', async () => {
  await expect(renderPlan(plan, painter(false))).toMatchFileSnapshot('./expected/plan.txt');
});

describe('image prune', () => {
  test('says what went, node by node, and what failed', async () => {
    master.on('POST /v1/images/prune', [
      { node: 'node-1', removed: [{ references: ['docker.io/library/old:1', `docker.io/library/old@sha256:${'a'.repeat(64)}`], digest: `sha256:${'a'.repeat(64)}`, size: 3 * 2 ** 20 }] },
      { node: 'node-2', removed: [], error: 'it is away' },
    ]);
    expect(await runCli(['image', 'prune', '-a', '--node', 'node-1', '--node', 'node-2'], { master })).toEqual({ code: 1, stdout: 'node-1: removed old:1\n3 MiB of images removed\n', stderr: 'error: node-2: it is away\n' });
    expect(master.requests[0]?.url).toBe('/v1/images/prune?node=node-1&node=node-2&all=true');
  });
});

describe('waiting', () => {
  const vote = services[1] as ServiceListItem;

  /** Each look at the services sees the next state; the last one stays. */
  function states(...list: readonly Partial<ServiceListItem>[]): void {
    let look = 0;
    master.on('GET /v1/services', (_request: FakeRequest, response: ServerResponse) => {
      const state = list[Math.min(look, list.length - 1)] ?? {};
      look += 1;
      response.end(JSON.stringify([{ ...vote, ...state }]));
    });
    master.on('POST /v1/services/voting_vote/scale', vote);
    const own = pods.filter((pod) => pod.service === 'voting_vote');
    master.on('GET /v1/pods', (_request: FakeRequest, response: ServerResponse) => {
      const done = look >= list.length;
      response.end(JSON.stringify(own.map((pod) => (done ? { ...pod, state: 'running', ready: true, message: '' } : pod))));
    });
  }

  test('a line per change in a pipe', async () => {
    states({}, {}, { update: { state: 'completed', message: '' } });
    const result = await runCli(['scale', 'voting_vote=2', '--wait'], { master });
    expect(result.stdout.replace(/after .*/g, 'after …')).toBe(
      'voting_vote scaled to 2\nvoting_vote 0/2 waiting: voting_vote.1: exit code 1, restarting in 400 ms (and 1 more)\nvoting_vote 2/2 ready after …\n',
    );
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(master.requests[0]?.body.toString() ?? '')).toEqual({ replicas: 2 });
  });

  test('a block that redraws itself in a terminal', async () => {
    states({}, { update: { state: 'completed', message: '' } });
    const { stdout } = await runCli(['scale', 'voting_vote=2', '--wait'], { master, columns: 60, env: { NO_COLOR: '1' } });
    expect(stdout).toContain('… voting_vote  0/2  waiting: voting_vote.1: exit');
    expect(stdout).toContain('\u001b[1A\r\u001b[2K✔ voting_vote  2/2  ready');
    for (const line of stdout.split('\n')) expect(line.replace(/\u001b\[[\dA-Z]*[A-Z]|\r/g, '').length).toBeLessThan(60);
  });

  test('the time is up: exit code 5, with the reason', async () => {
    states({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {});
    const result = await runCli(['scale', 'voting_vote=2', '--wait', '--timeout', '300ms'], { master });
    expect(result.code).toBe(5);
    expect(result.stderr).toBe('error: not ready after 300 ms: voting_vote (0/2, voting_vote.1: exit code 1, restarting in 400 ms); see `tsorch ps voting_vote -a`\n');
  });

  test('an update that was rolled back: exit code 1', async () => {
    states({ update: { state: 'rolled-back', message: 'voting_vote.1 failed' } }, {});
    const result = await runCli(['scale', 'voting_vote=2', '--wait'], { master });
    expect(result.code).toBe(1);
    expect(result.stderr).toContain('update rolled-back: voting_vote.1 failed');
  });

  test('a master that is away for a moment is waited for', async () => {
    states({}, { update: { state: 'completed', message: '' } });
    let failures = 2;
    const { url } = master;
    const flaky = await new FakeMaster().start();
    try {
      for (const path of ['GET /v1/services', 'GET /v1/pods', 'POST /v1/services/voting_vote/scale']) {
        flaky.on(path, async (request: FakeRequest, response: ServerResponse) => {
          if (request.method === 'GET' && failures-- > 0) return response.writeHead(503).end('{"error":{"code":"unavailable","message":"no leader"}}');
          const answer = await fetch(`${url}${request.url}`, { method: request.method, ...(request.body.length > 0 ? { body: request.body } : {}) });
          return response.end(Buffer.from(await answer.arrayBuffer()));
        });
      }
      expect(await runCli(['scale', 'voting_vote=2', '--wait'], { master: flaky })).toMatchObject({ code: 0, stderr: '' });
    } finally {
      await flaky.stop();
    }
  });
});

let sockets: WebSocketServer | undefined;
let asked: (ExecQuery & AttachQuery) | undefined;

afterEach(() => sockets?.close());

const send = (socket: WebSocket, channel: number, payload: Uint8Array | string) => socket.send(Buffer.concat([Buffer.of(channel), Buffer.from(payload)]));

/** Answers WebSockets at the path, one after the other by these. */
function serveSockets(path: string, ...handles: ((socket: WebSocket, frames: AsyncIterable<Buffer>) => Promise<void>)[]): void {
  sockets = new WebSocketServer({ server: master.server, path });
  let turn = 0;
  sockets.on('connection', (socket, request) => {
    asked = JSON.parse(new URL(request.url ?? '', 'http://x').searchParams.get('q') ?? '') as ExecQuery & AttachQuery;
    const frames = new PassThrough({ objectMode: true });
    socket.on('message', (data: Buffer) => frames.write(data));
    socket.on('close', () => frames.end());
    (handles[turn++] ?? handles.at(-1))?.(socket, frames).catch(() => socket.terminate());
  });
}

const serve = (handle: (socket: WebSocket, frames: AsyncIterable<Buffer>) => Promise<void>) => serveSockets('/v1/exec', handle);

/** A terminal to type on. */
function terminal() {
  const modes: boolean[] = [];
  return { stdin: Object.assign(new PassThrough(), { isTTY: true, setRawMode: (on: boolean) => void modes.push(on) }), modes };
}

describe('exec', () => {

  test('output, errors and the exit code come through', async () => {
    serve(async (socket, frames) => {
      for await (const frame of frames) if (frame[0] === execChannel.stdinEnd) break;
      send(socket, execChannel.stdout, 'out\n');
      send(socket, execChannel.stderr, 'err\n');
      send(socket, execChannel.exit, '{"code":42}');
    });
    expect(await runCli(['exec', '-u', 'www', '-e', 'A=1', '-e', 'HOME', '-e', 'NONE', '-w', '/srv', 'voting_vote.1', '--', 'ls', '-l', '--', '-x'], { master, env: { HOME: '/h' } })).toEqual({ code: 42, stdout: 'out\n', stderr: 'err\n' });
    expect(asked).toEqual({ target: 'voting_vote.1', argv: ['ls', '-l', '--', '-x'], env: { A: '1', HOME: '/h' }, user: 'www', workingDir: '/srv', tty: false, stdin: false });
  });

  test('-- may be left away', async () => {
    serve(async (socket) => send(socket, execChannel.exit, '{"code":0}'));
    expect(await runCli(['exec', 'voting_vote', 'ls', '-l'], { master })).toMatchObject({ code: 0 });
    expect(asked?.argv).toEqual(['ls', '-l']);
  });

  test('megabytes of any bytes go in and come out unchanged', async () => {
    const bytes = Buffer.from(Uint32Array.from({ length: 2_000_000 }, (_, i) => Math.imul(i, 2654435761)).buffer);
    let received = Buffer.alloc(0);
    let [taken, ahead] = [0, 0];
    serve(async (socket, frames) => {
      const chunks: Buffer[] = [];
      for await (const frame of frames) {
        if (frame[0] === execChannel.stdinEnd) break;
        if (frame[0] !== execChannel.stdin) continue;
        chunks.push(frame.subarray(1));
        ahead = Math.max(ahead, chunks.reduce((sum, { length }) => sum + length, 0) - taken);
        if (chunks.length % 8 !== 0) continue;
        // Told of late, and not of all.
        await new Promise((resolve) => setTimeout(resolve, 2));
        const bytesTaken = chunks.slice(-8).reduce((sum, { length }) => sum + length, 0);
        taken += bytesTaken;
        send(socket, execChannel.taken, String(bytesTaken));
      }
      received = Buffer.concat(chunks);
      for (let at = 0; at < received.length; at += 100_000) send(socket, execChannel.stdout, received.subarray(at, at + 100_000));
      send(socket, execChannel.exit, '{"code":0}');
    });
    const stdin = new PassThrough();
    for (let at = 0; at < bytes.length; at += 65_536) stdin.write(bytes.subarray(at, at + 65_536));
    stdin.end();
    const result = await runCli(['exec', '-i', 'voting_vote', '--', 'cat'], { master, stdin });
    expect(result.code).toBe(0);
    expect(received.equals(bytes)).toBe(true);
    expect(result.raw.equals(bytes)).toBe(true);
    // Never more than the window is under way.
    expect(ahead).toBeLessThanOrEqual(inputWindow);
  });

  test('what the master refuses is said in its words', async () => {
    serve(async (socket) => {
      send(socket, execChannel.error, JSON.stringify({ error: { code: 'not-found', message: 'no pod voting_x.1' } }));
      socket.close();
    });
    expect(await runCli(['exec', 'voting_x.1', '--', 'ls'], { master })).toEqual({ code: 4, stdout: '', stderr: 'error: no pod voting_x.1\n' });
  });

  test('a connection that breaks off is not a success', async () => {
    serve(async (socket) => socket.terminate());
    expect(await runCli(['exec', 'voting_vote', '--', 'ls'], { master })).toMatchObject({ code: 6, stdout: '' });
  });

  test('-it needs a terminal', async () => {
    serve(async () => {});
    expect(await runCli(['exec', '-it', 'voting_vote', '--', 'sh'], { master })).toMatchObject({ code: 2, stderr: 'error: -t needs a terminal, and standard input is not one; leave -t away\n' });
  });

  test('a terminal is raw meanwhile, has a size, and is as before afterwards', async () => {
    const { stdin, modes } = terminal();
    const sizes: string[] = [];
    serve(async (socket, frames) => {
      for await (const frame of frames) {
        if (frame[0] === execChannel.resize) sizes.push(frame.subarray(1).toString());
        if (frame[0] === execChannel.stdin) break;
      }
      send(socket, execChannel.exit, '{"code":0}');
    });
    stdin.write('x');
    expect(await runCli(['exec', '-it', 'voting_vote', '--', 'sh'], { master, stdin, columns: 100 })).toMatchObject({ code: 0 });
    expect(sizes).toEqual(['{"width":100,"height":24}']);
    expect(modes).toEqual([true, false]);
    expect(asked).toMatchObject({ tty: true, stdin: true });
  });

  test('detach keys leave it running; what only looked like them is typed', async () => {
    const typed: string[] = [];
    const { stdin, modes } = terminal();
    serve(async (socket, frames) => {
      for await (const frame of frames) {
        if (frame[0] === execChannel.stdin) typed.push(frame.subarray(1).toString());
        if (frame[0] === execChannel.detach) break;
      }
      send(socket, execChannel.exit, '{"code":0}');
    });
    stdin.write('a\u0010b\u0010');
    setTimeout(() => stdin.write('\u0011never'), 20);
    expect(await runCli(['exec', '-it', 'voting_vote', '--', 'sh'], { master, stdin, columns: 100 })).toMatchObject({ code: 0, stderr: '\r\nsh goes on in voting_vote\n' });
    expect(typed.join('')).toBe('a\u0010b');
    expect(modes).toEqual([true, false]);
  });

  test('Ctrl-C is passed on, and what it made of it is the exit code', async () => {
    const stop = new AbortController();
    serve(async (socket, frames) => {
      send(socket, execChannel.stdout, 'begun\n');
      stop.abort(new Error('SIGTERM'));
      for await (const frame of frames) {
        if (frame[0] !== execChannel.signal) continue;
        send(socket, execChannel.exit, JSON.stringify({ code: 128 + Number(frame.subarray(1).toString()) }));
      }
    });
    expect(await runCli(['exec', 'voting_vote', '--', 'sleep', '9'], { master, signal: stop.signal })).toMatchObject({ code: 143, stdout: 'begun\n', stderr: '' });
  });

  test('detached from the beginning: nothing is read, nothing is typed', async () => {
    serve(async (socket) => send(socket, execChannel.exit, '{"code":0}'));
    expect(await runCli(['exec', '-itd', 'voting_vote', '--', 'sleep', '9'], { master, stdin: 'never' })).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(asked).toMatchObject({ detach: true, tty: true, stdin: false });
  });
});

describe('attach', () => {
  const info = (change: Partial<AttachInfo> = {}) => JSON.stringify({ tty: false, stdin: true, container: 'vote', attempt: 2, places: { stdout: 10, stderr: 0 }, podId: 'p1', pod: 'voting_vote.1', ...change });

  test('output from now on, input, the exit code', async () => {
    let typed = '';
    serveSockets('/v1/attach', async (socket, frames) => {
      send(socket, execChannel.info, info());
      send(socket, execChannel.stdout, 'hello\n');
      send(socket, execChannel.stderr, 'oh\n');
      for await (const frame of frames) {
        if (frame[0] === execChannel.stdin) typed += frame.subarray(1).toString();
        if (frame[0] === execChannel.stdinEnd) break;
      }
      send(socket, execChannel.exit, '{"code":3}');
    });
    expect(await runCli(['attach', 'voting_vote', '-c', 'vote'], { master, stdin: 'typed\n' })).toEqual({ code: 3, stdout: 'hello\n', stderr: 'oh\n' });
    expect([asked, typed]).toEqual([{ target: 'voting_vote', container: 'vote', stdin: true }, 'typed\n']);
  });

  test('a container with a terminal: ours is raw, its screen is drawn anew, keys leave it', async () => {
    const { stdin, modes } = terminal();
    const sizes: string[] = [];
    serveSockets('/v1/attach', async (socket, frames) => {
      send(socket, execChannel.info, info({ tty: true }));
      for await (const frame of frames) {
        if (frame[0] === execChannel.resize) sizes.push(frame.subarray(1).toString());
        if (frame[0] === execChannel.detach) break;
      }
      socket.close();
    });
    setTimeout(() => stdin.write('\u0018d'), 50);
    const result = await runCli(['attach', 'voting_vote', '--detach-keys', 'ctrl-x,d'], { master, stdin, columns: 100, env: { NO_COLOR: '1' } });
    expect(result).toMatchObject({ code: 0, stderr: '[tsorch] attached to voting_vote.1; ctrl-x,d leaves it\n\r\ndetached; voting_vote goes on\n' });
    expect(sizes).toEqual(['{"width":100,"height":25}', '{"width":100,"height":24}']);
    expect(modes).toEqual([true, false]);
  });

  test('a connection that is lost is made again, and output goes on where it was', async () => {
    serveSockets('/v1/attach', async (socket) => {
      send(socket, execChannel.info, info());
      send(socket, execChannel.stdout, 'one\n');
      send(socket, execChannel.error, JSON.stringify({ error: { code: 'unavailable', message: 'the node went away' } }));
    }, async (socket) => {
      send(socket, execChannel.info, info({ places: asked?.again?.places ?? { stdout: 0, stderr: 0 } }));
      send(socket, execChannel.stdout, 'two\n');
      send(socket, execChannel.exit, '{"code":0}');
    });
    expect(await runCli(['attach', '--no-stdin', 'voting_vote'], { master })).toEqual({ code: 0, stdout: 'one\ntwo\n', stderr: '[tsorch] the connection was lost; attaching again\r\n' });
    expect(asked).toEqual({ target: 'voting_vote', stdin: false, again: { podId: 'p1', attempt: 2, places: { stdout: 14, stderr: 0 } } });
  });

  test('what the master refuses is said in its words', async () => {
    serveSockets('/v1/attach', async (socket) => send(socket, execChannel.error, JSON.stringify({ error: { code: 'conflict', message: 'voting_vote has no running pod', hint: 'see tsorch ps voting_vote' } })));
    expect(await runCli(['attach', 'voting_vote'], { master })).toEqual({ code: 1, stdout: '', stderr: 'error: voting_vote has no running pod; see tsorch ps voting_vote\n' });
  });

  test.each(['ctrl-', 'ab', 'ctrl-!', 'a,,b'])('keys that are none: %s', async (keys) => {
    expect(await runCli(['attach', 'x', '--detach-keys', keys], { master })).toMatchObject({ code: 2, stderr: expect.stringContaining('write keys such as ctrl-p,ctrl-q') });
  });
});
