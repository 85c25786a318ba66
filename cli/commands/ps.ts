/** `ps`: pods, of everything, of a stack, of a service, on a node. */
import type { Command } from 'commander';
import type { PodListItem } from '../../model/api.ts';
import type { Io } from '../io.ts';
import { showList } from '../output/format.ts';
import { command, formatOption, withClient, type FormatOptions } from './command.ts';
import { podColumns } from './lists.ts';

interface PsOptions extends FormatOptions {
  readonly node?: string;
  readonly all: boolean;
}

export function psCommand(io: Io): Command {
  return command('ps', 'list pods', ['tsorch ps', 'tsorch ps voting', 'tsorch ps voting_vote -a   # with those that ended', 'tsorch ps --node node-1'])
    .argument('[stack|service]')
    .option('--node <node>', 'only those on this node')
    .option('-a, --all', 'those that ended too', false)
    .addOption(formatOption())
    .action((name: string | undefined, options: PsOptions) =>
      withClient(io, options, async (client) => {
        const common = { node: options.node, all: options.all ? true : undefined };
        // What the name means, or that it means nothing, is for the master to say: manifests of hosts have names too.
        const pods = await client.get<PodListItem[]>('/v1/pods', { ...common, target: name });
        showList(io, options.format, pods, podColumns(io.now()));
      }),
    );
}
