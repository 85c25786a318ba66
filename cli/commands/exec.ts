/** `exec`: runs a command in a running pod. */
import type { Command } from 'commander';
import type { ExecQuery } from '../../model/api.ts';
import { Channel } from '../client/channel.ts';
import { resolveMaster } from '../context/resolve.ts';
import { ExitError, UsageError } from '../exit.ts';
import { note, type Io } from '../io.ts';
import { defaultDetachKeys, parseDetachKeys } from '../terminal/detach-keys.ts';
import { interact, outputTo } from '../terminal/interact.ts';
import { collect, command, type GlobalOptions } from './command.ts';

interface ExecOptions extends GlobalOptions {
  readonly container?: string;
  readonly interactive: boolean;
  readonly tty: boolean;
  readonly detach: boolean;
  readonly detachKeys: string;
  readonly user?: string;
  readonly env?: readonly string[];
  readonly workdir?: string;
  readonly privileged: boolean;
}

export function execCommand(io: Io): Command {
  return command('exec', 'run a command in a pod', [
    'tsorch exec -it voting_vote.1 -- sh', 'tsorch exec voting_db -- psql -U postgres -c "select 1"', 'tar c . | tsorch exec -i voting_vote -- tar x -C /tmp', 'tsorch exec -d voting_worker -- /usr/bin/vacuum',
  ])
    .argument('<target>', 'a service (STACK_SERVICE), one pod (STACK_SERVICE.SLOT) or a pod\'s id')
    .argument('<command...>', 'after --, what to run')
    .option('-c, --container <name>', 'which container of a pod that has several')
    .option('-i, --interactive', 'give it our standard input', false)
    .option('-t, --tty', 'give it a terminal', false)
    .option('-d, --detach', 'start it and leave it to itself', false)
    .option('-u, --user <user>', 'run as USER[:GROUP]')
    .option('-e, --env <key=value>', 'set a variable, or pass ours on (KEY); may be repeated', collect)
    .option('-w, --workdir <dir>', 'where to run')
    .option('--privileged', 'with all capabilities', false)
    .option('--detach-keys <keys>', 'keys that leave it running', defaultDetachKeys)
    // Options after the target are the command's own, with or without --.
    .passThroughOptions()
    .action(async (target: string, words: string[], options: ExecOptions) => {
      const argv = words[0] === '--' ? words.slice(1) : words;
      if (argv.length === 0) throw new UsageError('what shall run? write tsorch exec TARGET -- COMMAND');
      if (options.tty && options.interactive && !options.detach && !io.stdin.isTTY) {
        throw new UsageError('-t needs a terminal, and standard input is not one; leave -t away');
      }
      const detachKeys = parseDetachKeys(options.detachKeys);
      const context = await resolveMaster(options, io.env);
      const stdin = options.interactive && !options.detach;
      const query: ExecQuery = {
        target,
        ...(options.container ? { container: options.container } : {}),
        argv,
        env: environment(options.env ?? [], io),
        tty: options.tty,
        stdin,
        ...(options.user ? { user: options.user } : {}),
        ...(options.workdir ? { workingDir: options.workdir } : {}),
        ...(options.privileged ? { privileged: true } : {}),
        ...(options.detach ? { detach: true } : {}),
      };
      const channel = new Channel(context, '/v1/exec', query, { output: outputTo(io) });
      await channel.opened;
      const outcome = await interact(io, channel, { stdin, tty: options.tty && !options.detach, signals: true, detachKeys });
      if (outcome.kind === 'detached') note(io, `\r\n${argv[0]} goes on in ${target}`);
      else if (outcome.code !== 0) throw new ExitError(outcome.code);
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
