import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Allocations } from '../../../../master/apply/allocations.ts';
import { sha256 } from '../../../../lib/oci/manifest.ts';
import { planApply, planRemove } from '../../../../master/apply/plan.ts';
import { commitAll } from '../../../../master/store/commit.ts';
import type { MemoryStore } from '../../../../master/store/memory.ts';
import type { World } from '../../../../master/world.ts';
import type { FileObjectSpec, NetworkSpec, PortSpec, StackSpec, VolumeSpec } from '../../../../model/spec.ts';
import { makeContainer, makeSpec, type SpecChanges } from '../scheduler/make.ts';
import { makeWorld } from '../table/maps.ts';

let over: AbortController;
let world: World;
let store: MemoryStore;
beforeEach(async () => {
  over = new AbortController();
  ({ world, store } = await makeWorld(over.signal));
});
afterEach(() => over.abort(new Error('over')));

function stack(services: Record<string, SpecChanges>, more: Partial<StackSpec> = {}, name = 'shop'): StackSpec {
  return {
    name, services: Object.fromEntries(Object.entries(services).map(([key, changes]) => [key, makeSpec({ ...changes, stack: name, name: key })])),
    networks: {}, volumes: {}, secrets: {}, configs: {}, ...more,
  };
}
const network = (name: string, changes: Partial<NetworkSpec> = {}): NetworkSpec => ({ name, external: false, internal: false, driver: '', driverOpts: {}, labels: {}, ...changes });
const volume = (name: string, changes: Partial<VolumeSpec> = {}): VolumeSpec => ({ name, external: false, driver: 'local', driverOpts: {}, labels: {}, ...changes });
const file = (name: string, content: string): FileObjectSpec => ({ name, external: false, content: Buffer.from(content).toString('base64'), digest: sha256(content), labels: {} });
const port = (published?: number, changes: Partial<PortSpec> = {}): PortSpec => ({ target: 80, protocol: 'tcp', mode: 'ingress', ...(published === undefined ? {} : { published }), ...changes });

const plan = (spec: StackSpec) => planApply({ maps: world.maps, spec, allocations: new Allocations(world.maps, '10.30.0.0/16'), hash: sha256 });

async function apply(spec: StackSpec) {
  const { ops, result } = plan(spec);
  if (ops.length > 0) await world.waitFor((await commitAll(store, ops)).revision, over.signal);
  return result;
}

const refused = (code: string, path?: string) => expect.objectContaining({ code, ...(path === undefined ? {} : { path }) }) as Error;

