/** Runs a health check once inside its container. */
import type { Clock } from '../../lib/clock.ts';
import { describeError, isCode } from '../../model/errors.ts';
import type { Healthcheck } from '../../model/spec.ts';
import type { ExecProcess, Runtime } from '../runtime/port.ts';
import type { ProbeResult } from './step/health.ts';

const outputBytes = 300;
const killed = 9;

/** null when it could not be run for a reason that is not the container's: the runtime is away. */
export async function runProbe(runtime: Pick<Runtime, 'exec'>, id: string, check: Healthcheck, clock: Clock, signal: AbortSignal): Promise<ProbeResult | null> {
  const { test } = check;
  if (test.kind === 'none') return { passed: true, output: '' };
  const argv = test.kind === 'shell' ? ['/bin/sh', '-c', test.command] : test.argv;
  const timeout = new AbortController();
  const stop = () => timeout.abort();
  signal.addEventListener('abort', stop, { once: true });
  let running: ExecProcess | undefined;
  let late = false;
  const kill = () => void running?.kill(killed).catch(() => {});
  try {
    const work = (async (): Promise<ProbeResult> => {
      running = await runtime.exec(id, { argv, env: {}, tty: false, stdin: false });
      if (late) kill();
      const output = collect(running);
      const { code } = await running.exit;
      return { passed: code === 0, output: code === 0 ? '' : output() || `exit code ${code}` };
    })();
    work.catch(() => {});
    const expired = clock.sleep(check.timeoutMs, timeout.signal).then((): ProbeResult => ({ passed: false, output: `no answer in ${check.timeoutMs} ms` }));
    expired.catch(() => {});
    const result = await Promise.race([work, expired]);
    return result;
  } catch (error) {
    if (signal.aborted || isCode(error, 'unavailable') || isCode(error, 'aborted')) return null;
    return { passed: false, output: describeError(error) };
  } finally {
    late = true;
    signal.removeEventListener('abort', stop);
    timeout.abort();
    // Harmless when it has ended by itself.
    kill();
  }
}

/** The end of what it prints, as one line. */
function collect(process: ExecProcess): () => string {
  let text = '';
  for (const stream of [process.stdout, process.stderr]) {
    stream?.on('data', (data: Buffer) => {
      text = (text + data.toString()).slice(-outputBytes);
    });
    stream?.on('error', () => {});
  }
  return () => text.replaceAll(/\s+/g, ' ').trim();
}
