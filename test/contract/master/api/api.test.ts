import { Authority, createAuthority } from '../../../../lib/pki/authority.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { Credentials } from '../../../../lib/pki/credentials.ts';
import { fileObjectKey } from '../../../../model/assign.ts';
import { subjectOf } from '../../../../model/identity.ts';
import type { StackSpec } from '../../../../model/spec.ts';
import { makeContainer, makeSpec } from '../../../unit/master/scheduler/make.ts';
import { Lab, until } from './lab.ts';

let lab: Lab;
let viewer: Credentials;
let node: Credentials;
let stranger: Credentials;
beforeAll(async () => {
  lab = await Lab.start();
  viewer = await lab.person('viewer');
  node = (await lab.join('alpha')).credentials;
  const authority = await Authority.load(await createAuthority('tsorch cluster CA', Date.now()));
  const { certificate, privateKey } = await authority.issue({ subject: subjectOf({ role: 'admin', name: 'eve' }), now: Date.now() });
  stranger = { ca: lab.trust.ca, cert: certificate, key: privateKey };
});
afterAll(() => lab[Symbol.asyncDispose]());

export function stack(name: string, changes: Partial<StackSpec> = {}): StackSpec {
  return { name, services: { web: makeSpec({ stack: name, name: 'web', networks: [] }) }, networks: {}, volumes: {}, secrets: {}, configs: {}, ...changes };
}

describe('who may do what', () => {
  const reads = ['/v1/version', '/v1/openapi.json', '/v1/stacks', '/v1/services', '/v1/pods', '/v1/nodes', '/v1/volumes', '/v1/networks', '/v1/secrets', '/v1/configs', '/v1/tokens', '/v1/events', '/v1/stats'] as const;
  /** They reach into containers. */
  const handsOn = [['GET', '/v1/archive?target=none&path=/'], ['GET', '/v1/archive/stat?target=none&path=/'], ['PUT', '/v1/archive?target=none&path=/']] as const;
  const writes = [
    ['PUT', '/v1/stacks/shop'], ['POST', '/v1/stacks/shop/plan'], ['DELETE', '/v1/stacks/shop'], ['POST', '/v1/services/shop_web/scale'], ['POST', '/v1/services/shop_web/rollback'],
    ['POST', '/v1/services/shop_web/restart'], ['PATCH', '/v1/nodes/alpha'], ['DELETE', '/v1/nodes/alpha'], ['DELETE', '/v1/volumes/v'], ['POST', '/v1/tokens'], ['DELETE', '/v1/tokens/t'],
    ['PUT', '/v1/images'], ['DELETE', '/v1/images/a:1'], ['DELETE', '/v1/secrets/s'], ['DELETE', '/v1/configs/c'],
  ] as const;
  const everything = [...reads.map((path) => ['GET', path] as const), ...handsOn, ...writes];

  it.each(everything)('%s %s: nobody without a certificate, and no node', async (method, path) => {
    expect(await lab.fails(method, path, { as: null })).toMatchObject({ status: 401, error: { code: 'unauthenticated', hint: expect.stringContaining('login') as string } });
    expect(await lab.fails(method, path, { as: stranger })).toMatchObject({ status: 401 });
    expect(await lab.fails(method, path, { as: node })).toMatchObject({ status: 403, error: { code: 'forbidden' } });
  });

  it.each(reads)('a viewer reads %s', async (path) => {
    expect((await lab.call('GET', path, { as: viewer })).status).toBe(200);
  });

  it.each([...handsOn, ...writes])('a viewer may not %s %s', async (method, path) => {
    expect(await lab.fails(method, path, { as: viewer })).toMatchObject({ status: 403 });
  });

  it('paths written otherwise open nothing', async () => {
    for (const path of ['/v1/enrol/../nodes', '/v1/nodes?x=/v1/enrol', '//v1/enrol', '/v1/enrol/', '/v1/enrol%2f..%2fnodes', '/v1/ENROL', '/v1/nodes#/v1/enrol', '/v1/nodes;/v1/enrol']) {
      expect((await lab.call('GET', path, { as: null })).status, path).not.toBe(200);
    }
    for (const path of ['/v1/exec/', '//v1/exec?q=%7B%7D', '/v1/%65xec?q=%7B%7D', '/V1/exec?q=%7B%7D', '/v1/%61rchive?target=none&path=/', '/v1/archive/?target=none&path=/', '/v1/archive/%73tat?target=none&path=/', '/v1/stats/../archive?target=none&path=/']) {
      expect((await lab.call('GET', path, { as: viewer })).status, path).not.toBe(200);
    }
  });

  it('renewing is for nodes alone', async () => {
    for (const [as, status] of [[null, 401], [stranger, 401], [viewer, 403], [lab.admin, 403]] as const) {
      expect(await lab.fails('POST', '/v1/renew', { as, body: { csr: 'x' } })).toMatchObject({ status });
    }
    expect(await lab.fails('POST', '/v1/renew', { as: node, body: { csr: 'x' } })).toMatchObject({ status: 400, error: { code: 'invalid' } });
  });

  it.each([
    ['exec', { target: 'none', argv: ['sh'], env: {}, tty: false, stdin: false }, ['/v1/exec', '/v1/%65xec', '/v1/exe%63']],
    ['attach', { target: 'none', stdin: true }, ['/v1/attach', '/v1/%61ttach', '/v1/attac%68']],
    ['port-forward', { target: 'none', port: 80, protocol: 'tcp' }, ['/v1/port-forward', '/v1/port%2Dforward', '/v1/%70ort-forward']],
  ] as const)('%s is for administrators, also when its path is spelled another way', async (_name, asked, paths) => {
    const q = encodeURIComponent(JSON.stringify(asked));
    const open = (as: Credentials | null, path: string) => new Promise<number | 'open'>((resolve) => {
      const socket = new WebSocket(`wss://127.0.0.1:${lab.serving.apiPort}${path}?q=${q}`, { ca: lab.trust.ca, ...(as ? { cert: as.cert, key: as.key } : {}) });
      socket.on('open', () => { resolve('open'); socket.close(); });
      socket.on('unexpected-response', (_request, response) => { resolve(response.statusCode ?? 0); socket.terminate(); });
      socket.on('error', () => {});
    });
    expect(await open(lab.admin, paths[0])).toBe('open');
    for (const path of paths) {
      expect(await open(null, path), path).toBe(401);
      expect(await open(viewer, path), path).not.toBe('open');
      expect(await open(node, path), path).toBe(403);
    }
  });
});

