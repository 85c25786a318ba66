/** Runs a command in a container to its end: what exec probes, health checks and hooks have in common. */
import { describeError, isCode } from '../../../model/errors.ts';
import type { ExecProcess, ExecRequest, Runtime } from '../../runtime/port.ts';

const outputBytes = 300;
const killed = 9;

export interface CommandResult {
  /** null when it was not run, or not to its end. */
  readonly code: number | null;
  /** The end of what it printed as one line, or why it has no code. */
  readonly output: string;
}

/**
 * When the signal fires the process is killed, and the answer is `late`. null when it could not be run for a
 * reason that is not the command's: the runtime is away, or the container has just ended.
 */
export async function runCommand(runtime: Pick<Runtime, 'exec'>, id: string, request: ExecRequest, signal: AbortSignal, late: string): Promise<CommandResult | null> {
  let running: ExecProcess | undefined;
  const kill = () => void running?.kill(killed).catch(() => {});
  const fired = new Promise<CommandResult>((resolve) => {
    const fire = () => resolve({ code: null, output: late });
    if (signal.aborted) fire();
    else signal.addEventListener('abort', fire, { once: true });
  });
  const work = (async (): Promise<CommandResult> => {
    running = await runtime.exec(id, request);
    if (signal.aborted) kill();
    const output = collect(running);
    const { code } = await running.exit;
    return { code, output: output() };
  })();
  work.catch(() => {});
  try {
    return await Promise.race([work, fired]);
  } catch (error) {
    const elsewhere = ['unavailable', 'aborted', 'conflict', 'not-found', 'timeout'] as const;
    return elsewhere.some((code) => isCode(error, code)) ? null : { code: null, output: describeError(error) };
  } finally {
    if (signal.aborted) kill();
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
