/** Forgetting tracked connections, so that their next packet is translated anew. */
import { Batch, NetlinkSocket, attributes, netlinkFlag, netlinkProtocol } from './netlink.ts';

const familyIp4 = 2;
const subsystem = 1;
const message = { get: 1, delete: 2 } as const;
const tupleAttribute = { original: 1, reply: 2, zone: 18, filter: 25 } as const;
const tuplePart = { ip: 1, protocol: 2 } as const;
const ipPart = { source: 1, destination: 2 } as const;
const protocolPart = { number: 1, sourcePort: 2, destinationPort: 3 } as const;
const filterPart = { original: 1, reply: 2 } as const;
const filterBit = { protocol: 8, destinationPort: 0x20, sourceAddress: 1 } as const;

export const udp = 17;

interface Tuple {
  readonly raw: Buffer;
  /** As the four bytes of a packet. */
  readonly source: Buffer;
  readonly destination: Buffer;
  readonly protocol: number;
  readonly destinationPort: number;
}

/** One netfilter socket's worth of conntrack operations. Keep it: closing one can take the kernel many milliseconds. */
export class Conntrack implements Disposable {
  readonly #socket = new NetlinkSocket(netlinkProtocol.netfilter);

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  /** Forgets connections that were led to `server` (four bytes). Returns how many. */
  forgetTranslatedTo(server: Uint8Array, protocol: number): number {
    const reply = (b: Batch) => {
      // Both addresses and all of the protocol part must be there for the kernel to read any of it.
      b.nest(tupleAttribute.reply, (t) => t.nest(tuplePart.ip, (ip) => ip.attribute(ipPart.source, server)).nest(tuplePart.protocol, (p) => p.attributeU8(protocolPart.number, protocol)))
        .nest(tupleAttribute.filter, (f) => f.attributeU32(filterPart.original, 0).attributeU32(filterPart.reply, filterBit.protocol | filterBit.sourceAddress));
    };
    return this.#forget(reply, (original, back) => back.protocol === protocol && back.source.equals(server) && !original.destination.equals(back.source));
  }

  /** Forgets connections to `port` that nothing was done to. Returns how many. */
  forgetUntranslated(port: number, protocol: number): number {
    const original = (b: Batch) => {
      b.nest(tupleAttribute.original, (t) => t.nest(tuplePart.protocol, (p) => p.attributeU8(protocolPart.number, protocol).attributeU16be(protocolPart.destinationPort, port)))
        .nest(tupleAttribute.filter, (f) => f.attributeU32(filterPart.original, filterBit.protocol | filterBit.destinationPort).attributeU32(filterPart.reply, 0));
    };
    return this.#forget(original, (asked, back) => asked.protocol === protocol && asked.destinationPort === port && asked.destination.equals(back.source));
  }

  /** The kernel lists what matches the filter; `wanted` looks again, because older kernels know less of filters. */
  #forget(filter: (batch: Batch) => void, wanted: (original: Tuple, reply: Tuple) => boolean): number {
    const request = begin(message.get, netlinkFlag.dump, false);
    filter(request);
    const doomed = new Batch();
    for (const { data } of this.#socket.dump(request)) {
      const found = attributes(data, 4);
      const original = readTuple(found.get(tupleAttribute.original));
      const reply = readTuple(found.get(tupleAttribute.reply));
      if (!original || !reply || !wanted(original, reply)) continue;
      const zone = found.get(tupleAttribute.zone);
      begin(message.delete, 0, true, doomed).attribute(tupleAttribute.original | 0x8000, original.raw);
      if (zone) doomed.attribute(tupleAttribute.zone, zone);
    }
    // Gone by itself meanwhile is gone as well.
    this.#socket.exec(doomed, 'ENOENT');
    return doomed.count;
  }
}

function begin(type: number, flags: number, acknowledged: boolean, batch = new Batch()): Batch {
  return batch.message((subsystem << 8) | type, flags, acknowledged).u8(familyIp4).u8(0).u16be(0);
}

function readTuple(value: Buffer | undefined): Tuple | undefined {
  if (!value) return undefined;
  const parts = attributes(value);
  const ip = attributes(parts.get(tuplePart.ip) ?? Buffer.alloc(0));
  const protocol = attributes(parts.get(tuplePart.protocol) ?? Buffer.alloc(0));
  const source = ip.get(ipPart.source);
  const destination = ip.get(ipPart.destination);
  if (!source || !destination) return undefined;
  return {
    raw: value, source, destination,
    protocol: protocol.get(protocolPart.number)?.[0] ?? 0,
    destinationPort: protocol.get(protocolPart.destinationPort)?.readUInt16BE() ?? 0,
  };
}
