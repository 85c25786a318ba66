/**
 * Asks a name server and prints `{ rcode, addresses, truncated, ttls }`, or `{ error }`.
 * Usage: resolve.ts udp|tcp <server> <name> [<type number> [<count>]]; of many questions the last answer.
 */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { readReply, writeQuery } from '../../../unit/proxy/dns-client.ts';

const [kind = 'udp', server = '', name = '', type = '1', count = '1'] = process.argv.slice(2);
const query = writeQuery({ id: 4711, name, type: Number(type) });
const patienceMs = 6000;

const udp = () => new Promise<Buffer>((resolve, reject) => {
  const socket = createSocket('udp4');
  const timer = setTimeout(() => {
    socket.close();
    reject(new Error('timeout'));
  }, patienceMs);
  socket.on('message', (reply) => {
    clearTimeout(timer);
    socket.close();
    resolve(reply);
  });
  socket.send(query, 53, server);
});

const tcp = () => new Promise<Buffer>((resolve, reject) => {
  const socket = connect({ host: server, port: 53 }, () => {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(query.length);
    // In two parts: the server has to put them together.
    socket.write(Buffer.concat([length, query.subarray(0, 5)]), () => socket.write(query.subarray(5)));
  });
  let received = Buffer.alloc(0);
  socket.setTimeout(patienceMs, () => socket.destroy(new Error('timeout')));
  socket.on('error', reject);
  socket.on('data', (data) => {
    received = Buffer.concat([received, data]);
    if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
    socket.destroy();
    resolve(received.subarray(2, 2 + received.readUInt16BE(0)));
  });
});

let result: unknown;
for (let i = 0; i < Number(count); i++) {
  try {
    const { rcode, addresses, truncated, ttls, id, question } = readReply(await (kind === 'udp' ? udp() : tcp()));
    result = id === 4711 && question === name ? { rcode, addresses, truncated, ttls } : { error: 'an answer to something else' };
  } catch (error) {
    result = { error: error instanceof Error ? error.message : String(error) };
  }
}
process.stdout.write(`${JSON.stringify(result)}\n`);
