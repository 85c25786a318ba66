/**
 * One UDP socket that goes on asking: prints who answered, `nobody` when no one does, first at start, then on each SIGUSR2.
 * Usage: flow.ts <address> <port>.
 */
import { createSocket } from 'node:dgram';

const [address = '', port = '0'] = process.argv.slice(2);
const attempts = 5;
const attemptMs = 200;
const socket = createSocket('udp4');

function ask(left: number): void {
  const timer = setTimeout(() => {
    socket.removeAllListeners('message');
    if (left > 1) ask(left - 1);
    else process.stdout.write('nobody\n');
  }, attemptMs);
  socket.once('message', (data) => {
    clearTimeout(timer);
    process.stdout.write(`${data.toString().split(' ')[0]}\n`);
  });
  socket.send('who\n', Number(port), address);
}

socket.bind(0, () => ask(attempts));
process.on('SIGUSR2', () => ask(attempts));
