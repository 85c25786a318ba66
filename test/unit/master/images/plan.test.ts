import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { neededNodes, pickSeed, planLayers } from '../../../../master/images/plan.ts';
import type { PushImage } from '../../../../model/api.ts';

const blob = (digest: string, size = 10) => ({ mediaType: 'layer', digest, size });
const image = (layers: readonly string[], options: Partial<PushImage> = {}): PushImage => ({
  references: ['app'], config: blob('config'), layers: layers.map((name) => ({ ...blob(name), diffId: `diff-${name}` })), fixed: false, ...options,
});

describe('layers', () => {
  it.each<[string, PushImage, { readonly blobs?: readonly string[]; readonly unpacked?: Readonly<Record<string, string>> }, readonly string[]]>([
    ['an empty cluster lacks all', image(['a', 'b']), {}, ['missing', 'missing']],
    ['what is there is not sent', image(['a', 'b', 'c']), { blobs: ['a', 'c'] }, ['a', 'missing', 'c']],
    ['the same layer twice', image(['a', 'a']), { blobs: ['a'] }, ['a', 'a']],
    ['a layer that came compressed from a registry', image(['a', 'b']), { unpacked: { 'diff-a': 'a-gzip' } }, ['a-gzip', 'missing']],
    ['the very blob goes before another of the same layer', image(['a']), { blobs: ['a'], unpacked: { 'diff-a': 'a-gzip' } }, ['a']],
    ['a manifest that names its blobs is not changed', image(['a', 'b'], { fixed: true }), { blobs: ['b'], unpacked: { 'diff-a': 'a-gzip' } }, ['missing', 'b']],
    ['an image without layers', image([]), {}, []],
  ])('%s', (_what, pushed, there, expected) => {
    const planned = planLayers(pushed, {
      has: (digest) => there.blobs?.includes(digest) === true,
      layer: (diffId) => (there.unpacked?.[diffId] === undefined ? null : blob(there.unpacked[diffId])),
    });
    expect(planned.map((layer) => (layer.kind === 'known' ? layer.blob.digest : layer.kind))).toEqual(expected);
  });
});

describe('the seed', () => {
  const nodes = (has: Readonly<Record<string, readonly string[]>>) => Object.entries(has).map(([id, blobs]) => ({ id, blobs: new Set(blobs) }));

  it.each<[string, Readonly<Record<string, readonly string[]>>, string | null]>([
    ['nobody', {}, null],
    ['the only one', { n1: [] }, 'n1'],
    ['who has most, in bytes', { n1: ['a', 'b'], n2: ['big'], n3: [] }, 'n2'],
  ])('%s', (_what, has, expected) => {
    expect(pickSeed(nodes(has), [blob('a'), blob('b'), blob('big', 100)], 'p')).toBe(expected);
  });

  it('is the same for the same push, whatever the order, and not the same for all', () => {
    const many = nodes(Object.fromEntries(Array.from({ length: 10 }, (_, n) => [`n${n}`, []])));
    const seeds = Array.from({ length: 200 }, (_, n) => {
      const first = pickSeed(many, [], `push-${n}`);
      expect(pickSeed(many.toReversed(), [], `push-${n}`)).toBe(first);
      return first;
    });
    const counts = Map.groupBy(seeds, (seed) => seed);
    expect(counts.size).toBe(10);
    for (const each of counts.values()) expect(each.length).toBeGreaterThan(5);
  });
});

describe('nodes that need it', () => {
  const need = (ready: readonly string[], running: readonly string[], named: readonly string[] = []) => [...neededNodes({ ready, running: new Set(running), named: new Set(named), push: 'p' })];

  it.each<[string, readonly string[], readonly string[]]>([
    ['those that run it', need(['n1', 'n2', 'n3'], ['n1', 'n3']), ['n1', 'n3']],
    ['and those that know another one by its name', need(['n1', 'n2', 'n3'], ['n1'], ['n2']), ['n1', 'n2']],
    ['not those that are away', need(['n2', 'n3'], ['n1', 'n2', 'n3']), ['n2', 'n3']],
    ['the only one there is', need(['n1'], []), ['n1']],
    ['nobody', need([], []), []],
  ])('%s', (_what, found, expected) => {
    expect(found).toEqual(expected);
  });

  it('are two at least, where there are two', () => {
    fc.assert(fc.property(fc.uniqueArray(fc.string({ minLength: 1 }), { maxLength: 8 }), fc.nat(8), fc.string(), (ready, count, push) => {
      const running = new Set(ready.slice(0, count));
      const found = neededNodes({ ready, running, named: new Set(), push });
      expect(new Set(found).size).toBe(found.length);
      expect(found.length).toBe(Math.max(running.size, Math.min(2, ready.length)));
      for (const node of running) expect(found).toContain(node);
    }));
  });
});
