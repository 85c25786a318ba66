/**
 * A backend: answers every TCP connection and UDP datagram with its name and who asked, `name client-address\n`.
 * Usage: server.ts <name> <address> <port> [port…]. A line `hold` keeps the connection open and is echoed.
 */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

const [name = '', address = '', ...ports] = process.argv.slice(2);
let left = ports.length * 2;
const ready = () => {
  if (--left === 0) process.stdout.write('ready\n');
};
for (const port of ports.map(Number)) {
  createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.once('data', (first) => {
      if (first.toString().startsWith('hold')) {
        socket.write(first);
        socket.on('data', (data) => socket.write(data));
      } else {
        socket.end(`${name} ${socket.remoteAddress}\n`);
      }
    });
  }).listen({ port, host: address, backlog: 1024 }, ready);
  const udp = createSocket('udp4');
  udp.on('message', (_, from) => udp.send(`${name} ${from.address}\n`, from.port, from.address));
  udp.bind(port, address, ready);
}
