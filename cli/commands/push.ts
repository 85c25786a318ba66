/** `image push`, and `image load`, which is a push to all nodes. */
import { access, constants } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { Option, type Command } from 'commander';
import { systemClock } from '../../lib/clock.ts';
import { parsePlatform, platformOf } from '../../lib/oci/platform.ts';
import type { PushRequest } from '../../model/api.ts';
import { exitCode, ExitError } from '../exit.ts';
import type { Io } from '../io.ts';
import { openArchive } from '../push/archive.ts';
import { runPush } from '../push/run.ts';
import { findSource, type From } from '../push/source.ts';
import { createPushView } from '../push/view.ts';
import { collect, command, withClient, type GlobalOptions } from './command.ts';

interface PushFlags extends GlobalOptions {
  readonly node?: readonly string[];
  readonly from?: From;
  readonly platform?: string;
}

export function pushCommand(io: Io): Command {
  const push = command('push', 'bring an image from this machine to the nodes that need it', [
    'tsorch image push vote:1                     # from Docker or containerd on this machine',
    'tsorch image push vote.tar --node all',
    'docker save vote:1 | tsorch image push - --node node-1',
  ]);
  return push
    .argument('<image...>', 'names of images that Docker or containerd has here, or archives (docker save, OCI; gzip and zstd will do); - reads one from standard input')
    .option('--node <node>', 'to this node, or to all (may be repeated; default those whose pods use it, and two at least)', collect)
    .addOption(new Option('--from <where>', 'look only there').choices(['file', 'docker', 'containerd']))
    .option('--platform <os/arch>', 'of an archive with images for several (default this machine\'s)')
    .action((given: string[], flags: PushFlags) => pushAll(io, given, flags, 'needed'));
}

export function loadCommand(io: Io): Command {
  return command('load', 'put an image archive (docker save, OCI) on the nodes', ['tsorch image load vote.tar', 'docker save vote:1 | tsorch image load -', 'tsorch image load vote.tar --node node-1'])
    .argument('<file...>', 'archives; - reads standard input')
    .option('--node <node>', 'only on this node (may be repeated; default all that are ready)', collect)
    .option('--platform <os/arch>', 'of an archive with images for several (default this machine\'s)')
    .action((given: string[], flags: PushFlags) => pushAll(io, given, { ...flags, from: 'file' }, 'all'));
}

async function pushAll(io: Io, given: readonly string[], flags: PushFlags, usual: 'needed' | 'all'): Promise<void> {
  const nodes: NonNullable<PushRequest['nodes']> = flags.node === undefined ? usual : flags.node.includes('all') ? 'all' : flags.node;
  const platform = flags.platform === undefined ? platformOf(process.arch) : parsePlatform(flags.platform);
  const temporary = await spoolDirectory(io);
  await withClient(io, flags, async (client) => {
    let failed = false;
    for (const each of given) {
      const source = await findSource(io, each, flags.from);
      const view = createPushView(io);
      try {
        const archive = await openArchive({
          data: source.data, file: source.file, platform, temporary, signal: io.signal,
          progress: (bytes) => view.progress(source.name, { bytes, total: source.size }),
        });
        try {
          view.end();
          const result = await runPush({ client, archive, fallback: source.reference, nodes, view, clock: systemClock, signal: io.signal });
          failed ||= result.failed.length > 0;
        } finally {
          await archive.close();
        }
      } finally {
        view.end();
      }
    }
    if (failed) throw new ExitError(exitCode.failed);
  });
}

/** `/tmp` is often memory, and archives are large. */
async function spoolDirectory(io: Io): Promise<string> {
  const wanted = io.env['TMPDIR'];
  if (wanted) return wanted;
  return access('/var/tmp', constants.W_OK).then(() => '/var/tmp', () => tmpdir());
}
