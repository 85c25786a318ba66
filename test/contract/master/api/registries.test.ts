/** Images at apply: pinned to what registries and nodes say, and credentials on their way to the hosts. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TsorchError } from '../../../../model/errors.ts';
import type { ApplyResult, PlanResult } from '../../../../model/api.ts';
import type { HeldImage } from '../../../../model/image.ts';
import type { RegistryAuth } from '../../../../model/registry.ts';
import type { StackSpec } from '../../../../model/spec.ts';
import { makeContainer, makeSpec } from '../../../unit/master/scheduler/make.ts';
import { SessionHost } from './host.ts';
import { Lab, until } from './lab.ts';

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const auth: RegistryAuth = { kind: 'basic', username: 'puller', password: 'never-to-be-seen' };

function stack(name: string, images: Readonly<Record<string, string>>): StackSpec {
  const services = Object.entries(images).map(([key, image]) => [key, makeSpec({ stack: name, name: key, networks: [], template: { containers: [makeContainer({ image })] } })] as const);
  return { name, services: Object.fromEntries(services), networks: {}, volumes: {}, secrets: {}, configs: {} };
}

describe('images at apply', () => {
  let lab: Lab;
  let host: SessionHost;
  /** What the registry says, by normalised reference. */
  const tags = new Map<string, string>();
  const asked: { readonly reference: string; readonly auth: RegistryAuth | null }[] = [];

  beforeAll(async () => {
    lab = await Lab.start({
      resolver: {
        async resolve(reference, given) {
          asked.push({ reference, auth: given });
          const found = tags.get(reference);
          if (!found) throw new TsorchError('unavailable', 'r.test cannot be reached');
          return found;
        },
      },
    });
    const { id, credentials } = await lab.join('alpha');
    host = new SessionHost({ id, port: lab.serving.grpcPort, credentials, obedient: true, heartbeatMs: 100 });
    host.hello();
    await until('it is there', () => host.welcome !== undefined);
  });
  afterAll(async () => {
    host?.close();
    await lab?.[Symbol.asyncDispose]();
  });
  const apply = (spec: object, query = '') => lab.ok<ApplyResult>('PUT', `/v1/stacks/shop${query}`, spec);
  const assigned = (service: string) => [...host.assigned.values()].find(({ pod }) => pod.service === service && pod.desired === 'running');
  const pinned = (service: string) => assigned(service)?.template.containers[0]?.imageDigest;

  it('a tag is looked up once, with the credentials that came along, and pods get both', async () => {
    tags.set('r.test/web:1', digest('a'));
    expect(await lab.ok<PlanResult>('POST', '/v1/stacks/shop/plan', { ...stack('shop', { web: 'r.test/web:1' }), registries: { 'r.test': auth } })).not.toHaveProperty('warnings');
    expect(lab.world.values('registries')).toEqual([]);
    expect((await apply({ ...stack('shop', { web: 'r.test/web:1' }), registries: { 'r.test': auth } })).warnings).toEqual([]);
    expect(asked.splice(0)).toEqual([{ reference: 'r.test/web:1', auth }, { reference: 'r.test/web:1', auth }]);
    await until('the pod comes', () => assigned('shop_web') !== undefined);
    expect(assigned('shop_web')).toMatchObject({ registries: { 'r.test': auth }, template: { containers: [{ image: 'r.test/web:1', imageDigest: digest('a') }] } });
  });

  it('a moved tag changes nothing, in the plan and in the apply; asked for, it does in both', async () => {
    tags.set('r.test/web:1', digest('b'));
    expect(await lab.ok<PlanResult>('POST', '/v1/stacks/shop/plan', stack('shop', { web: 'r.test/web:1' }))).toMatchObject({ services: [{ action: 'unchanged' }] });
    expect((await apply(stack('shop', { web: 'r.test/web:1' }))).services).toEqual({ shop_web: 'unchanged' });
    expect(asked).toEqual([]);
    const plan = await lab.ok<PlanResult>('POST', '/v1/stacks/shop/plan?resolve=always', stack('shop', { web: 'r.test/web:1' }));
    expect(plan.services[0]).toMatchObject({ action: 'update', restarts: true, changes: [{ path: expect.stringContaining('imageDigest') as string, before: digest('a'), after: digest('b') }] });
    expect((await apply(stack('shop', { web: 'r.test/web:1' }), '?resolve=always')).services).toEqual({ shop_web: 'updated' });
    // Those that the stack has already.
    expect(asked.splice(0).map((each) => each.auth)).toEqual([auth, auth]);
    await until('the new pod comes', () => pinned('shop_web') === digest('b'));
    const [row] = await lab.ok<{ image: string }[]>('GET', '/v1/services?stack=shop');
    expect(row?.image).toBe('r.test/web:1');
  });

  it('a registry that is down stops nobody', async () => {
    const { warnings, services } = await apply(stack('shop', { web: 'r.test/web:1', db: 'r.test/db:1' }));
    expect(services).toEqual({ shop_web: 'unchanged', shop_db: 'created' });
    expect(warnings).toEqual(['r.test/db:1 could not be looked up: r.test cannot be reached; no node has it, each will pull it by its tag']);
    await until('the pod comes', () => assigned('shop_db') !== undefined);
    expect(pinned('shop_db')).toBeUndefined();
    asked.length = 0;
  });

  it('what was loaded onto nodes is taken from there', async () => {
    const image: HeldImage = { target: { mediaType: 'm', digest: digest('c'), size: 1 }, names: [{ name: 'docker.io/library/loaded:1', since: 1, from: 'archive' }], config: digest('d'), size: 1, documents: [], layers: [] };
    host.send({ $case: 'images', value: { upsert: [JSON.stringify(image)], remove: [], full: true } });
    await until('the master knows', () => lab.serving.context.images.byName('docker.io/library/loaded:1').length === 1);
    expect((await apply(stack('shop', { web: 'r.test/web:1', loaded: 'loaded:1' }))).warnings).toEqual([]);
    expect(asked).toEqual([]);
    await until('the pod comes', () => pinned('shop_loaded') === digest('c'));
  });

  it('new credentials reach pods without touching them, and nobody can read them', async () => {
    const before = assigned('shop_web')?.pod.id;
    const fresh: RegistryAuth = { kind: 'identity', token: 'never-to-be-seen-either' };
    expect((await apply({ ...stack('shop', { web: 'r.test/web:1' }), registries: { 'r.test': fresh } })).services).toMatchObject({ shop_web: 'unchanged' });
    await until('they come', () => JSON.stringify(assigned('shop_web')?.registries) === JSON.stringify({ 'r.test': fresh }));
    expect(assigned('shop_web')?.pod.id).toBe(before);
    for (const path of ['/v1/stacks', '/v1/services', '/v1/services/shop_web', '/v1/pods?all=true', `/v1/pods/${before}`, '/v1/nodes', '/v1/secrets', '/v1/configs', '/v1/events', '/v1/openapi.json']) {
      expect((await lab.call('GET', path)).text, path).not.toContain('never-to-be-seen');
    }
    const refused = await lab.fails('PUT', '/v1/stacks/shop', { body: { ...stack('shop', {}), registries: { 'r.test': { ...auth, more: 1 } } } });
    expect(refused.status).toBe(400);
    expect(JSON.stringify(refused)).not.toContain('never-to-be-seen');
  });

  it('a node that is short of disk says so', async () => {
    const status = JSON.parse(JSON.stringify(lab.world.get('nodestatus', host.id))) as object;
    host.send({ $case: 'hello', value: { status: JSON.stringify({ ...status, pressure: ['disk'] }), epoch: 0 } });
    await until('the master knows', () => lab.world.get('nodestatus', host.id)?.pressure !== undefined);
    expect((await lab.ok<{ pressure?: unknown }[]>('GET', '/v1/nodes'))[0]?.pressure).toEqual(['disk']);
    const plan = await lab.ok<PlanResult>('POST', '/v1/stacks/shop/plan', stack('shop', { web: 'r.test/web:1', more: 'loaded:1' }));
    expect(plan.services.find(({ id }) => id === 'shop_more')?.pods[0]).toMatchObject({ node: null, why: [{ filter: 'pressure', message: 'alpha is short of disk' }] });
  });

  it('credentials go with the stack', async () => {
    await lab.ok('DELETE', '/v1/stacks/shop');
    expect(lab.world.values('registries')).toEqual([]);
  });

  it('nonsense is refused before anybody is asked', async () => {
    expect(await lab.fails('PUT', '/v1/stacks/shop?resolve=sometimes', { body: stack('shop', {}) })).toMatchObject({ status: 400 });
    expect(await lab.fails('PUT', '/v1/stacks/other', { body: stack('shop', { web: 'r.test/web:1' }) })).toMatchObject({ status: 400 });
    expect(asked).toEqual([]);
  });
});