describe('an apply', () => {
  it('that is repeated writes nothing and says so, whatever the order of its keys', async () => {
    const spec = stack({ web: { ports: [port(8080)], networks: [{ network: 'shop_net', aliases: [] }], volumes: ['shop_data'] }, db: {} }, {
      networks: { net: network('shop_net') }, volumes: { data: volume('shop_data') }, secrets: { key: file('shop_key', 'hush') },
    });
    expect(await apply(spec)).toMatchObject({ services: { shop_web: 'created', shop_db: 'created' }, networks: { shop_net: 'created' }, volumes: { shop_data: 'created' } });
    const turned = (value: unknown): unknown => (Array.isArray(value) ? value.map(turned) : value !== null && typeof value === 'object' ? Object.fromEntries(Object.entries(value).toReversed().map(([key, inner]) => [key, turned(inner)])) : value);
    for (const again of [spec, turned(spec) as StackSpec]) {
      expect(plan(again).ops).toEqual([]);
      expect(await apply(again)).toMatchObject({ services: { shop_web: 'unchanged', shop_db: 'unchanged' }, networks: { shop_net: 'unchanged' }, volumes: { shop_data: 'unchanged' } });
    }
  });

  it('guards everything it writes by what it has seen', async () => {
    const spec = stack({ web: {} });
    expect(plan(spec).ops.every((op) => op.guard === 0)).toBe(true);
    await apply(spec);
    const second = plan(stack({ web: { mode: { kind: 'replicated', replicas: 2 } } }));
    await apply(stack({ web: { mode: { kind: 'replicated', replicas: 3 } } }));
    await expect(commitAll(store, second.ops)).rejects.toMatchObject({ code: 'conflict' });
  });

  it('that changes how many there are makes no new pods; one that changes what they are does', async () => {
    await apply(stack({ web: {} }));
    const { revision } = world.get('services', 'shop_web')!;
    await apply(stack({ web: { mode: { kind: 'replicated', replicas: 5 }, where: ['node.labels.a==b'] } }));
    expect(world.get('services', 'shop_web')).toMatchObject({ revision, previous: null, spec: { mode: { replicas: 5 } } });
    await apply(stack({ web: { template: { stopGraceMs: 1 } } }));
    const next = world.get('services', 'shop_web')!;
    expect(next.revision).not.toBe(revision);
    expect(next.previous).toBe(revision);
    expect(world.get('servicestatus', 'shop_web')?.update.state).toBe('updating');
    await apply(stack({ web: {} }));
    expect(world.get('services', 'shop_web')).toMatchObject({ revision, previous: next.revision });
  });

  it('takes away the services that the stack has no more, and never the volumes', async () => {
    const volumes = { data: volume('shop_data') };
    await apply(stack({ web: { ports: [port(8080)] }, db: { volumes: ['shop_data'] } }, { volumes }));
    expect(await apply(stack({ api: { ports: [port(8080)] } }))).toMatchObject({ services: { shop_web: 'removed', shop_db: 'removed', shop_api: 'created' } });
    expect(world.values('services').map(({ id }) => id)).toEqual(['shop_api']);
    expect(world.values('servicestatus').map(({ id }) => id)).toEqual(['shop_api']);
    expect(world.get('volumes', 'shop_data')).toBeDefined();
    const removal = planRemove(world.maps, 'shop');
    expect(removal.volumes).toEqual(['shop_data']);
    expect(removal.ops.map(({ op, kind }) => `${op} ${kind}`).toSorted()).toEqual(['delete services', 'delete servicestatus', 'delete stacks']);
  });

  it('keeps a volume where it is bound', async () => {
    const spec = stack({ db: { volumes: ['shop_data'] } }, { volumes: { data: volume('shop_data') } });
    await apply(spec);
    await world.waitFor((await store.commit([{ op: 'put', kind: 'volumes', id: 'shop_data', value: { ...world.get('volumes', 'shop_data')!, node: 'n1' } }])).revision, over.signal);
    expect(plan(spec).ops).toEqual([]);
    await apply(stack({ db: { volumes: ['shop_data'] } }, { volumes: { data: volume('shop_data', { labels: { a: 'b' } }) } }));
    expect(world.get('volumes', 'shop_data')).toMatchObject({ node: 'n1', labels: { a: 'b' } });
  });
});

describe('files', () => {
  const uses = (source: string) => ({ template: { containers: [makeContainer({ secrets: [{ source, target: '/run/secrets/x', uid: 0, gid: 0, mode: 0o400 }] })] } });

  it('a new content rolls the services that use it and no others', async () => {
    const of = (content: string) => stack({ web: uses('shop_key'), db: uses('shop_other'), plain: {} }, { secrets: { key: file('shop_key', content), other: file('shop_other', 'same') } });
    await apply(of('one'));
    const before = new Map(world.values('services').map(({ id, revision }) => [id, revision]));
    expect(await apply(of('two'))).toMatchObject({ services: { shop_web: 'updated', shop_db: 'unchanged', shop_plain: 'unchanged' } });
    const changed = world.values('services').filter(({ id, revision }) => before.get(id) !== revision).map(({ id }) => id);
    expect(changed).toEqual(['shop_web']);
    // The version before stays beside the new one until nothing refers to it.
    expect([...world.maps.secrets.keys()].filter((key) => key.startsWith('shop_key.'))).toHaveLength(2);
    const [reference] = world.get('services', 'shop_web')!.spec.template.containers[0]!.secrets;
    expect(reference?.digest).toBe(sha256('two'));
    expect(await apply(of('one'))).toMatchObject({ services: { shop_web: 'updated' } });
    expect(world.get('services', 'shop_web')?.revision).toBe(before.get('shop_web'));
  });
});

