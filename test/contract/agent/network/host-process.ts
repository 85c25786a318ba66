/** An agent's network in a process of its own, inside the host's network namespace; calls come and answers go by IPC. */
import { setImmediate } from 'node:timers/promises';
import { LinuxPodNetwork } from '../../../../agent/network/linux.ts';
import type { PodNetwork } from '../../../../agent/network/port.ts';
import { silentLog } from '../../../../lib/log.ts';
import { TsorchError } from '../../../../model/errors.ts';

export interface Call {
  readonly id: number;
  readonly method: keyof PodNetwork | 'churn';
  readonly argument: unknown;
}

export interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: { readonly code: string; readonly message: string; readonly hint: string | undefined };
}

const network = new LinuxPodNetwork({ log: silentLog, netnsDir: process.argv[2] ?? '' });

// The test was killed: nobody else would end this process.
process.on('disconnect', () => process.exit());

process.on('message', (call: Call) => {
  run(call).then(
    (result) => process.send?.({ id: call.id, result } satisfies Answer),
    (error: unknown) => process.send?.({
      id: call.id,
      error: error instanceof TsorchError ? { code: error.code, message: error.message, hint: error.hint } : { code: 'thrown', message: String(error), hint: undefined },
    } satisfies Answer),
  );
});

async function run({ method, argument }: Call): Promise<unknown> {
  if (method !== 'churn') return (network[method] as (a: unknown) => Promise<unknown>).call(network, argument);
  // Attaches and detaches until killed, in the midst of either.
  const pods = argument as readonly { id: string; ip: string }[];
  process.send?.({ id: -1 } satisfies Answer);
  for (;;) {
    for (const pod of pods) await network.attach(pod);
    for (const pod of pods) await network.detach(pod.id);
    // Nothing above need wait for anything, and the end of the test must be noticed.
    await setImmediate();
  }
}
