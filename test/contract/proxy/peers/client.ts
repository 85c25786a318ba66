/**
 * Asks many times and prints `{ answers: { name: count }, errors: { code: count }, peers: [], clients: [] }`.
 * Usage: client.ts tcp|udp <address> <port> <count> [<parallel> [<local address>]].
 */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';

const [kind = 'tcp', address = '', port = '0', count = '1', parallel = '1', localAddress] = process.argv.slice(2);
const answers: Record<string, number> = {};
const errors: Record<string, number> = {};
const peers = new Set<string>();
const clients = new Set<string>();
const add = (into: Record<string, number>, key: string) => { into[key] = (into[key] ?? 0) + 1; };
const take = (text: string) => {
  const [name = '', client = ''] = text.trim().split(' ');
  add(answers, name);
  clients.add(client);
};
const patienceMs = 3000;

function overTcp(): Promise<void> {
  return new Promise((resolve) => {
    let text = '';
    let failed = false;
    const socket = connect({ host: address, port: Number(port), ...(localAddress === undefined ? {} : { localAddress }) }, () => {
      peers.add(`${socket.remoteAddress}:${socket.remotePort}`);
      socket.write('who\n');
    });
    const fail = (code: string) => {
      if (!failed) add(errors, code);
      failed = true;
      socket.destroy();
    };
    socket.setTimeout(patienceMs, () => fail('timeout'));
    socket.on('data', (data) => { text += data.toString(); });
    socket.on('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
    socket.on('close', () => {
      if (text) take(text);
      else fail('empty');
      resolve();
    });
  });
}

function overUdp(): Promise<void> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    const end = () => {
      clearTimeout(timer);
      socket.close();
      resolve();
    };
    const timer = setTimeout(() => {
      add(errors, 'timeout');
      end();
    }, patienceMs);
    socket.on('message', (data, from) => {
      peers.add(`${from.address}:${from.port}`);
      take(data.toString());
      end();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      add(errors, error.code ?? error.message);
      end();
    });
    socket.send('who\n', Number(port), address, (error) => {
      if (!error) return;
      add(errors, (error as NodeJS.ErrnoException).code ?? error.message);
      end();
    });
  });
}

let left = Number(count);
await Promise.all(Array.from({ length: Number(parallel) }, async () => {
  while (left-- > 0) await (kind === 'udp' ? overUdp() : overTcp());
}));
process.stdout.write(`${JSON.stringify({ answers, errors, peers: [...peers], clients: [...clients] })}\n`);
