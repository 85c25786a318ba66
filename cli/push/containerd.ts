/** containerd on this machine, by its own `ctr`: which images it has, and their archives. */
import { spawn } from 'node:child_process';
import { access } from 'node:fs/promises';
import { TsorchError } from '../../model/errors.ts';

export interface Ctr {
  /** The first of the namespaces that has it; null when none has. Throws `unavailable` when there is no `ctr` or it gets no answer. */
  find(reference: string, signal?: AbortSignal): Promise<{ readonly namespace: string } | null>;
  /** As `ctr images export - REFERENCE`. */
  save(namespace: string, reference: string, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

const usualAddress = '/run/containerd/containerd.sock';

export function openCtr(env: Readonly<Record<string, string | undefined>>): Ctr {
  const address = env['CONTAINERD_ADDRESS'] || usualAddress;
  const base = ['--address', address, '--connect-timeout', '5s'];
  // nerdctl's, Docker's and Kubernetes', unless somebody says.
  const namespaces = env['CONTAINERD_NAMESPACE'] ? [env['CONTAINERD_NAMESPACE']] : ['default', 'moby', 'k8s.io'];
  return {
    async find(reference, signal) {
      // `ctr` would wait for it.
      await access(address).catch((cause: Error) => {
        throw new TsorchError('unavailable', `there is no containerd at ${address}`, { cause });
      });
      for (const namespace of namespaces) {
        const listed = await collect(run(env, [...base, '--namespace', namespace, 'images', 'ls', '-q', `name==${reference}`], signal));
        if (listed.split('\n').includes(reference)) return { namespace };
      }
      return null;
    },
    save: (namespace, reference, signal) => run(env, [...base, '--namespace', namespace, 'images', 'export', '-', reference], signal),
  };
}

/** Standard output as it comes; ends in an error when the program does. */
async function* run(env: Readonly<Record<string, string | undefined>>, args: readonly string[], signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const child = spawn('ctr', args, { env: { ...env }, stdio: ['ignore', 'pipe', 'pipe'], ...(signal ? { signal } : {}) });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = `${said}${chunk.toString('utf8')}`.slice(-2000);
  });
  const end = new Promise<{ readonly code: number | null; readonly error?: Error }>((resolve) => {
    child.once('error', (error) => resolve({ code: null, error }));
    child.once('close', (code) => resolve({ code }));
  });
  try {
    yield* child.stdout as AsyncIterable<Buffer>;
    const { code, error } = await end;
    if (error) throw new TsorchError('unavailable', `ctr cannot be run: ${error.message}`, { cause: error });
    if (code !== 0) throw new TsorchError('unavailable', `containerd at ${args[1]}: ${said.trim().split('\n').at(-1)?.replace(/^ctr: /, '') || `ctr ended with ${code}`}`);
  } finally {
    child.kill();
  }
}

async function collect(data: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of data) parts.push(part);
  return Buffer.concat(parts).toString('utf8');
}
