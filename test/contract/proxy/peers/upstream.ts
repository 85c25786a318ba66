/**
 * A name server of the outside world: any name has the address 203.0.113.9, but `silent.test` gets no answer and
 * `broken.test` a failure. Usage: upstream.ts <address>. Prints `ready`, then each name it was asked for.
 */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { encodeAnswer, parseQuery, rcode } from '../../../../proxy/dns/message.ts';

const [address = ''] = process.argv.slice(2);

function reply(message: Buffer): Buffer | undefined {
  const parsed = parseQuery(message);
  if (parsed.kind !== 'query') return undefined;
  const { name } = parsed.query.question;
  process.stdout.write(`${name}\n`);
  if (name === 'silent.test') return undefined;
  if (name === 'broken.test') return encodeAnswer(parsed.query, rcode.serverFailure, [], 512);
  return encodeAnswer(parsed.query, rcode.noError, [{ type: 'a', address: Uint8Array.of(203, 0, 113, 9), ttl: 60 }], 512);
}

const udp = createSocket('udp4');
udp.on('message', (message, from) => {
  const answer = reply(message);
  if (answer) udp.send(answer, from.port, from.address);
});
const tcp = createServer((socket) => {
  socket.on('error', () => socket.destroy());
  socket.on('data', (data) => {
    const answer = reply(data.subarray(2));
    if (!answer) return;
    const length = Buffer.alloc(2);
    length.writeUInt16BE(answer.length);
    socket.write(Buffer.concat([length, answer]));
  });
});
udp.bind(53, address, () => tcp.listen(53, address, () => process.stdout.write('ready\n')));
