import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { ipv4Bytes, ipv4Text, macBytes, macText, parsePrefix, prefixText } from '../../../../lib/linux/address.ts';

describe('addresses', () => {
  it('survive text and back', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 4, maxLength: 4 }), (bytes) => {
      expect(new Uint8Array(ipv4Bytes(ipv4Text(bytes)))).toEqual(bytes);
    }));
    fc.assert(fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (bytes) => {
      expect(new Uint8Array(macBytes(macText(bytes)))).toEqual(bytes);
    }));
  });

  it.each(['', '1.2.3', '1.2.3.256', '1.2.3.4.5', 'a.b.c.d', '1.2.3.-4', '1..2.3'])('refuses %j as IPv4', (text) => {
    expect(() => ipv4Bytes(text)).toThrow(RangeError);
  });

  it.each(['', '00:11:22:33:44', '00:11:22:33:44:gg', '001122334455'])('refuses %j as a MAC', (text) => {
    expect(() => macBytes(text)).toThrow(RangeError);
  });
});

describe('prefixes', () => {
  it.each([
    ['10.32.1.77/24', '10.32.1.0/24'],
    ['255.255.255.255/1', '128.0.0.0/1'],
    ['1.2.3.4/0', '0.0.0.0/0'],
    ['1.2.3.4', '1.2.3.4/32'],
    ['200.1.2.3/32', '200.1.2.3/32'],
  ])('%s is %s', (text, expected) => {
    expect(prefixText(parsePrefix(text))).toBe(expected);
  });

  it.each(['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/-1', '10.0.0.0/8/8', '10.0.0/8'])('refuses %j', (text) => {
    expect(() => parsePrefix(text)).toThrow(RangeError);
  });
});
