/** `services`, `scale`, `rollback`, `restart`. */
import type { Command } from 'commander';
import type { ServiceListItem } from '../../model/api.ts';
import { segment } from '../client.ts';
import { UsageError } from '../exit.ts';
import { print, type Io } from '../io.ts';
import { showList } from '../output/format.ts';
import { addWaitOptions, waitOptions, waitForServices, type WaitOptions } from '../wait/services.ts';
import { command, formatOption, withClient, type FormatOptions } from './command.ts';
import { serviceColumns } from './lists.ts';

export function servicesCommand(io: Io): Command {
  return command('services', 'list services', ['tsorch services', 'tsorch services voting --format json'])
    .argument('[stack]')
    .addOption(formatOption())
    .action((stack: string | undefined, options: FormatOptions) =>
      withClient(io, options, async (client) => showList(io, options.format, await client.get<ServiceListItem[]>('/v1/services', { stack }), serviceColumns)),
    );
}

export function scaleCommand(io: Io): Command {
  const scale = command('scale', 'set how many pods a service has', ['tsorch scale voting_vote=5', 'tsorch scale voting_vote=3 voting_worker=2 --wait']).argument('<service=count...>');
  return addWaitOptions(scale).action(async (words: string[], options: WaitOptions) => {
    const wanted = words.map(parseScale);
    await withClient(io, options, async (client) => {
      const services: ServiceListItem[] = [];
      for (const { id, replicas } of wanted) {
        services.push(await client.json<ServiceListItem>('POST', `/v1/services/${segment(id)}/scale`, { body: { replicas } }));
        print(io, `${id} scaled to ${replicas}`);
      }
      if (options.wait) await waitForServices(io, client, services.map((service) => service.id), waitOptions(options));
    });
  });
}

function parseScale(word: string): { readonly id: string; readonly replicas: number } {
  const match = /^(.+)=(\d{1,6})$/.exec(word);
  if (!match?.[1]) throw new UsageError(`'${word}' does not say how many; write SERVICE=COUNT, for example voting_vote=3`);
  return { id: match[1], replicas: Number(match[2]) };
}

export function rollbackCommand(io: Io): Command {
  return changeCommand(io, 'rollback', 'go back to the service\'s previous version', 'is going back to its previous version');
}

export function restartCommand(io: Io): Command {
  return changeCommand(io, 'restart', 'replace a service\'s pods, by its update rules', 'is being restarted');
}

function changeCommand(io: Io, verb: 'rollback' | 'restart', description: string, says: string): Command {
  const change = command(verb, description, [`tsorch ${verb} voting_vote --wait`]).argument('<service...>');
  return addWaitOptions(change).action((ids: string[], options: WaitOptions) =>
    withClient(io, options, async (client) => {
      for (const id of ids) {
        await client.json<ServiceListItem>('POST', `/v1/services/${segment(id)}/${verb}`, { body: {} });
        print(io, `${id} ${says}`);
      }
      if (options.wait) await waitForServices(io, client, ids, waitOptions(options));
    }),
  );
}
