/** `exec`: runs a command in a running pod. */
import type { Command } from 'commander';
import { runExec } from '../client/exec.ts';
import { resolveMaster } from '../context/resolve.ts';
import { ExitError, UsageError } from '../exit.ts';
import type { Io } from '../io.ts';
import { collect, command, type GlobalOptions } from './command.ts';

interface ExecOptions extends GlobalOptions {
  readonly container?: string;
  readonly interactive: boolean;
  readonly tty: boolean;
  readonly user?: string;
  readonly env?: readonly string[];
  readonly workdir?: string;
}

export function execCommand(io: Io): Command {
  return command('exec', 'run a command in a pod', ['tsorch exec -it voting_vote.1 -- sh', 'tsorch exec voting_db -- psql -U postgres -c "select 1"', 'tar c . | tsorch exec -i voting_vote -- tar x -C /tmp'])
    .argument('<target>', 'a service (STACK_SERVICE), one pod (STACK_SERVICE.SLOT) or a pod\'s id')
    .argument('<command...>', 'after --, what to run')
    .option('-c, --container <name>', 'which container of a pod that has several')
    .option('-i, --interactive', 'give it our standard input', false)
    .option('-t, --tty', 'give it a terminal', false)
    .option('-u, --user <user>', 'run as USER[:GROUP]')
    .option('-e, --env <key=value>', 'set a variable, or pass ours on (KEY); may be repeated', collect)
    .option('-w, --workdir <dir>', 'where to run')
    // Options after the target are the command's own, with or without --.
    .passThroughOptions()
    .action(async (target: string, words: string[], options: ExecOptions) => {
      const argv = words[0] === '--' ? words.slice(1) : words;
      if (argv.length === 0) throw new UsageError('what shall run? write tsorch exec TARGET -- COMMAND');
      if (options.tty && options.interactive && !io.stdin.isTTY) {
        throw new UsageError('-t needs a terminal, and standard input is not one; leave -t away');
      }
      const context = await resolveMaster(options, io.env);
      const query = {
        target,
        ...(options.container ? { container: options.container } : {}),
        argv,
        env: environment(options.env ?? [], io),
        tty: options.tty,
        stdin: options.interactive,
        ...(options.user ? { user: options.user } : {}),
        ...(options.workdir ? { workingDir: options.workdir } : {}),
      };
      const raw = options.tty && options.interactive;
      if (raw) io.stdin.setRawMode?.(true);
      try {
        const code = await runExec(context, query, {
          stdout: io.stdout,
          stderr: io.stderr,
          ...(options.interactive ? { stdin: io.stdin } : {}),
          ...(options.tty ? { size: () => ({ width: io.stdout.columns ?? 80, height: io.stdout.rows ?? 24 }), onResize: (listener) => onResize(io, listener) } : {}),
        }, io.signal);
        if (code !== 0) throw new ExitError(code);
      } finally {
        if (raw) io.stdin.setRawMode?.(false);
      }
    });
}

/** `-e KEY` alone passes our own variable on, as docker does; one we do not have is left out. */
function environment(words: readonly string[], io: Io): Record<string, string> {
  const result: Record<string, string> = {};
  for (const word of words) {
    const at = word.indexOf('=');
    const key = at < 0 ? word : word.slice(0, at);
    if (!key) throw new UsageError(`-e ${word}: write KEY=VALUE or KEY`);
    const value = at < 0 ? io.env[word] : word.slice(at + 1);
    if (value !== undefined) result[key] = value;
  }
  return result;
}

function onResize(io: Io, listener: () => void): () => void {
  io.stdout.on('resize', listener);
  return () => io.stdout.off('resize', listener);
}
