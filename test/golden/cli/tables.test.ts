import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { events, images, nodes, pods, secrets, services, stacks, stats, volumes } from './fixtures.ts';
import { FakeMaster, runCli, transcript } from './harness.ts';

const master = new FakeMaster();

beforeAll(async () => {
  master
    .on('GET /v1/nodes', nodes)
    .on('GET /v1/stacks', stacks)
    .on('GET /v1/services', services)
    .on('GET /v1/services/voting_vote', services[1])
    .on('GET /v1/pods', pods)
    .on('GET /v1/volumes', volumes)
    .on('GET /v1/secrets', secrets)
    .on('GET /v1/images', images)
    .on('GET /v1/events', events)
    .on('GET /v1/stats', stats)
    .on('GET /v1/tokens', [{ id: 't1', role: 'node', expiresAt: Date.UTC(2026, 0, 31, 13) }, { id: 't2', role: 'node' }]);
  await master.start();
});

afterAll(() => master.stop());

test.each([
  ['nodes'],
  ['ls'],
  ['services'],
  ['ps'],
  ['volume', 'ls'],
  ['secret', 'ls'],
  ['image', 'ls'],
  ['events'],
  ['stats'],
  ['top'],
  ['top', 'nodes', '--sort', 'memory'],
  ['top', 'pods', '--sort', 'memory'],
  ['token', 'ls'],
])('table of %s %s', async (...argv) => {
  const words = argv.filter((word) => typeof word === 'string');
  await expect(transcript(words, await runCli(words, { master }))).toMatchFileSnapshot(`./expected/table-${words.join('-').replaceAll('---', '-')}.txt`);
});

test('JSON is what the master said', async () => {
  for (const [command, rows] of [['nodes', nodes], ['ps', pods], ['services', services], ['ls', stacks]] as const) {
    const result = await runCli([command, '--format', 'json'], { master });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(result.stdout)).toEqual(rows);
  }
});

test('statistics of what does not run as well', async () => {
  const idle = { ...stats.containers[0]!, name: 'voting_migrate.1', state: 'succeeded', cpu: { percent: null, seconds: 0 }, network: null };
  const asked = await new FakeMaster().on('GET /v1/stats', { ...stats, containers: [idle, stats.containers[0]!] }).start();
  try {
    const lines = (await runCli(['stats', '-a', 'voting'], { master: asked })).stdout.split('\n').map((line) => line.trim().split(/ {2,}/));
    expect(lines[0]!.slice(0, 4)).toEqual(['NAME', 'NODE', 'STATE', 'CPU %']);
    expect(lines[1]!.slice(2)).toEqual(['succeeded', '--', '--', '--', '--', '--', '--']);
    expect(lines[2]!.slice(0, 3)).toEqual(['voting_db.1', 'node-1', 'running']);
    expect(asked.requests.map(({ url }) => url)).toEqual(['/v1/stats?target=voting&all=true']);
  } finally {
    await asked.stop();
  }
});

test('statistics for programs', async () => {
  const json = async (...words: string[]) => JSON.parse((await runCli([...words, '--format', 'json'], { master })).stdout) as unknown;
  expect(await json('stats')).toEqual(stats.containers);
  expect(await json('top', 'nodes')).toEqual(['node-3', 'node-1', 'node-2'].map((name) => stats.nodes.find((node) => node.name === name)));
  expect(await json('top')).toMatchObject({ nodes: [{ name: 'node-3' }, {}, {}], pods: [{ name: 'voting_worker.1', cpus: 3.844 }, { name: 'voting_vote.1', cpus: 0.1025, memory: 6 * 2 ** 20, containers: 2 }, {}, {}] });
  master.requests.length = 0;
  await runCli(['stats', 'voting_vote', 'voting_db.1', '--node', 'node-1'], { master });
  await runCli(['top', 'pods', 'voting'], { master });
  expect(master.requests.map(({ url }) => url)).toEqual(['/v1/stats?node=node-1&target=voting_vote&target=voting_db.1', '/v1/stats?target=voting']);
  expect(await runCli(['top', 'voting'], { master })).toMatchObject({ code: 2, stderr: expect.stringContaining('tsorch top pods voting') as string });
});

