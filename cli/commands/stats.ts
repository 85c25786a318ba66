/** `stats`: what containers use, a line each. */
import type { Command } from 'commander';
import type { Io } from '../io.ts';
import { renderTable } from '../output/table.ts';
import { command } from './command.ts';
import { containerColumns } from './usage.ts';
import { addWatchOptions, watchStats, type WatchOptions } from './watching.ts';

export function statsCommand(io: Io): Command {
  const stats = command('stats', 'what containers use: CPU, memory, network, disks', ['tsorch stats', 'tsorch stats voting', 'tsorch stats --no-stream voting_vote.1 voting_db', 'tsorch stats -a   # also what waits, is to be restarted or is over', 'tsorch stats --format json   # one reading'])
    .argument('[target...]', 'stacks, services (STACK_SERVICE) or pods (STACK_SERVICE.SLOT); all without')
    .option('-a, --all', 'also containers that do not run');
  return addWatchOptions(stats).action((target: string[], options: WatchOptions & { readonly all?: true }) =>
    watchStats(io, options, { target, all: options.all }, {
      text: ({ containers, nodes }, paint) => renderTable(containers, containerColumns(nodes, options.all === true), paint, '  '),
      value: ({ containers }) => containers,
    }));
}
