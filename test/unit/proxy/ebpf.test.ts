import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeBackend, decodeBalancerKey, encodeBalancerKey, maps, writeBackend } from '../../../proxy/ebpf/layout.ts';
import { programs, sourceDigest } from '../../../proxy/ebpf/program.gen.ts';
import { Ranges } from '../../../proxy/ebpf/ranges.ts';

describe('the compiled programs', () => {
  const source = readFileSync(join(import.meta.dirname, '../../../proxy/ebpf/lb.bpf.c'));

  test('are those of the source: run proxy/ebpf/build.sh after a change', () => {
    expect(sourceDigest).toBe(createHash('sha256').update(source).digest('hex'));
  });

  test('want only maps that there are, of the sizes the source says', () => {
    const wanted = new Set(programs.flatMap((program) => program.relocations.map(({ map }) => map)));
    expect([...wanted].sort()).toEqual(Object.keys(maps).sort());
    const declared = [...source.toString().matchAll(/__uint\(max_entries, (\d+)\);[^}]*\} (\w+) SEC/g)].map(([, size, name]) => [name, Number(size)]);
    expect(Object.fromEntries(declared)).toEqual(Object.fromEntries(Object.values(maps).map((map) => [map.name, map.maxEntries])));
  });
});

describe('keys and values', () => {
  test.each(['10.48.0.3', '127.0.0.1:8080/tcp', '192.168.50.1:65535/udp', '255.255.255.255', '0.0.0.0:1/tcp'])('%s', (key) => {
    expect(decodeBalancerKey(encodeBalancerKey(key))).toBe(key);
  });
  test.each(['', 'web', '10.48.0.3:80', '10.48.0.3:80/icmp', '10.48.0/tcp'])('%j is no key', (key) => {
    expect(() => encodeBalancerKey(key)).toThrow(RangeError);
  });
  test('backends', () => {
    fc.assert(fc.property(fc.nat(0xffffffff), fc.nat(0xffff), (ip, port) => {
      const bytes = Buffer.alloc(8);
      writeBackend(bytes, 0, { ip, port });
      expect(decodeBackend(bytes)).toEqual({ ip, port });
    }));
  });
});

describe('ranges', () => {
  test('never given twice, and given again only after a rest', () => {
    const operation = fc.oneof(
      fc.record({ do: fc.constant('take' as const), size: fc.integer({ min: 0, max: 9 }) }),
      fc.record({ do: fc.constant('back' as const), which: fc.nat(20) }),
      fc.record({ do: fc.constant('wait' as const), ms: fc.nat(150) }),
    );
    fc.assert(fc.property(fc.array(operation, { maxLength: 80 }), (operations) => {
      const total = 40;
      const ranges = new Ranges(total, 100);
      const freeAt = Array.from({ length: total }, () => 0);
      const held: { base: number; size: number }[] = [];
      let now = 0;
      for (const each of operations) {
        if (each.do === 'wait') now += each.ms;
        else if (each.do === 'back') {
          const [range] = held.splice(each.which % Math.max(held.length, 1), 1);
          if (!range) continue;
          ranges.giveBack(range.base, range.size, now);
          for (let i = 0; i < range.size; i++) freeAt[range.base + i] = now + 100;
        } else {
          let base: number;
          try {
            base = ranges.take(each.size, now);
          } catch {
            // Only when there is truly no run of that size.
            let run = 0;
            for (const at of freeAt) {
              run = at <= now ? run + 1 : 0;
              expect(run).toBeLessThan(each.size);
            }
            continue;
          }
          if (each.size === 0) continue;
          expect(base + each.size).toBeLessThanOrEqual(total);
          for (let i = base; i < base + each.size; i++) {
            expect(freeAt[i]).toBeLessThanOrEqual(now);
            freeAt[i] = Infinity;
          }
          held.push({ base, size: each.size });
        }
      }
    }), { numRuns: 500 });
  });

  test('go on around what is in use', () => {
    const ranges = new Ranges(10, 100, [{ base: 2, size: 3 }, { base: 7, size: 1 }, { base: 0, size: 0 }]);
    expect([ranges.take(2, 0), ranges.take(2, 0), ranges.take(2, 0)]).toEqual([0, 5, 8]);
    expect(() => ranges.take(1, 0)).toThrow(/no room/);
  });
});
