/** Holds one connection: prints `open` when it works, and on SIGUSR2 `still open` or why not. Usage: holder.ts <address> <port>. */
import { connect } from 'node:net';

const [address = '', port = '0'] = process.argv.slice(2);
let expecting = 'open';
const socket = connect({ host: address, port: Number(port) }, () => socket.write('hold\n'));
socket.on('data', () => process.stdout.write(`${expecting}\n`));
socket.on('error', (error) => process.stdout.write(`${error.message}\n`));
process.on('SIGUSR2', () => {
  expecting = 'still open';
  socket.write('hold\n');
});
