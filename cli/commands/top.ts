/** `top`: nodes and pods, those that use most first. */
import { Option, type Command } from 'commander';
import type { Stats } from '../../model/stats.ts';
import { UsageError } from '../exit.ts';
import type { Io } from '../io.ts';
import { renderTable } from '../output/table.ts';
import { command } from './command.ts';
import { nodeUsageColumns, type Order, podsOf, podUsageColumns, sortNodes, sortPods } from './usage.ts';
import { addWatchOptions, type Shown, watchStats, type WatchOptions } from './watching.ts';

export function topCommand(io: Io): Command {
  const top = command('top', 'which nodes and pods use most', ['tsorch top', 'tsorch top nodes', 'tsorch top pods --sort memory', 'tsorch top pods --node node-1 voting', 'tsorch top --format json'])
    .argument('[what]', 'nodes, pods, or both without')
    .argument('[target...]', 'only these stacks, services or pods')
    .addOption(new Option('--sort <by>', 'the most of what first').choices(['cpu', 'memory']).default('cpu'));
  return addWatchOptions(top).action((what: string | undefined, target: string[], options: WatchOptions & { readonly sort: Order }) => watchStats(io, options, { target }, view(what, options.sort)));
}

function view(what: string | undefined, order: Order): Shown {
  const nodes = (stats: Stats) => sortNodes(stats.nodes, order);
  const pods = (stats: Stats) => sortPods(podsOf(stats.containers), order);
  switch (what) {
    case 'nodes':
    case 'node':
      return { text: (stats, paint) => renderTable(nodes(stats), nodeUsageColumns, paint), value: nodes };
    case 'pods':
    case 'pod':
      return { text: (stats, paint) => renderTable(pods(stats), podUsageColumns, paint), value: pods };
    case undefined:
      return {
        text: (stats, paint) => `${renderTable(nodes(stats), nodeUsageColumns, paint)}\n${renderTable(pods(stats), podUsageColumns, paint)}`,
        value: (stats) => ({ nodes: nodes(stats), pods: pods(stats) }),
      };
    default:
      throw new UsageError(`top shows nodes or pods, not '${what}'; write tsorch top pods ${what} for those of a stack or service`);
  }
}
