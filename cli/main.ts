/** The entry point: wires the process to `run`. */
import { readableTrace } from '../deploy/compiled/trace.ts';
import { exitCode } from './exit.ts';
import { run } from './run.ts';

const interrupt = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // The second one does not wait for anything.
    if (interrupt.signal.aborted) process.exit(exitCode.interrupted);
    interrupt.abort(new Error(signal));
  });
}
// `tsorch logs | head`: the reader has seen enough.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? exitCode.done : exitCode.failed));
}

// Node prints it as well, but where in the compiled copy it was.
process.on('uncaughtExceptionMonitor', (error) => {
  const trace = readableTrace(error.stack ?? '');
  if (trace !== error.stack) process.stderr.write(`${trace}\n`);
});

// Not awaited at the top level: in the compiled copy, parts that are loaded later import this file, and would wait for its end.
void run(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  cwd: process.cwd(),
  now: () => Date.now(),
  signal: interrupt.signal,
}).then((code) => process.exit(code));
