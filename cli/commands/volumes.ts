/** `volume create|ls|inspect|rm|prune|mv`. */
import type { Command } from 'commander';
import { createInterface } from 'node:readline/promises';
import type { VolumeDetail, VolumeListItem, VolumeMoveEvent, VolumePruneResult } from '../../model/api.ts';
import { segment, type ApiClient } from '../client.ts';
import { exitCode, ExitError, UsageError } from '../exit.ts';
import { note, print, type Io } from '../io.ts';
import { plain } from '../output/color.ts';
import { showList, showValue } from '../output/format.ts';
import { formatBytes, parsePairs } from '../output/values.ts';
import { collect, command, formatOption, group, withClient, type FormatOptions, type GlobalOptions } from './command.ts';
import { volumeColumns } from './lists.ts';

export function volumeCommand(io: Io): Command {
  return group('volume', 'deal with volumes: create, ls, inspect, rm, prune, mv', [createCommand(io), listCommand(io), inspectCommand(io), removeCommand(io), pruneCommand(io), moveCommand(io)]);
}

interface CreateOptions extends GlobalOptions {
  readonly driver: string;
  readonly opt?: readonly string[];
  readonly label?: readonly string[];
  readonly node?: string;
}

function createCommand(io: Io): Command {
  return command('create', 'make a volume', ['tsorch volume create data --node node-3', 'tsorch volume create share -o type=nfs -o device=:/export -o o=addr=10.0.0.9,rw', 'tsorch volume create db -d rexray -o size=20 --label tier=gold'])
    .argument('[name]', 'made up when absent')
    .option('-d, --driver <driver>', 'local, or a plugin of the nodes', 'local')
    .option('-o, --opt <key=value>', 'an option for the driver; may be repeated', collect)
    .option('--label <key=value>', 'a label; may be repeated', collect)
    .option('--node <node>', 'the node its data is to be on (default that of the first pod)')
    .action((name: string | undefined, { driver, opt = [], label = [], node, ...options }: CreateOptions) =>
      withClient(io, options, async (client) => {
        const body = { driver, driverOpts: parsePairs(opt, 'option'), labels: parsePairs(label, 'label'), ...(name === undefined ? {} : { name }), ...(node === undefined ? {} : { node }) };
        print(io, (await client.json<VolumeListItem>('POST', '/v1/volumes', { body, timeoutMs: 150_000 })).name);
      }),
    );
}

interface ListOptions extends FormatOptions {
  readonly filter?: readonly string[];
  readonly quiet: boolean;
  readonly size: boolean;
}

function listCommand(io: Io): Command {
  return command('ls', 'list volumes', ['tsorch volume ls --size', 'tsorch volume ls -f label=tier=gold -f dangling=true -q'])
    .option('-f, --filter <key=value>', 'label, driver, name, node, stack, or dangling=true; may be repeated', collect)
    .option('-q, --quiet', 'names only', false)
    .option('-s, --size', 'what they take on disk', false)
    .addOption(formatOption())
    .action((options: ListOptions) =>
      withClient(io, options, async (client) => {
        const keep = parseFilters(options.filter ?? []);
        const volumes = (await client.get<VolumeListItem[]>('/v1/volumes', { size: options.size ? true : undefined })).filter(keep);
        if (options.quiet) for (const { name } of volumes) print(io, name);
        else showList(io, options.format, volumes, options.size ? [...volumeColumns, { head: 'SIZE', cell: ({ size }) => (size === null || size === undefined ? '-' : formatBytes(size)), align: 'right' }] : volumeColumns);
      }),
    );
}

/** Docker's filters: all kinds must hold, of one kind any (labels: all). */
export function parseFilters(words: readonly string[]): (volume: VolumeListItem) => boolean {
  const pairs = words.map((word): readonly [string, string] => {
    const at = word.indexOf('=');
    const [key, value] = at > 0 ? [word.slice(0, at), word.slice(at + 1)] : [word, ''];
    if (!['label', 'driver', 'name', 'node', 'stack', 'dangling'].includes(key) || value === '') throw new UsageError(`'${word}' is no filter; write label=K[=V], driver=D, name=TEXT, node=N, stack=S or dangling=true`);
    if (key === 'dangling' && !/^(true|false|1|0)$/.test(value)) throw new UsageError('dangling is true or false');
    return [key, value];
  });
  const of = (key: string) => pairs.filter(([own]) => own === key).map(([, value]) => value);
  const any = (key: string, holds: (value: string) => boolean) => of(key).length === 0 || of(key).some(holds);
  return (volume) =>
    of('label').every((label) => hasLabel(volume.labels, label)) && any('driver', (driver) => volume.driver === driver) && any('name', (text) => volume.name.includes(text))
    && any('node', (node) => volume.node === node || volume.nodes.includes(node)) && any('stack', (stack) => volume.stack === stack)
    && any('dangling', (wanted) => (volume.usedBy.length === 0) === (wanted === 'true' || wanted === '1'));
}

function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const at = wanted.indexOf('=');
  return at < 0 ? wanted in labels : labels[wanted.slice(0, at)] === wanted.slice(at + 1);
}

function inspectCommand(io: Io): Command {
  return command('inspect', 'show volumes: what they take, who mounts them', ['tsorch volume inspect voting_db-data'])
    .argument('<name...>')
    .addOption(formatOption('json').choices(['json', 'yaml']))
    .action((names: string[], options: FormatOptions) => withClient(io, options, async (client) => {
      const found = [];
      for (const name of names) found.push(await getVolume(client, name));
      showValue(io, options.format, found.length === 1 ? found[0] : found);
    }));
}

export function getVolume(client: ApiClient, name: string): Promise<VolumeDetail> {
  return client.get<VolumeDetail>(`/v1/volumes/${segment(name)}`);
}

