import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { imagesToResolve, type PinContext, pinService } from '../../../../master/apply/pin.ts';
import { collectRegistries } from '../../../../master/controllers/collect.ts';
import { planRemove } from '../../../../master/apply/plan.ts';
import type { HeldName } from '../../../../master/images/inventory.ts';
import { resolveImages, type ResolveContext } from '../../../../master/images/resolve.ts';
import { parseReference } from '../../../../lib/oci/reference.ts';
import { TsorchError } from '../../../../model/errors.ts';
import { imagesOf, registryKey, registryOf } from '../../../../model/registry.ts';
import { loaded, TestCluster } from './cluster.ts';

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const text = (image: string, more = '') => `name: shop\nservices:\n  web:\n    image: ${image}\n${more}`;
const node = { node: { id: 'n1', name: 'node-1', labels: {}, availability: 'active' as const, subnet: '10.32.0.0/24', createdAt: 0 }, status: null, state: 'ready' as const };

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await TestCluster.start([node]);
});
afterEach(() => cluster.stop());

const context = (more: Partial<PinContext> = {}): PinContext => ({ maps: cluster.world.maps, mode: 'changed', fetchedAt: () => null, now: 1_000_000_000, ...more });
const wanted = (stack: string, more: Partial<PinContext> = {}) => imagesToResolve(context(more), loaded(stack)).map(({ image }) => image);
/** Applies it with what its images are now. */
async function apply(stack: string, answers: Readonly<Record<string, string | null>>, more: Partial<PinContext> = {}): Promise<Readonly<Record<string, string>>> {
  const spec = loaded(stack);
  const pinning = context(more);
  const resolved = new Map(imagesToResolve(pinning, spec).map(({ image }) => [image, answers[image] ?? null]));
  return (await cluster.apply(spec, (service) => pinService(pinning, service, resolved))).result.services;
}
const pinned = () => cluster.world.values('services').flatMap(({ spec }) => imagesOf(spec).map(({ image, imageDigest }) => `${image} ${imageDigest?.slice(7, 8) ?? '-'}`));

describe('pinning', () => {
  it('holds against a tag that moves, until somebody asks', async () => {
    expect(await apply(text('nginx:1'), { 'nginx:1': digest('a') })).toEqual({ shop_web: 'created' });
    expect(pinned()).toEqual(['nginx:1 a']);
    expect(wanted(text('nginx:1'))).toEqual([]);
    expect(await apply(text('nginx:1'), { 'nginx:1': digest('b') })).toEqual({ shop_web: 'unchanged' });
    expect(pinned()).toEqual(['nginx:1 a']);
    expect(await apply(text('nginx:1'), { 'nginx:1': digest('b') }, { mode: 'always' })).toEqual({ shop_web: 'updated' });
    expect(pinned()).toEqual(['nginx:1 b']);
    expect(await apply(text('nginx:1', '    pull_policy: always\n'), { 'nginx:1': digest('c') })).toEqual({ shop_web: 'updated' });
    expect(pinned()).toEqual(['nginx:1 c']);
    expect(await apply(text('nginx:2', '    pull_policy: always\n'), { 'nginx:2': digest('d') }, { mode: 'never' })).toEqual({ shop_web: 'updated' });
    expect(pinned()).toEqual(['nginx:2 -']);
  });

  it('that failed is as good as none, and what was pinned stays pinned', async () => {
    await apply(text('nginx:1'), { 'nginx:1': null });
    expect(pinned()).toEqual(['nginx:1 -']);
    // Nothing changes by itself later on, either.
    expect(wanted(text('nginx:1'))).toEqual([]);
    await apply(text('nginx:1'), { 'nginx:1': digest('a') }, { mode: 'always' });
    expect(await apply(text('nginx:1'), { 'nginx:1': null }, { mode: 'always' })).toEqual({ shop_web: 'unchanged' });
    expect(pinned()).toEqual(['nginx:1 a']);
  });

  it('asks once for each image, and not for what has a digest', async () => {
    const many = `name: shop\nservices:\n  a: { image: nginx:1 }\n  b: { image: nginx:1, pull_policy: always }\n  c: { image: "redis@${digest('f')}" }\n  d: { image: redis:7 }\n`;
    expect(imagesToResolve(context(), loaded(many)).map(({ image, pullPolicy }) => [image, pullPolicy])).toEqual([['nginx:1', 'always'], ['redis:7', 'missing']]);
    expect(wanted(many, { mode: 'never' })).toEqual([]);
    expect(wanted(many, { mode: 'always' })).toEqual(['nginx:1', 'redis:7']);
  });

  it('by age: once the last pull is long enough ago', async () => {
    const daily = text('nginx:1', '    pull_policy: daily\n');
    await apply(daily, { 'nginx:1': digest('a') });
    const day = 86_400_000;
    expect(wanted(daily, { fetchedAt: () => 1_000_000_000 - day + 1 })).toEqual([]);
    expect(wanted(daily, { fetchedAt: () => 1_000_000_000 - day - 1 })).toEqual(['nginx:1']);
    expect(wanted(daily)).toEqual([]);
  });
});

