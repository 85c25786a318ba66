/** A client inside a container that works until it is told to stop. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from '../../cluster/lib/tsorch.ts';
import type { Lab } from './lab.ts';

export interface Knocks {
  readonly sent: number;
  readonly failures: readonly { readonly at: number; readonly until: number; readonly error: string }[];
}

/** Connects from a pod to `host:port` every `pauseMs`. Resolves when the first connection is about to be made. */
export async function startKnocking(lab: Lab, pod: string, host: string, port: number, pauseMs: number): Promise<{ stop(): Promise<Knocks> }> {
  const child = spawn(join(root, 'bin/tsorch'), ['exec', '-i', pod, '--', 'python3', '-S', '/knocker.py', host, String(port), String(pauseMs / 1000)], {
    env: { ...process.env, TSORCH_CONFIG: join(lab.cluster.dir, 'context.json') }, stdio: ['pipe', 'pipe', 'pipe'],
  });
  let text = '';
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  child.stdin.on('error', () => {});
  const done = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.startsWith('ready')) resolve();
    });
    void done.then(() => reject(new Error(`the client in ${pod} ended: ${errors}${text}`)));
  });
  return {
    async stop() {
      child.stdin.end('\n');
      const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
      await done;
      clearTimeout(timer);
      const line = text.split('\n').find((each) => each.startsWith('{'));
      if (line === undefined) throw new Error(`the client in ${pod} said nothing: ${errors}`);
      return JSON.parse(line) as Knocks;
    },
  };
}
