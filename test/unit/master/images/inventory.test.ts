import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ImageInventory } from '../../../../master/images/inventory.ts';
import type { HeldImage, HeldLayer } from '../../../../model/image.ts';

const layer = (name: string, options: Partial<HeldLayer> = {}): HeldLayer => ({ diffId: `diff-${name}`, digest: `gzip-${name}`, mediaType: 'gzip', size: 10, here: true, ...options });

function image(digest: string, names: Readonly<Record<string, number>> = {}, layers: readonly HeldLayer[] = []): HeldImage {
  return {
    target: { digest, mediaType: 'manifest', size: 1 }, names: Object.entries(names).map(([name, since]) => ({ name, since })), config: `config-${digest}`, size: 1,
    documents: [digest, `config-${digest}`], layers,
  };
}

const zero = () => 0;

describe('names', () => {
  it.each<[string, readonly (readonly [string, HeldImage])[], string | undefined]>([
    ['nobody has it', [['n1', image('a', { other: 1 })]], undefined],
    ['one has it', [['n1', image('a', { app: 1 })]], 'a'],
    ['the newer one counts', [['n1', image('a', { app: 1 })], ['n2', image('b', { app: 2 })]], 'b'],
    ['wherever it is', [['n1', image('b', { app: 2 })], ['n2', image('a', { app: 1 })]], 'b'],
    ['a copy keeps the time of the first', [['n1', image('a', { app: 1 })], ['n2', image('b', { app: 2 })], ['n3', image('a', { app: 1 })]], 'b'],
    ['given at once, it is the same for all', [['n1', image('a', { app: 2 })], ['n2', image('b', { app: 2 })]], 'b'],
  ])('%s', (_what, held, expected) => {
    const inventory = new ImageInventory();
    for (const [node, each] of held) inventory.change(node, [each], []);
    expect(inventory.named('app')?.target.digest).toBe(expected);
  });

  it('are gone with the node, and with the image', () => {
    const inventory = new ImageInventory();
    inventory.replace('n1', [image('a', { app: 1 }), image('b', { app: 2 })]);
    inventory.change('n1', [], ['b']);
    expect(inventory.named('app')).toEqual({ target: { digest: 'a', mediaType: 'manifest', size: 1 }, since: 1 });
    inventory.drop('n1');
    expect([inventory.named('app'), inventory.images('n1')]).toEqual([null, []]);
  });

  it('move when an image is told again under others', () => {
    const inventory = new ImageInventory();
    inventory.replace('n1', [image('a', { app: 1 })]);
    inventory.change('n1', [image('a', { web: 1 })], []);
    expect([inventory.named('app'), inventory.named('web')?.target.digest, inventory.nodesWith('a')]).toEqual([null, 'a', ['n1']]);
  });
});

describe('a name that was looked for in vain', () => {
  it('is told of when some node has it: to each that looked, once', () => {
    const told: (readonly [string, readonly string[]])[] = [];
    const inventory = new ImageInventory((node, names) => told.push([node, names]));
    for (const [node, name] of [['n1', 'app'], ['n2', 'app'], ['n1', 'web'], ['n1', 'app'], ['n3', 'app']] as const) expect(inventory.seek(node, name)).toBeNull();
    inventory.drop('n3');
    inventory.replace('n4', [image('a', { app: 1, other: 1 }), image('b', { web: 1 })]);
    expect(told).toEqual([['n1', ['app', 'web']], ['n2', ['app']]]);
    inventory.change('n5', [image('a', { app: 1 })], []);
    expect(told).toHaveLength(2);
    expect(inventory.seek('n1', 'app')?.target.digest).toBe('a');
  });
});

describe('layers', () => {
  it('are known by what they are unpacked, the smallest blob of them first', () => {
    const inventory = new ImageInventory();
    inventory.replace('n1', [image('a', {}, [layer('x', { digest: 'plain', size: 100 })])]);
    inventory.replace('n2', [image('b', {}, [layer('x', { digest: 'zstd', size: 40 })])]);
    expect(inventory.layer('diff-x')).toEqual({ digest: 'zstd', size: 40, mediaType: 'gzip' });
    inventory.drop('n2');
    expect(inventory.layer('diff-x')?.digest).toBe('plain');
    inventory.drop('n1');
    expect(inventory.layer('diff-x')).toBeNull();
  });

  it('that are only unpacked cannot be had', () => {
    const inventory = new ImageInventory();
    inventory.replace('n1', [image('a', {}, [layer('x', { here: false })])]);
    expect([inventory.layer('diff-x'), inventory.has('gzip-x'), inventory.has('config-a')]).toEqual([null, false, true]);
  });

  it('of several images stay until the last of these has gone', () => {
    const inventory = new ImageInventory();
    inventory.replace('n1', [image('a', {}, [layer('x'), layer('x')]), image('b', {}, [layer('x')])]);
    inventory.change('n1', [], ['a']);
    expect(inventory.has('gzip-x')).toBe(true);
    inventory.change('n1', [], ['b']);
    expect(inventory.has('gzip-x')).toBe(false);
  });
});

