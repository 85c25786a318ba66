/** Stack files from disk to the master: apply, plan, config. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ApplyRequest, ApplyResult } from '../../../model/api.ts';
import type { StackSpec } from '../../../model/spec.ts';
import { plan } from './fixtures.ts';
import { FakeMaster, runCli, type FakeRequest } from './harness.ts';

let master: FakeMaster;
let cwd: string;

beforeEach(async () => {
  master = await new FakeMaster().start();
  cwd = await mkdtemp(join(tmpdir(), 'ts-apply-'));
  await file('stack.yml', 'name: shop\nservices:\n  web:\n    image: web:${TAG:-1}\n    deploy: { replicas: 2 }\n  db:\n    image: db\n    profiles: [full]\n');
});

afterEach(async () => {
  await master.stop();
  await rm(cwd, { recursive: true, force: true });
});

const file = (name: string, text: string) => writeFile(join(cwd, name), text);

const result: ApplyResult = {
  stack: 'shop', services: { shop_web: 'created', shop_old: 'removed', shop_same: 'unchanged' }, networks: { shop_default: 'created', other: 'unchanged' }, volumes: {}, warnings: ['shop_web: no memory limit'],
};

/** What was sent. */
function sent(): StackSpec {
  return JSON.parse(master.requests.find((request) => request.method !== 'GET')?.body.toString() ?? '') as StackSpec;
}

describe('apply', () => {
  beforeEach(() => void master.on('PUT /v1/stacks/shop', result));

  test('sends the stack and says what changed', async () => {
    expect(await runCli(['apply', '-f', 'stack.yml'], { master, cwd })).toEqual({
      code: 0,
      stdout: 'network shop_default created\nservice shop_web created\nservice shop_old removed\nservice shop_same unchanged\n',
      stderr: 'warning: shop_web: no memory limit\n',
    });
    expect(sent().services['web']).toMatchObject({ stack: 'shop', mode: { kind: 'replicated', replicas: 2 }, template: { containers: [{ image: 'web:1' }] } });
    expect(Object.keys(sent().services)).toEqual(['web']);
  });

  describe('credentials', () => {
    const auth = (text: string) => ({ auth: Buffer.from(text).toString('base64') });
    /** What the stack was sent with: an apply asks for more afterwards. */
    const asked = () => master.requests.findLast(({ url }) => url.startsWith('/v1/stacks/'));
    const body = () => JSON.parse(asked()?.body.toString() ?? '') as ApplyRequest;
    beforeEach(async () => {
      await file('stack.yml', 'name: shop\nservices:\n  web: { image: web }\n  db: { image: "r.test:5000/db:1" }\n  open: { image: "open.test/x" }\n');
      await file('config.json', JSON.stringify({ auths: { 'https://index.docker.io/v1/': auth('me:hub'), 'r.test:5000': auth('me:r'), 'other.test': auth('me:other') } }));
    });

    test('of the stack\'s registries go along, and no others', async () => {
      const { code, stdout, stderr } = await runCli(['apply', '-f', 'stack.yml'], { master, cwd, env: { DOCKER_CONFIG: cwd } });
      expect(code).toBe(0);
      expect(body().registries).toEqual({ 'docker.io': { kind: 'basic', username: 'me', password: 'hub' }, 'r.test:5000': { kind: 'basic', username: 'me', password: 'r' } });
      expect(`${stdout}${stderr}`).not.toMatch(/hub|me:/);
      expect(asked()?.url).toBe('/v1/stacks/shop');
    });

    test('stay here when one says so; which tags are looked up is passed on', async () => {
      master.on('POST /v1/stacks/shop/plan', { ...plan, warnings: ['web could not be looked up'] });
      await runCli(['apply', '-f', 'stack.yml', '--no-registry-auth', '--resolve-image', 'always'], { master, cwd, env: { DOCKER_CONFIG: cwd } });
      expect(body()).not.toHaveProperty('registries');
      expect(asked()?.url).toBe('/v1/stacks/shop?resolve=always');
      const planned = await runCli(['plan', '-f', 'stack.yml', '--resolve-image', 'never'], { master, cwd, env: { DOCKER_CONFIG: cwd } });
      expect(planned.stderr).toBe('warning: web could not be looked up\n');
      expect(Object.keys(body().registries ?? {})).toEqual(['docker.io', 'r.test:5000']);
      expect(asked()?.url).toBe('/v1/stacks/shop/plan?resolve=never');
      expect((await runCli(['apply', '-f', 'stack.yml', '--resolve-image', 'sometimes'], { master, cwd })).code).toBe(2);
    });

    test('that cannot be had are missed, not fatal', async () => {
      await file('config.json', JSON.stringify({ auths: { 'r.test:5000': { auth: 'AAAA' } }, credHelpers: { 'docker.io': 'tsorch-none' } }));
      const { code, stderr } = await runCli(['apply', '-f', 'stack.yml'], { master, cwd, env: { DOCKER_CONFIG: cwd } });
      expect(code).toBe(0);
      expect(stderr.split('\n').filter((line) => line.startsWith('warning')).sort()).toEqual([
        `warning: ${cwd}/config.json: the auth of r.test:5000 is not user and password in base64; docker login r.test:5000 writes it anew`,
        'warning: shop_web: no memory limit',
        'warning: the Docker config names the credential helper docker-credential-tsorch-none, which is not on the path',
      ]);
      await file('config.json', '{');
      expect((await runCli(['apply', '-f', 'stack.yml'], { master, cwd, env: { DOCKER_CONFIG: cwd } })).stderr).toContain('config.json is not JSON');
    });
  });

  test('several files, a profile, and variables from .env, the process and --env-file', async () => {
    await file('more.yml', 'services:\n  web:\n    deploy: { replicas: 5 }\n');
    await file('.env', 'TAG=2\n');
    await file('other.env', 'TAG=3\n');
    const tag = () => sent().services['web']?.template.containers[0]?.image;
    await runCli(['apply', '-f', 'stack.yml', '-f', 'more.yml', '--profile', 'full'], { master, cwd });
    expect(tag()).toBe('web:2');
    expect(sent().services['web']?.mode).toEqual({ kind: 'replicated', replicas: 5 });
    expect(Object.keys(sent().services)).toEqual(['web', 'db']);
    master.requests.length = 0;
    await runCli(['apply', '-f', 'stack.yml', '--env-file', 'other.env'], { master, cwd });
    expect(tag()).toBe('web:3');
    master.requests.length = 0;
    await runCli(['apply', '-f', 'stack.yml'], { master, cwd, env: { TAG: '4' } });
    expect(tag()).toBe('web:4');
  });

  test('the usual file when none is named, and standard input', async () => {
    expect(await runCli(['apply'], { master, cwd })).toMatchObject({ code: 0 });
    master.on('PUT /v1/stacks/demo', { ...result, stack: 'demo' });
    expect(await runCli(['apply', '-f', '-', '-p', 'demo'], { master, cwd, stdin: 'services: { a: { image: x } }' })).toMatchObject({ code: 0 });
    expect(master.requests.findLast(({ method }) => method === 'PUT')?.url).toBe('/v1/stacks/demo');
  });

  test('JSON on standard output alone, also while waiting', async () => {
    master.on('GET /v1/services', []).on('GET /v1/pods', []);
    const { stdout } = await runCli(['apply', '--format', 'json', '--wait'], { master, cwd });
    expect(JSON.parse(stdout)).toEqual(result);
  });

  test('nothing is sent when the stack is wrong; every mistake has its place; exit code 3', async () => {
    await file('bad.yml', 'name: shop\nservices:\n  web:\n    imagee: x\n    ports: ["99999:1"]\n');
    const { code, stdout, stderr } = await runCli(['apply', '-f', 'bad.yml'], { master, cwd });
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    expect(stderr).toMatch(/^bad\.yml:4:5: error: services\.web\.imagee: unknown key imagee; did you mean image\?$/m);
    expect(stderr).toMatch(/^bad\.yml:5:\d+: error: .*99999/m);
    expect(master.requests).toEqual([]);
  });

  test('what the master refuses', async () => {
    master.fail('PUT /v1/stacks/shop', 400, { code: 'invalid', message: 'network front is external and does not exist', hint: 'create it with a stack that is applied before' });
    expect(await runCli(['apply'], { master, cwd })).toEqual({ code: 3, stdout: '', stderr: 'error: network front is external and does not exist; create it with a stack that is applied before\n' });
  });
});