function removeCommand(io: Io): Command {
  return command('rm', 'remove volumes and the data in them', ['tsorch volume rm shop_cache', 'tsorch volume rm shop_cache --force   # although a node that has data of it is away'])
    .argument('<name...>')
    .option('-f, --force', 'forget what nodes that are away have of them', false)
    .action((names: string[], options: GlobalOptions & { readonly force: boolean }) =>
      withClient(io, options, async (client) => {
        for (const name of names) {
          await client.json('DELETE', `/v1/volumes/${segment(name)}`, { query: { force: options.force ? true : undefined }, timeoutMs: 90_000 });
          print(io, `${name} removed`);
        }
      }),
    );
}

interface PruneOptions extends GlobalOptions {
  readonly force: boolean;
  readonly filter?: readonly string[];
}

function pruneCommand(io: Io): Command {
  return command('prune', 'remove the volumes that no service speaks of', ['tsorch volume prune', 'tsorch volume prune --force --filter label=tier=scratch'])
    .option('-f, --force', 'do not ask', false)
    .option('--filter <label=key[=value]>', 'only those with the label; may be repeated', collect)
    .action((options: PruneOptions) => {
      const labels = parseLabelFilters(options.filter ?? []);
      return withClient(io, options, async (client) => {
        const ask = (dryRun: boolean) => client.json<VolumePruneResult>('POST', '/v1/volumes/prune', { body: { labels, dryRun }, timeoutMs: 600_000 });
        if (!options.force) {
          const found = await ask(true);
          if (found.volumes.length === 0) return print(io, 'there is nothing to remove');
          for (const { name, bytes } of found.volumes) note(io, `  ${plain(name)}${bytes === null ? '' : `  ${formatBytes(bytes)}`}`);
          if (!(await confirm(io, `remove ${found.volumes.length === 1 ? 'this volume' : `these ${found.volumes.length} volumes`} and the data in ${found.volumes.length === 1 ? 'it' : 'them'}?`))) throw new ExitError(exitCode.failed);
        }
        const { volumes, kept, bytes } = await ask(false);
        for (const { name } of volumes) print(io, `${plain(name)} removed`);
        for (const { name, why } of kept) note(io, `error: ${plain(name)} stays: ${plain(why)}`);
        print(io, `${formatBytes(bytes)} freed`);
        if (kept.length > 0) throw new ExitError(exitCode.failed);
      });
    });
}

export function parseLabelFilters(words: readonly string[]): Record<string, string | null> {
  return Object.fromEntries(words.map((word) => {
    const [, key, value] = /^label=([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
    if (key === undefined) throw new UsageError(`'${word}' is no filter for prune; write label=KEY or label=KEY=VALUE`);
    return [key, value ?? null] as const;
  }));
}

/** Only somebody at a terminal can be asked. */
async function confirm(io: Io, question: string): Promise<boolean> {
  if (!io.stdin.isTTY) throw new UsageError('nobody is there to be asked; say --force');
  const reader = createInterface({ input: io.stdin, output: io.stderr });
  try {
    return /^y(es)?$/i.test((await reader.question(`${question} [y/N] `, { signal: io.signal })).trim());
  } finally {
    reader.close();
  }
}

function moveCommand(io: Io): Command {
  return command('mv', 'move volumes to another node: their pods stop, the data is copied and compared, and they start there', ['tsorch volume mv shop_db-data node-2', 'tsorch volume mv shop_data shop_wal node-2   # together, or not at all', 'tsorch volume mv shop_db-data node-1         # while it is under way: back, everything is as before'])
    .argument('<volume...>', 'and at last the node')
    .action((words: string[], options: GlobalOptions) => {
      const node = words.at(-1);
      const volumes = words.slice(0, -1);
      if (node === undefined || volumes.length === 0) throw new UsageError('which volume, and where to? write tsorch volume mv VOLUME NODE');
      return withClient(io, options, async (client) => {
        const view = moveView(io);
        const last = new Map<string, VolumeMoveEvent>();
        try {
          for await (const event of client.ask<VolumeMoveEvent>('/v1/volumes/move', { volumes, node })) {
            last.set(event.volume, event);
            view(event);
          }
        } catch (error) {
          if (last.size > 0) note(io, 'the move goes on without us; the same command shows it again');
          throw error;
        }
        const failed = [...last.values()].filter(({ phase }) => phase === 'failed');
        for (const { volume, message } of failed) note(io, `error: ${plain(volume)} was not moved: ${plain(message)}; everything is as before`);
        if (failed.length > 0) throw new ExitError(exitCode.failed);
      });
    });
}

/** A line per step, and in a terminal one that shows how far the copy is. */
function moveView(io: Io): (event: VolumeMoveEvent) => void {
  const said = new Map<string, string>();
  let open = false;
  return (event) => {
    const { volume, phase, bytes, total, message } = event;
    if (phase === 'failed') return;
    const share = total !== null && total > 0 ? `${Math.min(100, Math.floor((bytes / total) * 100))} %` : '';
    const under = phase === 'copying' || phase === 'verifying';
    const text = plain(`${volume} ${phase}${under && bytes > 0 ? ` ${formatBytes(bytes)}${share === '' ? '' : ` (${share})`}` : ''}${message === '' ? '' : `: ${message}`}`);
    if (io.stdout.isTTY) {
      const same = said.get(volume) === phase;
      io.stdout.write(`${open ? (same ? '\r\u001b[2K' : '\n') : ''}${text}`);
      open = true;
      if (phase === 'moved') io.stdout.write('\n');
      if (phase === 'moved') open = false;
    } else if (said.get(volume) !== phase) print(io, text);
    said.set(volume, phase);
  };
}