describe('what another stack has', () => {
  const uses = { template: { containers: [makeContainer({ configs: [{ source: 'common', target: '/c', uid: 0, gid: 0, mode: 0o444 }] })] } };
  const owner = (content: string) => stack({ web: uses }, { configs: { c: file('common', content) } }, 'owner');
  const guest = stack({ web: uses }, { configs: { c: { name: 'common', external: true, labels: {} } } }, 'guest');
  const seen = () => world.get('services', 'guest_web')?.spec.template.containers[0]?.configs[0]?.digest;

  it('an external file is the version its owner uses now', async () => {
    expect(() => plan(guest)).toThrow(refused('not-found', 'configs'));
    await apply(owner('one'));
    await apply(guest);
    expect(seen()).toBe(sha256('one'));
    await apply(owner('two'));
    expect(await apply(guest)).toMatchObject({ services: { guest_web: 'updated' } });
    expect(seen()).toBe(sha256('two'));
    await apply(owner('one'));
    await apply(guest);
    expect(seen()).toBe(sha256('one'));
    expect(plan(guest).ops).toEqual([]);
  });
});

describe('what may be collected at any moment', () => {
  it('is written again by whoever begins to use it', async () => {
    const spec = stack({ web: {} }, { networks: { n: network('shop_net') } });
    await apply(spec);
    await apply(stack({ web: { template: { stopGraceMs: 1 } } }));
    await apply(stack({ web: { template: { stopGraceMs: 2 } } }));
    // The first revision and the network are nobody's now, but still there.
    const ops = plan(spec).ops.map(({ op, kind }) => `${op} ${kind}`);
    expect(ops).toEqual(expect.arrayContaining(['put networks', 'put revisions']));
    await apply(spec);
    expect(plan(spec).ops).toEqual([]);
  });

  it('a file that no service mounts is not stored', async () => {
    await apply(stack({ web: {} }, { secrets: { key: file('shop_key', 'unused') } }));
    expect(world.maps.secrets.size).toBe(0);
  });
});

describe('ports', () => {
  it('one that another service has is refused, and nothing is written', async () => {
    await apply(stack({ web: { ports: [port(8080)] } }));
    const other = stack({ web: { ports: [port(8080)] } }, {}, 'other');
    expect(() => plan(other)).toThrow(refused('conflict', 'services.web.ports'));
    expect(() => plan(stack({ a: { ports: [port(9000)] }, b: { ports: [port(9000)] } }, {}, 'other'))).toThrow(refused('conflict'));
    expect(() => plan(stack({ web: { ports: [port(8080, { protocol: 'udp' })] } }, {}, 'other'))).not.toThrow();
  });

  it('may change hands within one apply', async () => {
    await apply(stack({ web: { ports: [port(8080)] }, api: { ports: [port(9090)] } }));
    await apply(stack({ web: { ports: [port(9090)] }, api: { ports: [port(8080)] } }));
    expect(world.get('servicestatus', 'shop_web')?.ports[0]?.published).toBe(9090);
    expect(world.get('servicestatus', 'shop_api')?.ports[0]?.published).toBe(8080);
  });

  it('one that was picked stays picked', async () => {
    await apply(stack({ web: { ports: [port()] } }));
    const picked = world.get('servicestatus', 'shop_web')?.ports[0]?.published;
    expect(picked).toBeGreaterThanOrEqual(30_000);
    await apply(stack({ web: { ports: [port()], template: { stopGraceMs: 5 } } }));
    expect(world.get('servicestatus', 'shop_web')?.ports[0]?.published).toBe(picked);
  });
});

