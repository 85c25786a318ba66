/** `logs`: lines of one pod, of a service's pods or of a whole stack, merged. */
import type { Command } from 'commander';
import type { LogLine } from '../../model/api.ts';
import { UsageError } from '../exit.ts';
import { wantsColor, type Io } from '../io.ts';
import { painter, styleOf } from '../output/color.ts';
import { parseMoment } from '../output/values.ts';
import { command, withClient, type GlobalOptions } from './command.ts';

interface LogsOptions extends GlobalOptions {
  readonly container?: string;
  readonly previous: boolean;
  readonly follow: boolean;
  readonly tail: string;
  readonly since?: string;
  readonly until?: string;
  readonly timestamps: boolean;
  readonly prefix: boolean;
}

export function logsCommand(io: Io): Command {
  return command('logs', 'show what pods wrote', ['tsorch logs voting_vote', 'tsorch logs -f --tail 20 voting', 'tsorch logs --since 10m -t voting_vote.1', 'tsorch logs -c migrate voting_vote.1', 'tsorch logs --previous voting_vote   # of the attempt that ended last'])
    .argument('<target>', 'a stack, a service (STACK_SERVICE) or one pod (STACK_SERVICE.SLOT)')
    .option('-c, --container <name>', 'one container of pods that have several, or an init container')
    .option('-p, --previous', 'the attempt before the one that runs, or the last when none does', false)
    .option('-f, --follow', 'go on as they write', false)
    .option('-n, --tail <lines>', 'only the last lines of each pod', 'all')
    .option('--since <time>', 'only later than this: 10m, 2026-01-31T12:00:00Z')
    .option('--until <time>', 'only earlier than this')
    .option('-t, --timestamps', 'show when', false)
    .option('--no-prefix', 'do not show which pod')
    .action((target: string, options: LogsOptions) => {
      const query = {
        target,
        container: options.container,
        previous: options.previous ? true : undefined,
        follow: options.follow ? true : undefined,
        tail: parseTail(options.tail),
        since: options.since === undefined ? undefined : parseMoment(options.since, io.now()),
        until: options.until === undefined ? undefined : parseMoment(options.until, io.now()),
        timestamps: options.timestamps ? true : undefined,
      };
      const write = lineWriter(io, { timestamps: options.timestamps, pods: options.prefix && !/\.[^.]+$/.test(target), containers: options.prefix && options.container === undefined });
      return withClient(io, options, async (client) => {
        for await (const line of client.lines<LogLine>('/v1/logs', query)) await write(line);
      });
    });
}

function parseTail(text: string): number | undefined {
  if (text === 'all') return undefined;
  if (!/^\d+$/.test(text)) throw new UsageError(`--tail ${text}: write a number of lines, or all`);
  return Number(text);
}

export interface LineOptions {
  readonly timestamps: boolean;
  /** Say which pod, and which container of one that has several. */
  readonly pods: boolean;
  readonly containers: boolean;
}

/**
 * The bytes of one container alone come out as they went in; lines of several get the pod's or the container's name in front. What was
 * written to stderr goes to stderr. Pieces of an overlong line are put together again.
 */
export function lineWriter(io: Io, options: LineOptions): (line: LogLine) => Promise<void> {
  const open = new Set<string>();
  let widest = 0;
  return async (line) => {
    const stream = line.stream === 'stderr' ? io.stderr : io.stdout;
    const paint = painter(wantsColor(io, stream));
    const name = [options.pods ? line.pod : '', options.containers ? (line.container ?? '') : ''].filter(Boolean).join(' ');
    const prefix = name !== '';
    const key = `${line.podId} ${line.container ?? ''} ${line.stream}`;
    let head = '';
    // With prefixes, lines of others may come between the pieces: each piece is then a line of its own.
    if (prefix || !open.has(key)) {
      widest = Math.max(widest, name.length);
      if (prefix) head = `${paint(styleOf(name), `${name.padEnd(widest)} |`)} `;
      if (options.timestamps) head += `${paint('dim', new Date(line.time).toISOString())} `;
    }
    const whole = prefix || !line.partial;
    if (line.partial) open.add(key);
    else open.delete(key);
    if (!stream.write(`${head}${line.line}${whole ? '\n' : ''}`)) await new Promise<void>((resolve) => void stream.once('drain', resolve));
  };
}
