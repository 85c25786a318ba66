/** Plain TCP between the namespaces of two hosts, by busybox's nc: what any transfer is measured against. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { run } from '../../cluster/lib/tsorch.ts';

export interface Wire {
  /** Namespaces by path. */
  readonly from: string;
  readonly to: string;
  /** Of the receiver. */
  readonly address: string;
  readonly port: number;
}

/** Shell commands: what `produce` prints is what `consume` reads, each with `argument` as `$1`. Rejects when either fails. */
export async function overWire({ from, to, address, port }: Wire, produce: readonly [command: string, argument: string], consume: readonly [command: string, argument: string]): Promise<void> {
  // Its input stays open: at the end of that nc ends too.
  const receiver = spawn('nsenter', [`--net=${to}`, 'sh', '-c', `busybox nc -l -p ${port} | ${consume[0]}`, 'sh', consume[1]], { stdio: ['pipe', 'ignore', 'inherit'] });
  const over = once(receiver, 'exit') as Promise<[number | null]>;
  // Until it listens (state 0A).
  await sh(`for i in $(seq 500); do busybox grep -q ':${port.toString(16).toUpperCase().padStart(4, '0')} [0-9A-F:]* 0A' /proc/net/tcp /proc/net/tcp6 && exit; busybox sleep 0.01; done; exit 1`, to);
  await sh(`${produce[0]} | busybox nc ${address} ${port}`, from, produce[1]);
  const [code] = await over;
  if (code !== 0) throw new Error(`${consume[0]} ended with ${String(code)}`);
}

async function sh(script: string, netns: string, argument = ''): Promise<void> {
  const { code, stderr } = await run('nsenter', [`--net=${netns}`, 'sh', '-c', script, 'sh', argument]);
  if (code !== 0) throw new Error(`${script} ended with ${code}: ${stderr}`);
}