describe('statistics as they change', () => {
  const told = (...readings: readonly unknown[]) => new FakeMaster().on('GET /v1/stats', (_request: unknown, response: ServerResponse) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const reading of readings) response.write(`data: ${JSON.stringify(reading)}\n\n`);
  }).start();
  /** Runs until it has said so much. */
  const runUntil = async (argv: readonly string[], from: FakeMaster, enough: (stdout: string) => boolean, columns?: number) => {
    const stop = new AbortController();
    const onOutput = (text: string) => void (enough(text) && stop.abort(new Error('SIGINT')));
    return await runCli(argv, { master: from, signal: stop.signal, onOutput, ...(columns === undefined ? {} : { columns }) });
  };
  const second = { ...stats, containers: stats.containers.slice(0, 1) };

  test('on a terminal the table is drawn anew in its place, and says who is missing', async () => {
    const from = await told(stats, second);
    try {
      const { code, stdout } = await runUntil(['stats'], from, (text) => text.split('NAME').length >= 3, 60);
      expect(code).toBe(130);
      expect(stdout).toContain('\r\u001b[7A');
      expect(stdout).toContain('node-2 does not answer');
      // No line is wider than the terminal.
      for (const line of stdout.replaceAll(/\u001b\[[\d;]*[A-Za-z]|\r/g, '').split('\n')) expect(line.length).toBeLessThanOrEqual(60);
    } finally {
      await from.stop();
    }
  });

  test('--stream into a pipe: one JSON value per line', async () => {
    const from = await told(stats, second);
    try {
      const { stdout } = await runUntil(['stats', '--stream', '--format', 'json'], from, (text) => text.split('\n').length >= 3);
      expect(stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as unknown)).toEqual([stats.containers, second.containers]);
      expect(from.requests[0]?.url).toBe('/v1/stats?follow=true');
    } finally {
      await from.stop();
    }
  });

  test('--no-stream on a terminal, and a pipe without --stream, ask once', async () => {
    const from = await new FakeMaster().on('GET /v1/stats', stats).start();
    try {
      expect(await runCli(['top', '--no-stream'], { master: from, columns: 80 })).toMatchObject({ code: 0, stderr: expect.stringContaining('node-2 does not answer') as string });
      expect(await runCli(['top'], { master: from })).toMatchObject({ code: 0, stderr: 'warning: node-2 does not answer\n' });
      expect(from.requests.map(({ url }) => url)).toEqual(['/v1/stats', '/v1/stats']);
    } finally {
      await from.stop();
    }
  });
});

test('YAML', async () => {
  const argv = ['volume', 'ls', '--format', 'yaml'];
  await expect(transcript(argv, await runCli(argv, { master }))).toMatchFileSnapshot('./expected/yaml-volume-ls.txt');
});

test('an empty list is an empty table, and an empty array', async () => {
  const empty = await new FakeMaster().on('GET /v1/stacks', []).start();
  try {
    expect((await runCli(['ls'], { master: empty })).stdout).toBe('NAME   SERVICES   READY\n');
    expect((await runCli(['ls', '--format', 'json'], { master: empty })).stdout).toBe('[]\n');
  } finally {
    await empty.stop();
  }
});

test('colour in a terminal, none with NO_COLOR and none in a pipe', async () => {
  const escape = '\u001b[';
  expect((await runCli(['nodes'], { master, columns: 120 })).stdout).toContain(`${escape}32mready${escape}39m`);
  expect((await runCli(['nodes'], { master, columns: 120, env: { NO_COLOR: '1' } })).stdout).not.toContain(escape);
  expect((await runCli(['nodes'], { master })).stdout).not.toContain(escape);
});

test('ps passes names and filters on', async () => {
  master.requests.length = 0;
  await runCli(['ps', 'voting', '--node', 'node-1'], { master });
  await runCli(['ps', 'voting_vote', '-a'], { master });
  expect(master.requests.filter((request) => request.url.startsWith('/v1/pods')).map((request) => request.url)).toEqual([
    '/v1/pods?node=node-1&target=voting',
    '/v1/pods?all=true&target=voting_vote',
  ]);
});

test('ps says which manifest a pod is from that the cluster does not decide over', async () => {
  const own = await new FakeMaster().on('GET /v1/pods', [
    { ...pods[0], name: 'edge_proxy.1', message: '', origin: '/etc/tsorch/manifests/edge.yml' },
    { ...pods[0], name: 'edge_web.1', message: 'waiting for its health check', origin: 'https://config.example.com/edge.yml' },
  ]).start();
  try {
    const { stdout } = await runCli(['ps'], { master: own });
    expect(stdout.trimEnd().split('\n').slice(1).map((line) => line.slice(line.indexOf('from') < 0 ? 0 : line.search(/waiting|from/)))).toEqual([
      'from /etc/tsorch/manifests/edge.yml', 'waiting for its health check; from https://config.example.com/edge.yml',
    ]);
  } finally {
    await own.stop();
  }
});

test('what a master says cannot drive the terminal', async () => {
  const evil = await new FakeMaster().on('GET /v1/stacks', [{ name: 'a\u001b[2J\u0007', services: 1, desired: 1, running: 1, ready: 1 }]).start();
  try {
    expect((await runCli(['ls'], { master: evil })).stdout).not.toMatch(/[\u001b\u0007]/);
  } finally {
    await evil.stop();
  }
});
