/** A client outside the cluster: connects again and again, expects one byte. */
import { connect } from 'node:net';

export function startLoad(addresses: readonly string[], port: number, pauseMs: number): { stop(): Promise<{ readonly sent: number; readonly failures: readonly string[] }> } {
  const failures: string[] = [];
  let sent = 0;
  let stopped = false;
  const work = async () => {
    while (!stopped) {
      const address = addresses[sent % addresses.length] ?? '';
      sent++;
      await knock(address, port).catch((error: unknown) => failures.push(`published port: ${(error as Error).message}`));
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  };
  const done = work();
  return {
    async stop() {
      stopped = true;
      await done;
      return { sent, failures };
    },
  };
}

function knock(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    let answered = false;
    socket.setTimeout(2000, () => socket.destroy(new Error('no answer within 2 s')));
    socket.once('data', () => {
      answered = true;
      socket.resetAndDestroy();
    });
    socket.once('error', reject);
    socket.once('close', () => (answered ? resolve() : reject(new Error('closed without an answer'))));
  });
}
