/** `logs`: what pods wrote, of one, of a service's or of a whole stack, merged. */
import { Option, type Command } from 'commander';
import { linesOf } from '../../model/log-chunk.ts';
import { readLogs } from '../client/logs.ts';
import { UsageError } from '../exit.ts';
import { note, wantsColor, writeTo, type Io } from '../io.ts';
import { painter } from '../output/color.ts';
import { logWriter } from '../output/log-writer.ts';
import { parseMoment } from '../output/values.ts';
import { command, withClient, type GlobalOptions } from './command.ts';

interface LogsOptions extends GlobalOptions {
  readonly follow: boolean;
  readonly tail: string;
  readonly since?: string;
  readonly until?: string;
  readonly timestamps: boolean;
  readonly container?: string;
  readonly previous: boolean;
  readonly attempt?: string;
  readonly stdout?: boolean;
  readonly stderr?: boolean;
  readonly prefix: boolean;
  readonly format: 'text' | 'json';
}

export function logsCommand(io: Io): Command {
  return command('logs', 'show what pods wrote', [
    'tsorch logs voting_vote', 'tsorch logs -f --tail 20 voting', 'tsorch logs --since 10m -t voting_vote.1', 'tsorch logs -c migrate voting_vote.1', 'tsorch logs --previous voting_vote   # of the attempt that ended last', 'tsorch logs --attempt 3 voting_vote.1   # of the third time it was started',
    'tsorch logs voting_db --stderr --since 2026-01-31T12:00:00Z --format json',
  ])
    .argument('<target...>', 'stacks, services (STACK_SERVICE) or pods (STACK_SERVICE.SLOT)')
    .option('-c, --container <name>', 'one container of pods that have several, or an init container')
    .option('-p, --previous', 'the attempt before the one that runs, or the last when none does', false)
    .option('--attempt <number>', 'an earlier attempt by its number; the last five are kept')
    .option('-f, --follow', 'go on as they write', false)
    .option('-n, --tail <lines>', 'only the last lines of each pod', 'all')
    .option('--since <time>', 'only later than this: 10m, 2026-01-31T12:00:00Z, seconds since 1970')
    .option('--until <time>', 'only earlier than this')
    .option('-t, --timestamps', 'show when', false)
    .option('--stdout', 'only what they wrote to standard output')
    .option('--stderr', 'only what they wrote to standard error')
    .option('--no-prefix', 'do not show which pod')
    .addOption(new Option('--format <format>', 'how to answer').choices(['text', 'json']).default('text'))
    .action((target: string[], options: LogsOptions) => {
      if (options.previous && options.attempt !== undefined) throw new UsageError('--previous and --attempt are two ways to say which: leave one of them away');
      if (options.follow && (options.previous || options.attempt !== undefined)) throw new UsageError(`--follow does not go with --${options.previous ? 'previous' : 'attempt'}: what is over does not go on`);
      const request = {
        target,
        container: options.container,
        previous: options.previous ? (true as const) : undefined,
        attempt: options.attempt === undefined ? undefined : parseAttempt(options.attempt),
        follow: options.follow,
        tail: parseTail(options.tail),
        since: options.since === undefined ? undefined : parseMoment(options.since, io.now()),
        until: options.until === undefined ? undefined : parseMoment(options.until, io.now()),
        // Both is what there is without either.
        stream: options.stdout === options.stderr ? undefined : options.stdout ? ('stdout' as const) : ('stderr' as const),
      };
      const paint = painter(wantsColor(io, io.stderr));
      const say = (words: string) => note(io, paint('dim', `[tsorch] ${words}`));
      const write = logWriter(io, { timestamps: options.timestamps, pods: options.prefix && (target.length > 1 || !/\.[^.]+$/.test(target[0] ?? '')), containers: options.prefix && options.container === undefined });
      return withClient(io, options, async (client) => {
        for await (const chunk of readLogs(client, request, say, io.signal)) {
          if (options.format === 'json') await writeTo(io.stdout, linesOf(chunk).map((line) => `${JSON.stringify(line)}\n`).join(''), io.signal);
          else await write(chunk);
        }
      });
    });
}

function parseAttempt(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new UsageError(`--attempt ${text}: write a number, 1 for the first time it was started`);
  return Number(text);
}

function parseTail(text: string): number | undefined {
  if (text === 'all' || text === '-1') return undefined;
  if (!/^\d+$/.test(text)) throw new UsageError(`--tail ${text}: write a number of lines, or all`);
  return Number(text);
}
