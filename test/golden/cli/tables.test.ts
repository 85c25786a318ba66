import { afterAll, beforeAll, expect, test } from 'vitest';
import { events, images, nodes, pods, secrets, services, stacks, volumes } from './fixtures.ts';
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
  ['token', 'ls'],
])('table of %s %s', async (...argv) => {
  const words = argv.filter((word) => typeof word === 'string');
  await expect(transcript(words, await runCli(words, { master }))).toMatchFileSnapshot(`./expected/table-${words.join('-')}.txt`);
});

test('JSON is what the master said', async () => {
  for (const [command, rows] of [['nodes', nodes], ['ps', pods], ['services', services], ['ls', stacks]] as const) {
    const result = await runCli([command, '--format', 'json'], { master });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(result.stdout)).toEqual(rows);
  }
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
