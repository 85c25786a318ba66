import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AddressPool, allocateVips } from '../../../../model/allocate/addresses.ts';
import { formatCidr, formatIp, overlaps, parseCidr, parseIp } from '../../../../model/allocate/cidr.ts';
import { allocateGroup, maxGroup } from '../../../../model/allocate/groups.ts';
import { allocatePorts, portRange, type PortOwner } from '../../../../model/allocate/ports.ts';
import { allocateSubnet } from '../../../../model/allocate/subnets.ts';
import type { AllocatedPort } from '../../../../model/service.ts';
import type { PortSpec } from '../../../../model/spec.ts';

describe('cidr', () => {
  test.each([
    ['10.32.0.0/16', { base: 0x0a_20_00_00, prefix: 16, size: 65_536 }],
    ['10.32.1.77/24', { base: 0x0a_20_01_00, prefix: 24, size: 256 }],
    ['255.255.255.255/32', { base: 0xff_ff_ff_ff, prefix: 32, size: 1 }],
    ['0.0.0.0/0', { base: 0, prefix: 0, size: 2 ** 32 }],
    ['10.0.0.0', null], ['10.0.0/8', null], ['10.0.0.256/8', null], ['10.0.0.0/33', null], ['10.0.0.0/8/8', null], ['a.b.c.d/8', null],
  ])('%s', (text, expected) => expect(parseCidr(text)).toEqual(expected));

  test.each([
    ['10.0.0.0/8', '10.1.2.0/24', true],
    ['10.1.2.0/24', '10.1.3.0/24', false],
    ['172.31.240.0/24', '172.31.240.7/32', true],
    ['0.0.0.0/0', '1.2.3.4/32', true],
    ['fd00::/8', '10.0.0.0/8', false],
  ])('%s and %s', (a, b, expected) => {
    expect(overlaps(a, b)).toBe(expected);
    expect(overlaps(b, a)).toBe(expected);
  });

  test('numbers and texts agree', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (value) => {
      expect(parseIp(formatIp(value))).toBe(value);
    }));
    expect(formatCidr({ base: 0x0a_20_01_00, prefix: 24 })).toBe('10.32.1.0/24');
  });
});

describe('subnets', () => {
  test('lowest free, gaps first', () => {
    expect(allocateSubnet('10.32.0.0/16', 24, [])).toEqual({ ok: '10.32.0.0/24' });
    expect(allocateSubnet('10.32.0.0/16', 24, ['10.32.0.0/24', '10.32.2.0/24'])).toEqual({ ok: '10.32.1.0/24' });
    expect(allocateSubnet('10.32.0.0/16', 24, ['10.32.0.0/23', '10.99.0.0/16', 'rubbish'])).toEqual({ ok: '10.32.2.0/24' });
    expect(allocateSubnet('10.32.0.0/16', 24, ['10.0.0.0/8'])).toHaveProperty('exhausted');
    expect(allocateSubnet('10.32.0.0/16', 8, [])).toHaveProperty('exhausted');
  });

  test('unique, inside the block, and exhausted only when full', () => {
    fc.assert(fc.property(fc.integer({ min: 20, max: 26 }), fc.integer({ min: 0, max: 6 }), (prefix, extra) => {
      const used: string[] = [];
      for (let i = 0; i < 2 ** extra; i++) {
        const given = allocateSubnet(`10.0.0.0/${prefix}`, Math.min(30, prefix + extra), used);
        if (!('ok' in given)) {
          expect(i).toBe(2 ** Math.min(extra, 30 - prefix));
          return;
        }
        expect(used).not.toContain(given.ok);
        used.push(given.ok);
      }
      expect(allocateSubnet(`10.0.0.0/${prefix}`, Math.min(30, prefix + extra), used)).toHaveProperty('exhausted');
    }));
  });
});