describe('places', () => {
  it('whoever asks first is to bring it, the others wait for it', () => {
    const inventory = new ImageInventory();
    expect(inventory.locate('n1', 'x', 0, zero)).toEqual({ holders: [], seekers: [], first: true });
    expect(inventory.locate('n2', 'x', 1, zero)).toEqual({ holders: [], seekers: ['n1'], first: false });
    expect(inventory.locate('n1', 'x', 2, zero)).toEqual({ holders: [], seekers: ['n2'], first: true });
  });

  it('the next one does when the first is gone or is silent', () => {
    const inventory = new ImageInventory();
    inventory.locate('n1', 'x', 0, zero);
    inventory.locate('n2', 'x', 1, zero);
    inventory.drop('n1');
    expect(inventory.locate('n2', 'x', 2, zero)).toEqual({ holders: [], seekers: [], first: true });
    inventory.locate('n3', 'x', 50_000, zero);
    expect(inventory.locate('n3', 'x', 70_000, zero)).toEqual({ holders: [], seekers: [], first: true });
  });

  it('who has it holds it and seeks it no more', () => {
    const inventory = new ImageInventory();
    inventory.locate('n1', 'gzip-x', 0, zero);
    inventory.replace('n1', [image('a', {}, [layer('x')])]);
    expect(inventory.locate('n2', 'gzip-x', 1, zero)).toEqual({ holders: ['n1'], seekers: [], first: true });
    expect(inventory.locate('n1', 'gzip-x', 2, zero)).toEqual({ holders: [], seekers: ['n2'], first: false });
  });

  it('of many each is told some', () => {
    const inventory = new ImageInventory();
    for (let n = 0; n < 100; n++) inventory.replace(`n${n}`, [image('a', {}, [layer('x')])]);
    const seen = new Set<string>();
    let seed = 1;
    const random = () => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647;
    for (let n = 0; n < 40; n++) {
      const { holders } = inventory.locate('other', 'gzip-x', n, random);
      expect(new Set(holders).size).toBe(24);
      for (const node of holders) seen.add(node);
    }
    expect(seen.size).toBe(100);
  });
});

it('told bit by bit or all at once, it is the same', () => {
  const nodes = ['n1', 'n2'];
  const one = fc.record({ node: fc.constantFrom(...nodes), digest: fc.constantFrom('a', 'b', 'c'), since: fc.nat(5), layers: fc.subarray(['x', 'y', 'z']), gone: fc.boolean() });
  fc.assert(fc.property(fc.array(one, { maxLength: 30 }), (steps) => {
    const told = new ImageInventory();
    const held = new Map(nodes.map((node) => [node, new Map<string, HeldImage>()]));
    for (const { node, digest, since, layers, gone } of steps) {
      const each = image(digest, { app: since }, layers.map((name) => layer(name)));
      told.change(node, gone ? [] : [each], gone ? [digest] : []);
      if (gone) held.get(node)?.delete(digest);
      else held.get(node)?.set(digest, each);
    }
    const whole = new ImageInventory();
    for (const [node, images] of held) whole.replace(node, [...images.values()]);
    const seen = (inventory: ImageInventory) => ['gzip-x', 'gzip-y', 'gzip-z', 'a', 'b', 'c', 'config-a'].map((digest) => [...inventory.locate('other', digest, 0, zero).holders].toSorted());
    expect(seen(told)).toEqual(seen(whole));
    expect(told.named('app')).toEqual(whole.named('app'));
    expect(['x', 'y', 'z'].map((name) => told.layer(`diff-${name}`))).toEqual(['x', 'y', 'z'].map((name) => whole.layer(`diff-${name}`)));
  }));
});