test('plan asks and writes nothing', async () => {
  master.on('POST /v1/stacks/shop/plan', plan);
  const result = await runCli(['plan', '-f', 'stack.yml'], { master, cwd });
  expect(result).toMatchObject({ code: 0, stderr: '' });
  await expect(result.stdout).toMatchFileSnapshot('./expected/plan.txt');
  expect(master.requests.map((request) => request.method)).toEqual(['POST']);
  expect(JSON.parse((await runCli(['plan', '-f', 'stack.yml', '--format', 'json'], { master, cwd })).stdout)).toEqual(plan);
});

describe('config', () => {
  test('needs no master', async () => {
    const result = await runCli(['config', '-f', 'stack.yml'], { cwd });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout).toContain('image: web:1');
    await file('dollar.yml', 'name: shop\nservices: { a: { image: x, command: ["echo $$HOME"], volumes: [./d:/d] } }\n');
    const printed = (await runCli(['config', '-f', 'dollar.yml'], { cwd })).stdout;
    expect(printed).toContain('echo $$HOME');
    expect(printed).toContain(`source: ${cwd}/d`);
    await file('again.yml', printed);
    expect((await runCli(['config', '-f', 'again.yml'], { cwd })).stdout).toBe(printed);
    expect((await runCli(['config', '--services'], { cwd })).stdout).toBe('web\n');
    expect(await runCli(['config', '-q'], { cwd })).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(JSON.parse((await runCli(['config', '--format', 'json'], { cwd })).stdout)).toMatchObject({ name: 'shop', services: { web: { image: 'web:1' } } });
  });

  test('and is also the name of config objects', async () => {
    master.on('GET /v1/configs', [{ name: 'shop_nginx', digest: 'sha256:0', size: 3, usedBy: [] }]);
    master.on('DELETE /v1/configs/shop_nginx', (_request: FakeRequest, response: ServerResponse) => response.end('{}'));
    expect((await runCli(['config', 'ls'], { master, cwd })).stdout).toContain('shop_nginx');
    expect(JSON.parse((await runCli(['config', 'ls', '--format', 'json'], { master, cwd })).stdout)).toMatchObject([{ name: 'shop_nginx' }]);
    expect(JSON.parse((await runCli(['config', 'inspect', 'shop_nginx'], { master, cwd })).stdout)).toMatchObject({ size: 3 });
    expect(await runCli(['config', 'rm', 'shop_nginx'], { master, cwd })).toEqual({ code: 0, stdout: 'shop_nginx removed\n', stderr: '' });
    expect(await runCli(['config', 'inspect', 'nope'], { master, cwd })).toMatchObject({ code: 4 });
  });
});