describe('addresses', () => {
  test('never the first or the last, then exhausted', () => {
    const pool = new AddressPool('10.0.0.0/29', []);
    expect(Array.from({ length: 6 }, () => pool.next())).toEqual([1, 2, 3, 4, 5, 6].map((last) => ({ ok: `10.0.0.${last}` })));
    expect(pool.next()).toEqual({ exhausted: 'no address is left in 10.0.0.0/29: 6 of 6 are in use' });
  });

  test('a freed address waits until all others had their turn', () => {
    const pool = new AddressPool('10.0.0.0/29', ['10.0.0.1', '10.0.0.3']);
    pool.release('10.0.0.3');
    expect([pool.next(), pool.next(), pool.next(), pool.next()]).toEqual(['4', '5', '6', '2'].map((last) => ({ ok: `10.0.0.${last}` })));
    expect(new AddressPool('10.0.0.0/29', ['10.0.0.1'], '10.0.0.4').next()).toEqual({ ok: '10.0.0.5' });
  });

  test('addresses of elsewhere do not count', () => {
    const pool = new AddressPool('10.0.0.0/30', ['10.9.9.9', '10.0.0.0', '10.0.0.3', 'rubbish']);
    expect(pool.free).toBe(2);
    expect(new AddressPool('rubbish', []).next()).toHaveProperty('exhausted');
  });

  test('unique under any giving and freeing, exhausted only when full, and the longest free comes first', () => {
    fc.assert(fc.property(fc.array(fc.option(fc.nat(20)), { maxLength: 80 }), (steps) => {
      const pool = new AddressPool('10.0.0.0/28', []);
      const live: string[] = [];
      const freed: string[] = [];
      for (const step of steps) {
        if (step === null) {
          const given = pool.next();
          if ('exhausted' in given) {
            expect(live).toHaveLength(14);
            continue;
          }
          expect(live).not.toContain(given.ok);
          // With more than half of the block free, what was freed last cannot be next.
          if (live.length < 7) expect(freed.at(-1)).not.toBe(given.ok);
          live.push(given.ok);
        } else if (live.length > 0) {
          const [ip] = live.splice(step % live.length, 1);
          pool.release(ip ?? '');
          freed.push(ip ?? '');
        }
      }
      expect(pool.free).toBe(14 - live.length);
    }));
  });

  test('VIPs stay, new networks get one, left networks give theirs back', () => {
    const pool = new AddressPool('10.96.0.0/16', ['10.96.0.1', '10.96.0.2']);
    const existing = [{ network: 'a', ip: '10.96.0.1' }, { network: 'b', ip: '10.96.0.2' }];
    expect(allocateVips(['c', 'a'], existing, pool)).toEqual({ ok: [{ network: 'c', ip: '10.96.0.3' }, { network: 'a', ip: '10.96.0.1' }] });
    expect(pool.has('10.96.0.2')).toBe(false);
    expect(allocateVips(['a'], [], new AddressPool('10.0.0.0/31', []))).toHaveProperty('exhausted');
  });
});

test('network groups', () => {
  expect(allocateGroup([])).toEqual({ ok: 1 });
  expect(allocateGroup([1, 2, 4])).toEqual({ ok: 3 });
  expect(allocateGroup(Array.from({ length: maxGroup }, (_, index) => index + 1))).toHaveProperty('exhausted');
});