describe('what does not hold together is refused with its place', () => {
  it.each<[string, StackSpec, string, string | undefined]>([
    ['a service of another stack', { ...stack({}), services: { web: makeSpec({ stack: 'other', name: 'web' }) } }, 'invalid', 'services.web'],
    ['a service under another key', { ...stack({}), services: { web: makeSpec({ stack: 'shop', name: 'api' }) } }, 'invalid', 'services.web'],
    ['a name that is none', { ...stack({}), services: { 'a b': makeSpec({ stack: 'shop', name: 'a b' }) } }, 'invalid', 'services.a b.name'],
    ['a volume that leads elsewhere', stack({}, { volumes: { x: volume('../../etc') } }), 'invalid', 'volumes.x.name'],
    ['a network that is not defined', stack({ web: { networks: [{ network: 'shop_nte', aliases: [] }] } }, { networks: { n: network('shop_net') } }), 'invalid', 'services.web.networks'],
    ['a volume that is not defined', stack({ web: { volumes: ['shop_x'] } }), 'invalid', 'services.web.volumes'],
    ['a dependency that is not there', stack({ web: { dependsOn: [{ service: 'db', condition: 'service_started', required: true, restart: false }] } }), 'invalid', 'services.web.depends_on'],
    ['an external network that does not exist', stack({}, { networks: { n: network('shared', { external: true }) } }), 'not-found', 'networks'],
    ['an external volume that does not exist', stack({}, { volumes: { n: volume('shared', { external: true }) } }), 'not-found', 'volumes.n'],
    ['constraints that contradict each other', stack({ web: { where: ['node.labels.a==1', 'node.labels.a==2'] } }), 'invalid', 'services.web.deploy.placement.constraints'],
  ])('%s', (_what, spec, code, path) => {
    expect(() => plan(spec)).toThrow(refused(code, path));
  });

  it('what belongs to another stack', async () => {
    await apply(stack({}, { networks: { n: network('shared') }, volumes: { v: volume('common') } }));
    expect(() => plan(stack({}, { networks: { n: network('shared') } }, 'other'))).toThrow(refused('conflict', 'networks'));
    expect(() => plan(stack({}, { volumes: { v: volume('common') } }, 'other'))).toThrow(refused('conflict', 'volumes.v'));
    expect(() => plan(stack({ web: { networks: [{ network: 'shared', aliases: [] }] } }, { networks: { n: network('shared', { external: true }) } }, 'other'))).not.toThrow();
  });
});

it('whatever is applied in whatever order, no address, port or group is given twice', async () => {
  const service = fc.record({ networks: fc.subarray(['a', 'b', 'c']), ports: fc.uniqueArray(fc.constantFrom(undefined, 8001, 8002, 8003, 31_000), { maxLength: 2 }), dnsrr: fc.boolean() });
  const step = fc.record({ stack: fc.constantFrom('one', 'two'), services: fc.dictionary(fc.constantFrom('w', 'x', 'y'), service, { maxKeys: 3 }), remove: fc.boolean() });
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
    ({ world, store } = await makeWorld(over.signal));
    for (const { stack: name, services, remove } of steps) {
      const spec = stack(Object.fromEntries(Object.entries(services).map(([key, { networks, ports, dnsrr }]) => [key, {
        networks: networks.map((short) => ({ network: `${name}_${short}`, aliases: [] })), endpointMode: dnsrr ? 'dnsrr' : 'vip', ports: ports.map((published, i) => port(published, { target: 80 + i })),
      } satisfies SpecChanges])), { networks: Object.fromEntries(['a', 'b', 'c'].map((short) => [short, network(`${name}_${short}`)])) }, name);
      try {
        if (remove) {
          const { ops } = planRemove(world.maps, name);
          if (ops.length > 0) await world.waitFor((await commitAll(store, ops)).revision, over.signal);
        } else await apply(spec);
      } catch (error) {
        expect(error).toMatchObject({ code: 'conflict' });
      }
      const statuses = world.values('servicestatus');
      const vips = statuses.flatMap((status) => status.vips.map(({ ip }) => ip));
      expect(new Set(vips).size).toBe(vips.length);
      const ports = statuses.flatMap((status) => status.ports.map(({ published, protocol }) => `${published}/${protocol}`));
      expect(new Set(ports).size).toBe(ports.length);
      const groups = world.values('networks').map(({ group }) => group);
      expect(new Set(groups).size).toBe(groups.length);
    }
  }), { numRuns: 60 });
});
