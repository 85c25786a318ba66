/** What `stats` and `top` share: once or live, as a table or for programs. */
import type { Command } from 'commander';
import type { Stats } from '../../model/stats.ts';
import { followStats } from '../client/stats.ts';
import type { Query } from '../client/transport.ts';
import { note, print, wantsColor, type Io } from '../io.ts';
import { painter, plain, type Paint } from '../output/color.ts';
import { showValue } from '../output/format.ts';
import { Screen } from '../output/screen.ts';
import { formatOption, withClient, type FormatOptions } from './command.ts';
import { missing } from './usage.ts';

export interface WatchOptions extends FormatOptions {
  readonly node?: string;
  /** Absent: as long as it is a table on a terminal. */
  readonly stream?: boolean;
}

export interface Shown {
  /** The tables. */
  readonly text: (stats: Stats, paint: Paint) => string;
  /** What programs get. */
  readonly value: (stats: Stats) => unknown;
}

export function addWatchOptions(to: Command): Command {
  return to
    .option('--node <node>', 'only what is on this node')
    // In this order neither is the default.
    .option('--stream', 'reading after reading, also into a pipe: a line of JSON each, or a table each')
    .option('--no-stream', 'one reading, and the end')
    .addOption(formatOption());
}

export function watchStats(io: Io, options: WatchOptions, query: Query, shown: Shown): Promise<void> {
  const asked = { node: options.node, ...query };
  const paint = painter(wantsColor(io));
  const live = io.stdout.isTTY === true && options.format === 'table' && options.stream !== false;
  return withClient(io, options, async (client) => {
    if (!live && options.stream !== true) {
      const stats = await client.get<Stats>('/v1/stats', asked);
      if (options.format === 'table') print(io, shown.text(stats, paint));
      else showValue(io, options.format, shown.value(stats));
      for (const words of missing(stats)) note(io, `${painter(wantsColor(io, io.stderr))('yellow', 'warning:')} ${plain(words)}`);
      return;
    }
    const screen = live ? new Screen(io.stdout) : null;
    let last = '';
    for await (const told of followStats(client, asked, io.signal)) {
      if ('stats' in told) last = shown.text(told.stats, paint);
      if (screen) {
        const below = 'stats' in told ? missing(told.stats) : [`${told.away}; trying again`];
        screen.draw(`${last}${below.map((words) => `${paint('yellow', plain(words))}\n`).join('')}`);
      } else if ('away' in told) note(io, `${plain(told.away)}; trying again`);
      else if (options.format === 'table') print(io, `${last}\n`);
      else print(io, JSON.stringify(shown.value(told.stats)));
    }
  });
}
