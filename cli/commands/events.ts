/** `events`: what happened, and with -f what happens. */
import type { Command } from 'commander';
import type { EventItem } from '../../model/api.ts';
import { print, wantsColor, type Io } from '../io.ts';
import { painter, plain } from '../output/color.ts';
import { showList } from '../output/format.ts';
import { command, formatOption, withClient, type FormatOptions } from './command.ts';
import { eventColumns } from './lists.ts';

export function eventsCommand(io: Io): Command {
  return command('events', 'what happened in the cluster', ['tsorch events', 'tsorch events -f'])
    .option('-f, --follow', 'go on as they happen', false)
    .addOption(formatOption())
    .action((options: FormatOptions & { readonly follow: boolean }) =>
      withClient(io, options, async (client) => {
        if (!options.follow) return showList(io, options.format, await client.get<EventItem[]>('/v1/events'), eventColumns);
        const paint = painter(wantsColor(io));
        for await (const event of client.events<EventItem>('/v1/events', { follow: true })) {
          // Followed events are a stream: one JSON value per line, whatever the format's usual shape.
          if (options.format === 'table') print(io, `${paint('dim', new Date(event.at).toISOString())}  ${paint('cyan', plain(event.subject))}  ${plain(event.message)}`);
          else print(io, JSON.stringify(event));
        }
      }),
    );
}
