/** `ls` and `rm`. */
import type { Command } from 'commander';
import type { PodListItem, RemoveResult, StackListItem } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import { segment } from '../client.ts';
import { exitCode, ExitError } from '../exit.ts';
import { note, print, type Io } from '../io.ts';
import { showList, showValue } from '../output/format.ts';
import { formatElapsed, parseDuration } from '../output/values.ts';
import { deadlineOf } from '../wait/deadline.ts';
import { command, formatOption, withClient, type FormatOptions } from './command.ts';
import { stackColumns } from './lists.ts';

export function lsCommand(io: Io): Command {
  return command('ls', 'list stacks', ['tsorch ls', 'tsorch ls --format json'])
    .addOption(formatOption())
    .action((options: FormatOptions) =>
      withClient(io, options, async (client) => showList(io, options.format, await client.get<StackListItem[]>('/v1/stacks'), stackColumns)),
    );
}

interface RemoveOptions extends FormatOptions {
  readonly volumes: boolean;
  readonly wait: boolean;
  readonly timeout: string;
}

export function rmCommand(io: Io): Command {
  return command('rm', 'remove stacks: their services, pods and networks', ['tsorch rm voting', 'tsorch rm voting --volumes   # and the data in its volumes'])
    .argument('<stack...>')
    .option('--volumes', 'remove the stack\'s volumes and the data in them too', false)
    .option('--no-wait', 'do not wait until the pods are gone')
    .option('--timeout <time>', 'how long to wait', '2m')
    .addOption(formatOption())
    .action(async (stacks: string[], options: RemoveOptions) => {
      const timeoutMs = parseDuration(options.timeout);
      await withClient(io, options, async (client) => {
        const started = io.now();
        const deadline = deadlineOf(timeoutMs, io.signal);
        for (const stack of stacks) {
          const result = await client.json<RemoveResult>('DELETE', `/v1/stacks/${segment(stack)}`, { query: { volumes: options.volumes ? true : undefined } });
          if (options.format === 'table') {
            for (const service of result.services) print(io, `service ${service} removed`);
            for (const volume of result.volumes) print(io, `volume ${volume} removed`);
          } else {
            showValue(io, options.format, result);
          }
          if (!options.wait) continue;
          const left = await deadline.until(async () => {
            const pods = await client.get<PodListItem[]>('/v1/pods', { stack }).catch((error: unknown) => {
              if (error instanceof TsorchError && error.code === 'not-found') return [];
              throw error;
            });
            return pods.length === 0 ? { done: true } : { done: false, left: pods };
          });
          if (left) {
            note(io, `error: ${left.map((pod) => pod.name).join(', ')} not gone after ${formatElapsed(timeoutMs)}; see \`tsorch ps ${stack}\``);
            throw new ExitError(exitCode.timeout);
          }
          if (options.format === 'table') print(io, `stack ${stack} removed in ${formatElapsed(io.now() - started)}`);
        }
      });
    });
}
