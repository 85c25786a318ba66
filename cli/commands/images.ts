/** `image load|ls|rm|prune`. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Readable } from 'node:stream';
import type { Command } from 'commander';
import type { ImageListItem, ImagePruneResult } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import { segment } from '../client.ts';
import { exitCode, ExitError } from '../exit.ts';
import { note, print, type Io } from '../io.ts';
import { showList } from '../output/format.ts';
import { plain } from '../output/color.ts';
import { collect, command, formatOption, group, withClient, type FormatOptions, type GlobalOptions } from './command.ts';
import { imageColumns } from './lists.ts';
import { formatBytes } from '../output/values.ts';
import { readableName } from '../../lib/oci/reference.ts';

interface NodeOptions extends GlobalOptions {
  readonly node?: readonly string[];
}

/** One line of the answer to PUT /v1/images. */
interface LoadMessage {
  readonly node: string;
  readonly message?: string;
  readonly error?: string;
  readonly loaded?: readonly string[];
}

export function imageCommand(io: Io): Command {
  return group('image', 'deal with images on the nodes: load, ls, rm, prune', [loadCommand(io), listCommand(io), removeCommand(io), pruneCommand(io)]);
}

function loadCommand(io: Io): Command {
  return command('load', 'put an image archive (docker save, OCI) on the nodes', ['tsorch image load vote.tar', 'docker save vote:1 | tsorch image load -', 'tsorch image load vote.tar --node node-1'])
    .argument('<file...>', 'archives; - reads standard input')
    .option('--node <node>', 'only on this node (may be repeated; default all that are ready)', collect)
    .action((files: string[], options: NodeOptions) =>
      withClient(io, options, async (client) => {
        let failed = false;
        for (const file of files) {
          const body = await open(io, file);
          for await (const message of client.upload<LoadMessage>('/v1/images', body, { node: options.node })) {
            if (message.error) {
              failed = true;
              note(io, `error: ${message.node}: ${plain(message.error)}`);
            } else if (message.loaded) {
              for (const reference of message.loaded) print(io, `${message.node}: loaded ${reference}`);
            } else if (message.message && io.stdout.isTTY) {
              print(io, `${message.node}: ${plain(message.message)}`);
            }
          }
        }
        if (failed) throw new ExitError(exitCode.failed);
      }),
    );
}

async function open(io: Io, file: string): Promise<Readable> {
  if (file === '-') return io.stdin;
  const path = resolve(io.cwd, file);
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new TsorchError('not-found', error.code === 'ENOENT' ? `no file ${file}` : `cannot read ${file}: ${error.message}`, { cause: error });
  });
  if (!found.isFile()) throw new TsorchError('invalid', `${file} is not a file`, { hint: 'name an archive made by `docker save`' });
  return createReadStream(path, { highWaterMark: 1 << 20 });
}

function listCommand(io: Io): Command {
  return command('ls', 'list the images on the nodes', ['tsorch image ls', 'tsorch image ls --node node-1'])
    .option('--node <node>', 'only on this node (may be repeated)', collect)
    .addOption(formatOption())
    .action((options: FormatOptions & NodeOptions) =>
      withClient(io, options, async (client) => showList(io, options.format, await client.get<ImageListItem[]>('/v1/images', { node: options.node }), imageColumns)),
    );
}

function removeCommand(io: Io): Command {
  return command('rm', 'remove images from the nodes', ['tsorch image rm vote:1'])
    .argument('<image...>')
    .option('--node <node>', 'only from this node (may be repeated)', collect)
    .action((images: string[], options: NodeOptions) =>
      withClient(io, options, async (client) => {
        for (const image of images) {
          await client.json('DELETE', `/v1/images/${image.split('/').map(segment).join('/')}`, { query: { node: options.node } });
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
