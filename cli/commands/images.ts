/** `image ls|rm|prune`, and where the rest of `image` is. */
import type { Command } from 'commander';
import type { ImageListItem, ImagePruneResult } from '../../model/api.ts';
import { segment } from '../client.ts';
import { exitCode, ExitError } from '../exit.ts';
import { note, print, type Io } from '../io.ts';
import { plain } from '../output/color.ts';
import { showList, showValue } from '../output/format.ts';
import { collect, command, formatOption, group, withClient, type FormatOptions, type GlobalOptions } from './command.ts';
import { groupImages, imageColumns } from './lists.ts';
import { loadCommand, pushCommand } from './push.ts';
import { formatBytes } from '../output/values.ts';
import { readableName } from '../../lib/oci/reference.ts';

interface NodeOptions extends GlobalOptions {
  readonly node?: readonly string[];
}

export function imageCommand(io: Io): Command {
  return group('image', 'deal with images on the nodes: push, load, ls, rm, prune', [pushCommand(io), loadCommand(io), listCommand(io), removeCommand(io), pruneCommand(io)]);
}

function listCommand(io: Io): Command {
  return command('ls', 'list the images on the nodes', ['tsorch image ls', 'tsorch image ls --node node-1'])
    .option('--node <node>', 'only on this node (may be repeated)', collect)
    .addOption(formatOption())
    .action((options: FormatOptions & NodeOptions) =>
      withClient(io, options, async (client) => {
        const items = await client.get<ImageListItem[]>('/v1/images', { node: options.node });
        if (options.format === 'table') showList(io, options.format, groupImages(items), imageColumns);
        else showValue(io, options.format, items);
      }),
    );
}

function removeCommand(io: Io): Command {
  return command('rm', 'remove images from the nodes', ['tsorch image rm vote:1', 'tsorch image rm vote:1 --node node-1'])
    .argument('<image...>')
    .option('--node <node>', 'only from this node (may be repeated)', collect)
    .option('--force', 'even if a service or a pod uses it')
    .action((images: string[], options: NodeOptions & { readonly force?: boolean }) =>
      withClient(io, options, async (client) => {
        for (const image of images) {
          await client.json('DELETE', `/v1/images/${image.split('/').map(segment).join('/')}`, { query: { node: options.node, force: options.force } });
          print(io, `${image} removed`);
        }
      }),
    );
}

function pruneCommand(io: Io): Command {
  return command('prune', 'remove images that nothing uses from the nodes', ['tsorch image prune', 'tsorch image prune -a --node node-1'])
    .option('-a, --all', 'every image that nothing uses, not only those that have lost their tag', false)
    .option('--node <node>', 'only from this node (may be repeated)', collect)
    .action((options: NodeOptions & { readonly all: boolean }) =>
      withClient(io, options, async (client) => {
        const results = await client.json<ImagePruneResult[]>('POST', '/v1/images/prune', { query: { node: options.node, all: options.all ? true : undefined }, timeoutMs: 300_000 });
        for (const { node, removed, error } of results) {
          for (const { references, digest } of removed) print(io, `${node}: removed ${plain(references.map(readableName).find((name) => !name.includes('@')) ?? references[0] ?? digest)}`);
          if (error !== undefined) note(io, `error: ${node}: ${plain(error)}`);
        }
        const bytes = results.flatMap(({ removed }) => removed).reduce((sum, { size }) => sum + size, 0);
        print(io, `${formatBytes(bytes)} of images removed`);
        if (results.some(({ error }) => error !== undefined)) throw new ExitError(exitCode.failed);
      }),
    );
}
