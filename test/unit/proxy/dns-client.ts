/** The other side of the protocol, written apart from the server's own code so that both can be wrong only separately. */
export function writeQuery(question: { id: number; name: string; type: number; class?: number; opcode?: number; edns?: number }): Buffer {
  const labels = question.name === '' ? [] : question.name.split('.');
  const name = Buffer.concat([...labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')])), Buffer.from([0])]);
  const header = Buffer.alloc(12);
  header.writeUInt16BE(question.id, 0);
  header.writeUInt16BE(((question.opcode ?? 0) << 11) | 0x100, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(question.edns === undefined ? 0 : 1, 10);
  const fixed = Buffer.alloc(4);
  fixed.writeUInt16BE(question.type, 0);
  fixed.writeUInt16BE(question.class ?? 1, 2);
  const opt = Buffer.alloc(11);
  opt.writeUInt16BE(41, 1);
  opt.writeUInt16BE(question.edns ?? 0, 3);
  return Buffer.concat([header, name, fixed, ...(question.edns === undefined ? [] : [opt])]);
}

export interface Reply {
  readonly id: number;
  readonly rcode: number;
  readonly authoritative: boolean;
  readonly truncated: boolean;
  readonly question: string;
  readonly type: number;
  readonly addresses: readonly string[];
  readonly ttls: readonly number[];
}

/** Answers of ours and of plain servers: names in answers are pointers or labels, all that is needed is to skip them. */
export function readReply(bytes: Buffer): Reply {
  const flags = bytes.readUInt16BE(2);
  let at = 12;
  let question = '';
  let type = 0;
  if (bytes.readUInt16BE(4) === 1) {
    const labels: string[] = [];
    while (bytes[at] !== 0) {
      const length = bytes[at] as number;
      labels.push(bytes.toString('latin1', at + 1, at + 1 + length));
      at += 1 + length;
    }
    question = labels.join('.');
    type = bytes.readUInt16BE(at + 1);
    at += 5;
  }
  const addresses: string[] = [];
  const ttls: number[] = [];
  for (let i = 0; i < bytes.readUInt16BE(6); i++) {
    if (((bytes[at] as number) & 0xc0) === 0xc0) at += 2;
    else {
      while (bytes[at] !== 0) at += 1 + (bytes[at] as number);
      at++;
    }
    const length = bytes.readUInt16BE(at + 8);
    if (bytes.readUInt16BE(at) === 1) addresses.push([...bytes.subarray(at + 10, at + 14)].join('.'));
    ttls.push(bytes.readUInt32BE(at + 4));
    at += 10 + length;
  }
  return { id: bytes.readUInt16BE(0), rcode: flags & 15, authoritative: (flags & 0x400) !== 0, truncated: (flags & 0x200) !== 0, question, type, addresses, ttls };
}
