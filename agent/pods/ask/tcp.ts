/** A TCP probe: whoever takes the connection is well. */
import type { CheckResult } from '../step/types.ts';
import { dial, type Place } from './place.ts';

export function askTcp({ port }: { readonly port: number }, place: Place, signal: AbortSignal, noAnswer: string): Promise<CheckResult> {
  return new Promise((resolve) => {
    const socket = dial(place, port);
    const finish = (result: CheckResult) => {
      signal.removeEventListener('abort', late);
      socket.destroy();
      resolve(result);
    };
    const late = () => finish({ passed: false, output: noAnswer });
    signal.addEventListener('abort', late, { once: true });
    socket.once('connect', () => finish({ passed: true, output: '' }));
    socket.on('error', (error) => finish({ passed: false, output: error.message }));
  });
}
