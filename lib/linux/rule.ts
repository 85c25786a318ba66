/** Policy routing: which table is asked for which packet, in order of priority. IPv4. */
import { ipv4Bytes, ipv4Text, parsePrefix } from './address.ts';
import { Batch, attributeText, attributes, netlinkFlag } from './netlink.ts';
import type { NetlinkMessage, NetlinkSocket } from './netlink.ts';
import { family, rtm } from './rtnetlink.ts';

const fra = { destination: 1, source: 2, inputDevice: 3, priority: 6, mark: 10, suppressPrefixLength: 14, table: 15, markMask: 16, outputDevice: 17, protocol: 21 } as const;
const lookUp = 1;

export interface RoutingRule {
  /** Lowest first; the main table's rule has 32766. */
  readonly priority: number;
  /** The table to look in. */
  readonly table: number;
  /** Packet mark and the bits of it that count (default all). */
  readonly mark?: number;
  readonly markMask?: number;
  /** Prefixes such as `10.32.0.0/16`. */
  readonly source?: string;
  readonly destination?: string;
  /** Device names. */
  readonly inputDevice?: string;
  readonly outputDevice?: string;
  /** Passes over routes with prefixes this short: 0 leaves out the default route. */
  readonly suppressPrefixLength?: number;
  /** Who made it, from 1 to 255. Default 4, an administrator. */
  readonly protocol?: number;
}

/** EEXIST when the same rule is there. */
export function addRule(batch: Batch, rule: RoutingRule): Batch {
  return writeRule(batch.message(rtm.newRule, netlinkFlag.create | netlinkFlag.exclusive), rule);
}

/** ENOENT when it is not there. */
export function deleteRule(batch: Batch, rule: RoutingRule): Batch {
  return writeRule(batch.message(rtm.deleteRule), rule);
}

export function listRules(socket: NetlinkSocket): RoutingRule[] {
  return socket.dump(new Batch(64).message(rtm.getRule, netlinkFlag.dump).u8(family.inet).zeros(11)).map(readRule);
}

/** struct fib_rule_hdr, then what is given. */
function writeRule(batch: Batch, rule: RoutingRule): Batch {
  const from = rule.source === undefined ? undefined : parsePrefix(rule.source);
  const to = rule.destination === undefined ? undefined : parsePrefix(rule.destination);
  batch.u8(family.inet).u8(to?.length ?? 0).u8(from?.length ?? 0).u8(0).u8(rule.table < 256 ? rule.table : 0).u8(0).u8(0).u8(lookUp).u32(0);
  batch.attributeU32(fra.priority, rule.priority).attributeU32(fra.table, rule.table).attributeU8(fra.protocol, rule.protocol ?? 4);
  if (from) batch.attribute(fra.source, ipv4Bytes(from.address));
  if (to) batch.attribute(fra.destination, ipv4Bytes(to.address));
  if (rule.inputDevice !== undefined) batch.string(fra.inputDevice, rule.inputDevice);
  if (rule.outputDevice !== undefined) batch.string(fra.outputDevice, rule.outputDevice);
  if (rule.mark !== undefined) batch.attributeU32(fra.mark, rule.mark).attributeU32(fra.markMask, rule.markMask ?? 0xffffffff);
  if (rule.suppressPrefixLength !== undefined) batch.attributeU32(fra.suppressPrefixLength, rule.suppressPrefixLength);
  return batch;
}

function readRule({ data }: NetlinkMessage): RoutingRule {
  const values = attributes(data, 12);
  const number = (type: number) => values.get(type)?.readUInt32LE(0);
  const prefix = (type: number, length: number) => {
    const value = values.get(type);
    return value?.length === 4 ? `${ipv4Text(value)}/${length}` : undefined;
  };
  const text = (type: number) => {
    const value = values.get(type);
    return value && attributeText(value);
  };
  const source = prefix(fra.source, data.readUInt8(2));
  const destination = prefix(fra.destination, data.readUInt8(1));
  const inputDevice = text(fra.inputDevice);
  const outputDevice = text(fra.outputDevice);
  const mark = number(fra.mark);
  const suppress = values.get(fra.suppressPrefixLength)?.readInt32LE(0) ?? -1;
  return {
    priority: number(fra.priority) ?? 0,
    table: number(fra.table) ?? data.readUInt8(4),
    ...(source !== undefined && { source }),
    ...(destination !== undefined && { destination }),
    ...(inputDevice !== undefined && { inputDevice }),
    ...(outputDevice !== undefined && { outputDevice }),
    ...(mark !== undefined && { mark, markMask: number(fra.markMask) ?? 0xffffffff }),
    ...(suppress >= 0 && { suppressPrefixLength: suppress }),
    protocol: values.get(fra.protocol)?.readUInt8(0) ?? 0,
  };
}