describe('secrets and configs', () => {
  it('go when nothing needs them, and not before', async () => {
    const digest = `sha256:${'ab'.repeat(32)}`;
    const key = fileObjectKey('files_key', digest);
    const spec = makeSpec({ stack: 'files', name: 'web', networks: [], template: { containers: [makeContainer({ secrets: [{ source: 'files_key', digest, target: 'key', uid: 0, gid: 0, mode: 0o400 }] })] } });
    const value = { name: 'files_key', external: false, content: 'eA==', digest, labels: {} };
    const { revision } = await lab.store.commit([
      { op: 'put', kind: 'secrets', id: key, value }, { op: 'put', kind: 'configs', id: key, value },
      { op: 'put', kind: 'services', id: 'files_web', value: { id: 'files_web', spec, revision: 'r1', previous: null } }, { op: 'put', kind: 'revisions', id: 'files_web.r1', value: { service: 'files_web', revision: 'r1', spec } },
    ]);
    await lab.world.waitFor(revision, AbortSignal.timeout(5000));
    expect(await lab.fails('DELETE', '/v1/secrets/files_key')).toMatchObject({ status: 409, error: { message: 'secret files_key is in use by files_web' } });
    expect(await lab.fails('DELETE', '/v1/secrets/files_kye')).toMatchObject({ status: 404, error: { hint: 'did you mean files_key?' } });
    const gone = await lab.store.commit([{ op: 'delete', kind: 'services', id: 'files_web' }, { op: 'delete', kind: 'revisions', id: 'files_web.r1' }]);
    await lab.world.waitFor(gone.revision, AbortSignal.timeout(5000));
    await until('no pod has it any more', async () => (await lab.call('DELETE', '/v1/secrets/files_key')).status === 200);
    expect(lab.world.get('secrets', key)).toBeUndefined();
    // They are told apart by what they are.
    expect(lab.world.get('configs', key)).toBeDefined();
    expect((await lab.call('DELETE', '/v1/configs/files_key')).status).toBe(200);
    expect(await lab.fails('DELETE', '/v1/secrets/files_key')).toMatchObject({ status: 404 });
  });
});

