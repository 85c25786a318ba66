import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { Batch, attributeList, attributeText, attributes, readMessages } from '../../../../lib/linux/netlink-message.ts';

describe('Batch', () => {
  it('writes a header with length, flags and sequence', () => {
    const batch = new Batch().message(16, 0x400).u8(7).zeros(3).string(3, 'lo').message(17, 0, false).u32(5);
    expect(batch.count).toBe(2);
    expect(batch.acknowledgements).toBe(1);
    expect(batch.finish(40).toString('hex')).toBe(
      '1c000000' + '1000' + '0504' + '28000000' + '00000000' + '07000000' + '07000300' + '6c6f0000' +
      '14000000' + '1100' + '0100' + '29000000' + '00000000' + '05000000',
    );
  });

  it('writes numbers in both orders, padded to four bytes', () => {
    const bytes = new Batch().message(0).attributeU8(1, 0xab).attributeU16(2, 0x1234).attributeU16be(2, 0x1234)
      .attributeU32(3, 0xdeadbeef).attributeU32be(3, 0xdeadbeef).attributeU64(4, 0x0102030405060708n).attributeU64be(4, 0x0102030405060708n).flag(5)
      .finish(1).subarray(16);
    expect(bytes.toString('hex')).toBe(
      '05000100ab000000' + '0600020034120000' + '0600020012340000' +
      '08000300efbeadde' + '08000300deadbeef' + '0c0004000807060504030201' + '0c0004000102030405060708' + '04000500',
    );
  });

  it('nests, with lengths of what is inside', () => {
    const bytes = new Batch().message(0).nest(18, (b) => b.string(1, 'veth').nest(2, (c) => c.attributeU32(9, 1))).finish(1).subarray(16);
    const outer = attributes(bytes);
    expect([...outer.keys()]).toEqual([18]);
    const info = attributes(outer.get(18) as Buffer);
    expect(attributeText(info.get(1) as Buffer)).toBe('veth');
    expect(attributes(info.get(2) as Buffer).get(9)?.readUInt32LE(0)).toBe(1);
  });

  it('refuses an attribute longer than its length field', () => {
    expect(() => new Batch().message(0).nest(1, (b) => b.bytes(Buffer.alloc(70_000)))).toThrow(/65535/);
  });

  it('reads back whatever was written, however large', () => {
    const attribute = fc.record({ type: fc.integer({ min: 1, max: 0x3fff }), value: fc.uint8Array({ maxLength: 300 }) });
    const message = fc.record({ type: fc.integer({ min: 0, max: 0xffff }), attributes: fc.array(attribute, { maxLength: 8 }) });
    fc.assert(fc.property(fc.array(message, { minLength: 1, maxLength: 20 }), fc.integer({ min: 0, max: 0xffffffff }), (messages, first) => {
      const batch = new Batch(16);
      for (const m of messages) {
        batch.message(m.type);
        for (const a of m.attributes) batch.attribute(a.type, a.value);
      }
      const read = [...readMessages(batch.finish(first))].map((m) => ({ type: m.type, attributes: attributeList(m.data).map((a) => ({ type: a.type, value: new Uint8Array(a.value) })) }));
      expect(read).toEqual(messages);
    }));
  });
});

describe('reading', () => {
  it('stops at a length that cannot be', () => {
    expect([...readMessages(Buffer.from('08000000000000000000000000000000', 'hex'))]).toEqual([]);
    expect(attributeList(Buffer.from('ff000100aabbccdd', 'hex'))).toEqual([]);
    expect(attributeList(Buffer.from('00000100', 'hex'))).toEqual([]);
  });

  it('takes text up to the NUL', () => {
    expect(attributeText(Buffer.from('eth0\0\0'))).toBe('eth0');
    expect(attributeText(Buffer.from('eth0'))).toBe('eth0');
  });
});
