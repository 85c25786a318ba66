/** Forgetting tracked connections, so that their next packet is translated anew. */
import { Batch, NetlinkSocket, attributes, netlinkFlag, netlinkProtocol } from './netlink.ts';

const familyIp4 = 2;
const subsystem = 1;
const message = { get: 1, delete: 2 } as const;
const tupleAttribute = { original: 1, reply: 2, status: 3, zone: 18, filter: 25, statusMask: 26 } as const;
/** IPS_DST_NAT. */
const translated = 0x20;
const tuplePart = { ip: 1, protocol: 2 } as const;
const ipPart = { source: 1, destination: 2 } as const;
const protocolPart = { number: 1, sourcePort: 2, destinationPort: 3 } as const;
const filterPart = { original: 1, reply: 2 } as const;
const filterBit = { protocol: 8, destinationPort: 0x20 } as const;

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

  /** Forgets connections whose destination was translated to one of `servers` (four bytes each). Returns how many. */
  forgetTranslatedTo(servers: readonly Uint8Array[], protocol: number): number {
    if (servers.length === 0) return 0;
    const gone = new Set(servers.map((server) => Buffer.from(server).readUInt32BE()));
    const filter = (b: Batch) => {
      b.nest(tupleAttribute.reply, (t) => t.nest(tuplePart.protocol, (p) => p.attributeU8(protocolPart.number, protocol)))
        .nest(tupleAttribute.filter, (f) => f.attributeU32(filterPart.original, 0).attributeU32(filterPart.reply, filterBit.protocol))
        .attributeU32be(tupleAttribute.status, translated)
        .attributeU32be(tupleAttribute.statusMask, translated);
    };
    return this.#forget(filter, (original, back) => back.protocol === protocol && gone.has(back.source.readUInt32BE()) && !original.destination.equals(back.source));
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