describe('what is wrong is said', () => {
  const bad: readonly (readonly [string, string, unknown, string])[] = [
    ['PUT', '/v1/stacks/shop', { ...stack('shop'), services: { web: { ...makeSpec(), mode: { kind: 'replicated', replicas: -1 } } } }, 'services.web.mode.replicas'],
    ['PUT', '/v1/stacks/shop', { ...stack('shop'), services: { web: { ...makeSpec(), ports: [{ target: 99_999, protocol: 'tcp', mode: 'ingress' }] } } }, 'services.web.ports.0.target'],
    ['PUT', '/v1/stacks/shop', { ...stack('shop'), surprise: 1 }, 'surprise'],
    ['PUT', '/v1/stacks/other', stack('shop'), 'name'],
    ['PUT', '/v1/stacks/shop', { ...stack('shop'), services: { web: makeSpec({ networks: [{ network: 'shop_none', aliases: [] }] }) } }, 'services.web.networks'],
    ['POST', '/v1/tokens', { role: 'king' }, 'role'],
    ['PATCH', '/v1/nodes/alpha', { availability: 'maybe' }, 'availability'],
    ['PATCH', '/v1/nodes/alpha', { labels: { 'a b': 'x' } }, 'labels.a b'],
    ['POST', '/v1/enrol', { token: 't', csr: 'c', name: 'a', labels: { '': 'x' } }, 'labels.'],
    ['POST', '/v1/services/none/scale', { replicas: 1.5 }, 'replicas'],
    ['POST', '/v1/enrol', { token: 't', csr: 'c', name: '../etc', labels: {} }, 'name'],
  ];
  it.each(bad)('%s %s %#', async (method, path, body, where) => {
    const { status, error } = await lab.fails(method, path, { body });
    expect(status).toBe(400);
    expect(error).toMatchObject({ code: 'invalid', path: where });
    expect(error.message).not.toBe('');
  });

  it('bodies that are no JSON, or of another kind', async () => {
    expect(await lab.fails('POST', '/v1/tokens', { body: '{"role":' })).toMatchObject({ status: 400, error: { code: 'invalid' } });
    expect(await lab.fails('POST', '/v1/tokens', { body: 'role=node', headers: { 'content-type': 'application/x-www-form-urlencoded' } })).toMatchObject({ error: { code: 'invalid' } });
    expect(await lab.fails('POST', '/v1/tokens', { body: '{"__proto__":{"role":"node"}}' })).toMatchObject({ status: 400 });
  });

  it('a body that is too large', async () => {
    const { status, error } = await lab.fails('PUT', '/v1/stacks/shop', { body: `"${'x'.repeat(17 * 1024 * 1024)}"` });
    expect(status).toBe(413);
    expect(error).toMatchObject({ code: 'invalid', message: expect.stringContaining('larger') as string });
  });

  it('a route that does not exist, a thing that does not, and one that nearly does', async () => {
    expect(await lab.fails('GET', '/v1/nonsense')).toMatchObject({ status: 404, error: { code: 'not-found', message: 'there is no GET /v1/nonsense', hint: expect.stringContaining('openapi') as string } });
    expect(await lab.fails('GET', '/v1/nodes/alphq')).toMatchObject({ status: 404, error: { hint: 'did you mean alpha?' } });
    for (const path of ['/v1/services/none', '/v1/pods/none', '/v1/nodes/none', '/v1/services?stack=none', '/v1/logs?target=none']) {
      expect(await lab.fails('GET', path), path).toMatchObject({ status: 404, error: { code: 'not-found' } });
    }
    for (const path of ['/v1/stacks/none', '/v1/volumes/none', '/v1/tokens/none', '/v1/nodes/none']) {
      expect(await lab.fails('DELETE', path), path).toMatchObject({ status: 404, error: { code: 'not-found' } });
    }
  });

  it('logs and exec with arguments that make no sense', async () => {
    expect(await lab.fails('GET', '/v1/logs?target=x&tail=-3')).toMatchObject({ status: 400, error: { path: 'tail' } });
    expect(await lab.fails('GET', '/v1/logs')).toMatchObject({ status: 400 });
    expect(await lab.fails('GET', '/v1/events?follow=perhaps')).toMatchObject({ status: 400, error: { path: 'follow' } });
  });
});

it('every route is in the OpenAPI document, with a summary', async () => {
  const document = await lab.ok<{ openapi: string; paths: Record<string, Record<string, { summary?: string }>> }>('GET', '/v1/openapi.json');
  expect(document.openapi).toMatch(/^3\.1/);
  const routes = Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, { summary }]) => ({ route: `${method.toUpperCase()} ${path}`, summary })));
  expect(routes.filter(({ summary }) => !summary)).toEqual([]);
  expect(routes.map(({ route }) => route)).toEqual(expect.arrayContaining([
    'GET /v1/version', 'PUT /v1/stacks/{name}', 'POST /v1/stacks/{name}/plan', 'GET /v1/pods/{id}', 'PATCH /v1/nodes/{node}', 'DELETE /v1/volumes/{name}', 'POST /v1/enrol', 'POST /v1/renew',
    'GET /v1/logs', 'GET /v1/exec', 'PUT /v1/images', 'GET /v1/watch', 'GET /v1/events', 'GET /v1/networks', 'GET /v1/secrets', 'GET /v1/configs', 'POST /v1/tokens', 'DELETE /v1/tokens/{id}',
  ]));
});

