import fc from 'fast-check';
import { expect, it } from 'vitest';
import { contains, hostAddress, isVethName, podMac, tunnelMac, vethIndex, vethName } from '../../../../agent/network/names.ts';

it('names fit the kernel’s 15 characters and stay what they are', () => {
  fc.assert(fc.property(fc.string(), fc.nat({ max: 200 }), (id, attempt) => {
    expect(vethName(id)).toHaveLength(15);
    expect(isVethName(vethName(id))).toBe(true);
    const index = vethIndex(id, attempt);
    expect(index).toBeGreaterThan(1 << 20);
    expect(index).toBeLessThan(2 ** 31);
    expect(vethIndex(id, attempt + 1)).not.toBe(index);
  }));
  // Agents of different versions meet the same kernel.
  expect(vethName('x7k2m9qd0c')).toBe('tsv45b481763e05');
  expect(isVethName('tsorch0')).toBe(false);
});

it('MACs are of one host and locally given', () => {
  for (const mac of [podMac('10.32.1.7'), tunnelMac('10.32.1.0/24')]) expect(Number.parseInt(mac.slice(0, 2), 16) & 3).toBe(2);
  expect(podMac('10.32.1.7')).toBe('0a:74:0a:20:01:07');
  expect(tunnelMac('10.32.1.0/24')).toBe('0e:74:0a:20:01:00');
});

it.each([
  ['10.32.0.0/12', '10.47.255.255', true],
  ['10.32.0.0/12', '10.48.0.0', false],
  ['10.32.1.0/24', '10.32.1.7', true],
  ['0.0.0.0/0', '1.2.3.4', true],
])('%s contains %s: %s', (prefix, address, expected) => {
  expect(contains(prefix, address)).toBe(expected);
});

it('the host is the first of its subnet', () => {
  expect(hostAddress('10.32.1.77/24')).toBe('10.32.1.0');
});
