/** `cp`: files into and out of pods. */
import type { Command } from 'commander';
import { packPod, extractPod, podEnd, podSource, type PodPath } from '../client/archive.ts';
import type { ApiClient } from '../client.ts';
import { extractLocal, localEnd, localSource, packLocal, type LocalCopy } from '../copy/local.ts';
import { type End, type Landing, landing, parsePlace, type Place } from '../copy/rules.ts';
import { UsageError } from '../exit.ts';
import { note, writeTo, type Io } from '../io.ts';
import { formatBytes } from '../output/values.ts';
import { command, withClient, type GlobalOptions } from './command.ts';

interface CopyOptions extends GlobalOptions {
  readonly container?: string;
  readonly archive: boolean;
  readonly followLink: boolean;
  readonly quiet: boolean;
}

/** What a copy was. */
interface Sum {
  entries: number;
  bytes: number;
}

export function cpCommand(io: Io): Command {
  return command('cp', 'copy files into and out of pods', [
    'tsorch cp voting_db.1:/var/log/postgresql ./logs', 'tsorch cp index.html voting_vote:/srv/', 'tsorch cp site/. voting_vote.2:/srv   # what is in it', 'tar c . | tsorch cp - voting_vote:/srv', 'tsorch cp voting_db:/etc/postgresql - | tar t',
  ])
    .argument('<from>', 'a path, POD:PATH, or - for a tar stream')
    .argument('<to>', 'a path, POD:PATH, or - for a tar stream; a service\'s name means a pod of it that runs')
    .option('-c, --container <name>', 'which container of a pod that has several')
    .option('-a, --archive', 'keep owners (numbers); otherwise what goes in is root\'s, what comes out is yours', false)
    .option('-L, --follow-link', 'copy what a link leads to, not the link', false)
    .option('-q, --quiet', 'say nothing', false)
    .action((from: string, to: string, options: CopyOptions) => {
      const [source, destination] = [parsePlace(from), parsePlace(to)];
      if (source.kind !== 'pod' && destination.kind !== 'pod') throw new UsageError('one side must be in a pod: write POD:PATH');
      if (source.kind === 'stream' && io.stdin.isTTY) throw new UsageError('- reads a tar stream from standard input, which is a terminal');
      if (destination.kind === 'stream' && io.stdout.isTTY) throw new UsageError('- writes a tar stream to standard output, which is a terminal; redirect it');
      return withClient(io, options, async (client) => {
        const sum = await copy(io, client, source, destination, options);
        if (sum && !options.quiet) note(io, `copied ${sum.entries} ${sum.entries === 1 ? 'file or directory' : 'files and directories'}, ${formatBytes(sum.bytes)}, to ${to}`);
      });
    });
}

async function copy(io: Io, client: ApiClient, source: Place, destination: Place, options: CopyOptions): Promise<Sum | null> {
  const sum: Sum = { entries: 0, bytes: 0 };
  const local = (path: string): LocalCopy => ({ cwd: io.cwd, path, packed: () => {}, signal: io.signal });
  const pod = ({ target, path }: Extract<Place, { kind: 'pod' }>, at = path): PodPath => ({ target, path: at, container: options.container });
  if (destination.kind === 'stream') {
    if (source.kind === 'pod') for await (const part of packPod(client, pod(source), undefined, options.followLink)) await writeTo(io.stdout, part, io.signal);
    return null;
  }
  // A stream is what it is, for a directory that is there.
  if (source.kind === 'stream') {
    if (destination.kind === 'pod') add(io, sum, await extractPod(client, pod(destination), io.stdin as AsyncIterable<Uint8Array>, options.archive));
    return sum;
  }
  const begin: End = source.kind === 'pod' ? await podSource(client, pod(source), options.followLink) : await localSource(io.cwd, source.path, options.followLink);
  const end: End = destination.kind === 'pod' ? await podEnd(client, pod(destination)) : await localEnd(io.cwd, destination.path);
  const to: Landing = landing(begin, end);
  const archive = source.kind === 'pod' ? packPod(client, pod(source), to.as, options.followLink) : packLocal(local(source.path), to.as, options.followLink);
  const result = destination.kind === 'pod' ? await extractPod(client, pod(destination, to.directory), archive, options.archive) : await extractLocal(local(to.directory), archive, options.archive);
  add(io, sum, result);
  return sum;
}

function add(io: Io, sum: Sum, { entries, bytes, skipped }: { readonly entries: number; readonly bytes: number; readonly skipped: readonly string[] }): void {
  sum.entries += entries;
  sum.bytes += bytes;
  for (const path of skipped) note(io, `left out: ${path} (it cannot be made there)`);
}