it('a stack is applied once, seen everywhere, scaled, restarted and removed', async () => {
  const spec = stack('life', {
    services: { web: makeSpec({ stack: 'life', ports: [{ target: 80, published: 8080, protocol: 'tcp', mode: 'ingress' }], networks: [{ network: 'life_default', aliases: [] }] }) },
    networks: { default: { name: 'life_default', external: false, internal: false, driver: 'bridge', driverOpts: {}, labels: { tier: 'web' } } },
  });
  expect(await lab.ok('PUT', '/v1/stacks/life', spec)).toMatchObject({ services: { life_web: 'created' }, networks: { life_default: 'created' } });
  expect(await lab.ok('GET', '/v1/networks')).toContainEqual({ name: 'life_default', stack: 'life', internal: false, labels: { tier: 'web' }, usedBy: ['life_web'] });
  const written = lab.world.revision;
  expect(await lab.ok('PUT', '/v1/stacks/life', spec)).toMatchObject({ services: { life_web: 'unchanged' }, networks: { life_default: 'unchanged' } });
  expect(await lab.ok('GET', '/v1/stacks')).toMatchObject([{ name: 'life', services: 1, desired: 1 }]);
  const [service] = await lab.ok<{ id: string; revision: string; vips: { ip: string }[] }[]>('GET', '/v1/services?stack=life');
  expect(service).toMatchObject({ id: 'life_web', ports: [{ published: 8080 }], vips: [{ network: 'life_default' }] });
  await until('its pod waits for a node', async () => (await lab.ok<unknown[]>('GET', '/v1/pods')).length === 1);
  const [pod] = await lab.ok<{ id: string; state: string; message: string }[]>('GET', '/v1/pods');
  expect(pod).toMatchObject({ name: 'life_web.1', state: 'pending', node: null });
  expect(await lab.ok('GET', `/v1/pods/${pod!.id}`)).toMatchObject({ pod: { id: pod!.id }, status: null });
  expect(await lab.ok('POST', '/v1/services/life_web/scale', { replicas: 3 })).toMatchObject({ desired: 3 });
  await until('there are three', async () => (await lab.ok<unknown[]>('GET', '/v1/pods?stack=life')).length === 3);
  expect(await lab.ok('POST', '/v1/services/life_web/restart')).toMatchObject({ revision: `${service!.revision}~1` });
  expect(await lab.fails('POST', '/v1/services/life_web/rollback')).toMatchObject({ status: 409, error: { code: 'conflict' } });
  expect(await lab.ok('DELETE', '/v1/stacks/life')).toEqual({ stack: 'life', services: ['life_web'], volumes: [] });
  await until('nothing is left', () => lab.world.maps.pods.size === 0 && lab.world.maps.services.size === 0);
  expect(lab.world.revision).toBeGreaterThan(written);
  expect(await lab.fails('DELETE', '/v1/stacks/life')).toMatchObject({ status: 404 });
});

it('two stacks cannot publish one port, also when they are applied at once', async () => {
  const spec = (name: string) => stack(name, { services: { web: makeSpec({ stack: name, ports: [{ target: 80, published: 9999, protocol: 'tcp', mode: 'ingress' }] }) } });
  const answers = await Promise.all(['one', 'two', 'three'].map((name) => lab.call('PUT', `/v1/stacks/${name}`, { body: spec(name) })));
  expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 409, 409]);
  expect(answers.find(({ status }) => status === 409)?.body).toMatchObject({ error: { code: 'conflict', path: 'services.web.ports' } });
  for (const name of ['one', 'two', 'three']) await lab.call('DELETE', `/v1/stacks/${name}`);
});

it('a watch begins with everything and goes on with what changes', async () => {
  const { request } = await import('node:https');
  const events: { kind: string; type?: string; id?: string }[] = [];
  const req = request({ host: '127.0.0.1', port: lab.serving.apiPort, path: '/v1/watch', ca: viewer.ca, cert: viewer.cert, key: viewer.key, agent: false });
  try {
    req.on('error', () => {});
    req.on('response', (response) => {
      let rest = '';
      response.setEncoding('utf8');
      response.on('error', () => {});
      response.on('data', (chunk: string) => {
        const parts = (rest + chunk).split('\n\n');
        rest = parts.pop() ?? '';
        for (const part of parts) events.push(JSON.parse(part.replace(/^data: /, '')) as { kind: string });
      });
    });
    req.end();
    await until('it is in step', () => events.at(-1)?.kind === 'synced');
    expect(events.filter(({ kind }) => kind === 'node')).toHaveLength(1);
    await lab.ok('PUT', '/v1/stacks/seen', stack('seen'));
    await until('stack, service and pod are seen', () => ['stack', 'service', 'pod'].every((kind) => events.some((event) => event.kind === kind && event.type === 'put')));
    await lab.ok('DELETE', '/v1/stacks/seen');
    await until('and their end', () => ['stack', 'service', 'pod'].every((kind) => events.some((event) => event.kind === kind && event.type === 'delete')));
  } finally {
    req.destroy();
  }
});