describe('ports', () => {
  const spec = (target: number, published?: number, more: Partial<PortSpec> = {}): PortSpec => ({ target, ...(published === undefined ? {} : { published }), protocol: 'tcp', mode: 'ingress', ...more });
  const owner = (service: string, published: number, more: Partial<AllocatedPort> = {}): PortOwner => ({ service, port: { target: 80, published, protocol: 'tcp', mode: 'ingress', ...more } });

  test.each<{ name: string; specs: PortSpec[]; others?: PortOwner[]; existing?: AllocatedPort[]; expected: unknown }>([
    { name: 'as asked', specs: [spec(80, 8080)], expected: { ok: [{ target: 80, published: 8080, protocol: 'tcp', mode: 'ingress' }] } },
    { name: 'picked, past others', specs: [spec(80), spec(81)], others: [owner('a', 30_000)], expected: { ok: [expect.objectContaining({ published: 30_001 }), expect.objectContaining({ published: 30_002 })] } },
    { name: 'another protocol is free', specs: [spec(53, 53, { protocol: 'udp' })], others: [owner('a', 53)], expected: { ok: [expect.objectContaining({ published: 53 })] } },
    { name: 'conflict', specs: [spec(80, 8080)], others: [owner('shop_api', 8080)], expected: { conflict: 'shop_web cannot publish port 8080/tcp: shop_api has it', with: 'shop_api' } },
    { name: 'ingress against host', specs: [spec(80, 8080)], others: [owner('shop_api', 8080, { mode: 'host' })], expected: { conflict: 'shop_web cannot publish port 8080/tcp: shop_api has it (on its hosts)', with: 'shop_api' } },
    { name: 'host against ingress', specs: [spec(80, 8080, { mode: 'host' })], others: [owner('shop_api', 8080)], expected: { conflict: 'shop_web cannot publish port 8080/tcp: shop_api has it (on every node)', with: 'shop_api' } },
    { name: 'host against host is the scheduler\'s', specs: [spec(80, 8080, { mode: 'host' })], others: [owner('shop_api', 8080, { mode: 'host' })], expected: { ok: [expect.objectContaining({ published: 8080 })] } },
    { name: 'different host addresses', specs: [spec(80, 8080, { hostIp: '10.0.0.1' })], others: [owner('a', 8080, { hostIp: '10.0.0.2' })], expected: { ok: [expect.objectContaining({ hostIp: '10.0.0.1' })] } },
    { name: 'twice in one service', specs: [spec(80, 8080), spec(81, 8080)], expected: { conflict: 'shop_web publishes port 8080/tcp twice, for 80 and 81', with: 'shop_web' } },
    { name: 'own ports are no conflict', specs: [spec(80, 8080)], others: [owner('shop_web', 8080)], expected: { ok: [expect.objectContaining({ published: 8080 })] } },
    { name: 'kept', specs: [spec(80)], existing: [{ target: 80, published: 30_500, protocol: 'tcp', mode: 'ingress' }], expected: { ok: [expect.objectContaining({ published: 30_500 })] } },
    { name: 'not kept once chosen by hand before', specs: [spec(80)], existing: [{ target: 80, published: 8080, protocol: 'tcp', mode: 'ingress' }], expected: { ok: [expect.objectContaining({ published: 30_000 })] } },
    { name: 'a chosen number wins over a picked one', specs: [spec(80), spec(81, 30_000)], expected: { ok: [expect.objectContaining({ published: 30_001 }), expect.objectContaining({ published: 30_000 })] } },
    { name: 'of the file\'s range, past others', specs: [spec(80, 8000, { publishedTo: 8010 }), spec(81, 8000)], others: [owner('a', 8001)], expected: { ok: [expect.objectContaining({ published: 8002 }), expect.objectContaining({ published: 8000 })] } },
    { name: 'kept in the file\'s range', specs: [spec(80, 8000, { publishedTo: 8010 })], existing: [{ target: 80, published: 8005, protocol: 'tcp', mode: 'ingress' }], expected: { ok: [expect.objectContaining({ published: 8005 })] } },
    { name: 'not kept outside of it', specs: [spec(80, 8000, { publishedTo: 8010 })], existing: [{ target: 80, published: 8011, protocol: 'tcp', mode: 'ingress' }], expected: { ok: [expect.objectContaining({ published: 8000 })] } },
    { name: 'the file\'s range is full', specs: [spec(80, 8000, { publishedTo: 8001, mode: 'host' })], others: [owner('a', 8000), owner('a', 8001, { mode: 'host' })], expected: { exhausted: 'no port from 8000 to 8001 is free for tcp 80 of shop_web' } },
    {
      name: 'exhausted', specs: [spec(80)], others: Array.from({ length: portRange.last - portRange.first + 1 }, (_, index) => owner('a', portRange.first + index)),
      expected: { exhausted: 'no port from 30000 to 32767 is free for tcp 80 of shop_web' },
    },
  ])('$name', ({ specs, others = [], existing = [], expected }) => {
    expect(allocatePorts('shop_web', specs, existing, others)).toEqual(expected);
  });

  test('allocating again changes nothing, and ingress numbers are unique over all services', () => {
    const port = fc.record({ target: fc.integer({ min: 1, max: 5 }), published: fc.option(fc.constantFrom(80, 30_000, 30_001), { nil: undefined }), protocol: fc.constantFrom('tcp' as const, 'udp' as const) })
      .map(({ target, published, protocol }) => spec(target, published, { protocol }));
    fc.assert(fc.property(fc.array(fc.array(port, { maxLength: 4 }), { maxLength: 5 }), (services) => {
      const owners: PortOwner[] = [];
      for (const [index, specs] of services.entries()) {
        const name = `s${index}`;
        const result = allocatePorts(name, specs, [], owners);
        if (!('ok' in result)) continue;
        expect(allocatePorts(name, specs, result.ok, owners)).toEqual(result);
        owners.push(...result.ok.map((given) => ({ service: name, port: given })));
      }
      const numbers = owners.map(({ service, port: { protocol, published, target } }) => `${protocol}/${published} ${service} ${target}`);
      const keys = new Set(numbers.map((text) => text.split(' ')[0]));
      // The same port of the same target may be listed twice; anything else with one number would clash.
      expect(keys.size).toBe(new Set(numbers).size);
    }));
  });
});