describe('looking images up', () => {
  const held = (...all: readonly (readonly [node: string, letter: string, from: 'archive' | 'registry' | undefined, since?: number])[]): readonly HeldName[] =>
    all.map(([id, letter, from, since = 1]) => ({ node: id, digest: digest(letter), since, ...(from === undefined ? {} : { from }) }));
  const down = new TsorchError('unavailable', 'r.test cannot be reached: connection refused');
  const look = async (here: readonly HeldName[], answer: string | Error | null, more: Partial<ResolveContext> = {}, pullPolicy: 'always' | 'missing' | 'never' = 'missing') => {
    const asked: string[] = [];
    const { resolved, warnings } = await resolveImages([{ image: 'r.test/app:1', pullPolicy }], {
      held: () => here, authFor: () => null, always: false, signal: new AbortController().signal, nodeName: (id) => id,
      resolver: answer === null ? null : { resolve: async (reference) => {
        asked.push(reference);
        if (answer instanceof Error) throw answer;
        return answer;
      } },
      ...more,
    });
    return { digest: resolved.get('r.test/app:1')?.slice(7, 8) ?? null, asked: asked.length, warnings };
  };
  it.each<[string, readonly HeldName[], string | Error | null, 'always' | 'missing' | 'never', boolean, { digest: string | null; asked: number; warnings?: readonly string[] }]>([
    ['the registry\'s word', [], digest('a'), 'missing', false, { digest: 'a', asked: 1 }],
    ['the registry\'s word over what was pulled before', held(['n1', 'b', 'registry']), digest('a'), 'missing', false, { digest: 'a', asked: 1 }],
    ['what was loaded, without asking', held(['n1', 'b', 'archive'], ['n2', 'b', 'archive']), digest('a'), 'missing', false, { digest: 'b', asked: 0 }],
    ['what was there before anybody took note of how', held(['n1', 'b', undefined]), digest('a'), 'missing', false, { digest: 'b', asked: 0 }],
    ['the registry when that is asked for', held(['n1', 'b', 'archive']), digest('a'), 'missing', true, { digest: 'a', asked: 1 }],
    ['the registry with pull_policy always', held(['n1', 'b', 'archive']), digest('a'), 'always', false, { digest: 'a', asked: 1 }],
    ['the nodes with pull_policy never', held(['n1', 'b', 'registry']), digest('a'), 'never', false, { digest: 'b', asked: 0 }],
    ['nothing with pull_policy never and nothing there', [], digest('a'), 'never', false, { digest: null, asked: 0 }],
    ['nothing without anybody to ask', [], null, 'missing', false, { digest: null, asked: 0 }],
    ['the newest of what was loaded', held(['n1', 'b', 'archive', 5], ['n2', 'c', 'archive', 6]), digest('a'), 'missing', false,
      { digest: 'c', asked: 0, warnings: ['r.test/app:1 is not the same on all nodes: n1 sha256:bbbbbbbbbbbb, n2 sha256:cccccccccccc; the newest is taken'] }],
    ['the registry down: what the nodes have', held(['n1', 'b', 'registry']), down, 'missing', false,
      { digest: 'b', asked: 1, warnings: ['r.test/app:1 could not be looked up: r.test cannot be reached: connection refused; what the nodes have is taken'] }],
    ['the registry down, nodes that differ', held(['n1', 'b', 'registry'], ['n2', 'c', 'registry']), down, 'missing', false,
      { digest: null, asked: 1, warnings: ['r.test/app:1 could not be looked up: r.test cannot be reached: connection refused; nodes have different ones (n1 sha256:bbbbbbbbbbbb, n2 sha256:cccccccccccc), each takes its own'] }],
    ['the registry down, nothing there', [], down, 'missing', false,
      { digest: null, asked: 1, warnings: ['r.test/app:1 could not be looked up: r.test cannot be reached: connection refused; no node has it, each will pull it by its tag'] }],
  ])('%s', async (_, here, answer, policy, always, expected) => {
    expect(await look(here, answer, { always }, policy)).toEqual({ warnings: [], ...expected });
  });

  it('gives up when whoever asked has gone', async () => {
    const gone = new AbortController();
    gone.abort(new TsorchError('aborted', 'gone'));
    await expect(look([], digest('a'), { signal: gone.signal })).rejects.toMatchObject({ code: 'aborted' });
  });
});

describe('credentials of a stack', () => {
  const auth = { kind: 'basic', username: 'u', password: 'p' } as const;
  const stack = 'name: shop\nservices:\n  web: { image: "r.test:5000/web:1" }\n  db: { image: postgres }\n';
  const kept = () => [...cluster.world.maps.registries.keys()].sort();

  it('are kept for the registries of its images, and only those', async () => {
    const { result } = await cluster.apply(loaded(stack), undefined, { 'r.test:5000': auth, 'docker.io': auth, 'other.test': auth });
    expect(kept()).toEqual([registryKey('shop', 'docker.io'), registryKey('shop', 'r.test:5000')]);
    expect(JSON.stringify(result)).not.toContain('"p"');
    expect((await cluster.apply(loaded(stack), undefined, { 'r.test:5000': auth })).ops).toEqual([]);
    // Others apply it without.
    await cluster.apply(loaded(stack));
    expect(kept()).toHaveLength(2);
  });

  it('go with the last image of their registry, and with the stack', async () => {
    await cluster.apply(loaded(stack), undefined, { 'r.test:5000': auth, 'docker.io': auth });
    expect(collectRegistries(cluster.world.maps)).toEqual([]);
    await cluster.apply(loaded('name: shop\nservices:\n  db: { image: postgres }\n'));
    expect(collectRegistries(cluster.world.maps).map(({ id }) => id)).toEqual([registryKey('shop', 'r.test:5000')]);
    await cluster.write(planRemove(cluster.world.maps, 'shop').ops);
    expect(kept()).toEqual([]);
  });

  it('stay while there is a version to roll back to', async () => {
    await cluster.apply(loaded(stack), undefined, { 'r.test:5000': auth });
    await cluster.apply(loaded(stack.replace('r.test:5000/web:1', 'nginx')));
    expect(collectRegistries(cluster.world.maps)).toEqual([]);
  });
});

it.each(['nginx', 'team/app:1', 'r.test/app', 'localhost/a/b', 'localhost:5000/a', 'docker.io/x', 'index.docker.io/library/x', 'Host/x', '[::1]:5000/x', `a@${digest('a')}`])('%s is of the same registry for everybody', (image) => {
  expect(registryOf(image)).toBe(parseReference(image).registry);
});
