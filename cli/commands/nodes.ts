/** `nodes` and `node ls|label|drain|pause|activate|rm`. */
import type { Command } from 'commander';
import type { NodeListItem, PodListItem } from '../../model/api.ts';
import { segment } from '../client.ts';
import { exitCode, ExitError, UsageError } from '../exit.ts';
import { note, print, type Io } from '../io.ts';
import { showList } from '../output/format.ts';
import { formatElapsed, formatLabels, parseDuration } from '../output/values.ts';
import { deadlineOf } from '../wait/deadline.ts';
import { command, formatOption, group, withClient, type FormatOptions, type GlobalOptions } from './command.ts';
import { nodeColumns } from './lists.ts';

export function nodesCommand(io: Io): Command {
  return listCommand(io, 'nodes', 'tsorch nodes');
}

function listCommand(io: Io, name: string, line: string): Command {
  return command(name, 'list nodes', [line, `${line} --format json`])
    .addOption(formatOption())
    .action((options: FormatOptions) =>
      withClient(io, options, async (client) => showList(io, options.format, await client.get<NodeListItem[]>('/v1/nodes'), nodeColumns)),
    );
}

export function nodeCommand(io: Io): Command {
  return group('node', 'deal with nodes: ls, label, drain, pause, activate, rm', [listCommand(io, 'ls', 'tsorch node ls'), labelCommand(io), drainCommand(io), availabilityCommand(io, 'pause'), availabilityCommand(io, 'activate'), removeCommand(io)]);
}

function labelCommand(io: Io): Command {
  return command('label', 'set labels (KEY=VALUE) and take them away (KEY-)', ['tsorch node label node-1 type=frontend zone=a', 'tsorch node label node-1 zone-'])
    .argument('<node>')
    .argument('<labels...>')
    .action((node: string, words: string[], options: GlobalOptions) =>
      withClient(io, options, async (client) => {
        const changed = await client.json<NodeListItem>('PATCH', path(node), { body: { labels: parseLabels(words) } });
        print(io, `${changed.name} ${formatLabels(changed.labels) || 'has no labels'}`);
      }),
    );
}

/** `K=V` sets, `K-` removes (null). */
export function parseLabels(words: readonly string[]): Record<string, string | null> {
  return Object.fromEntries(
    words.map((word): [string, string | null] => {
      const at = word.indexOf('=');
      if (at > 0) return [word.slice(0, at), word.slice(at + 1)];
      if (at < 0 && word.length > 1 && word.endsWith('-')) return [word.slice(0, -1), null];
      throw new UsageError(`'${word}' is not a label; write KEY=VALUE to set one and KEY- to remove one`);
    }),
  );
}

interface DrainOptions extends GlobalOptions {
  readonly wait: boolean;
  readonly timeout: string;
}

function drainCommand(io: Io): Command {
  return command('drain', 'move the pods to other nodes and place no new ones here', ['tsorch node drain node-3', 'tsorch node drain node-3 --wait'])
    .argument('<node>')
    .option('--wait', 'wait until its pods have gone', false)
    .option('--timeout <time>', 'how long to wait', '5m')
    .action(async (node: string, options: DrainOptions) => {
      const timeoutMs = parseDuration(options.timeout);
      await withClient(io, options, async (client) => {
        const changed = await client.json<NodeListItem>('PATCH', path(node), { body: { availability: 'drain' } });
        print(io, `${changed.name} is draining`);
        if (!options.wait) return;
        const started = io.now();
        const left = await deadlineOf(timeoutMs, io.signal).until(async () => {
          const pods = await client.get<PodListItem[]>('/v1/pods', { node: changed.name });
          return pods.length === 0 ? { done: true } : { done: false, left: pods };
        });
        if (left) {
          note(io, `error: ${left.map((pod) => pod.name).join(', ')} still on ${changed.name} after ${formatElapsed(timeoutMs)}; see \`tsorch ps --node ${changed.name}\``);
          throw new ExitError(exitCode.timeout);
        }
        print(io, `${changed.name} is empty after ${formatElapsed(io.now() - started)}`);
      });
    });
}

function availabilityCommand(io: Io, verb: 'pause' | 'activate'): Command {
  const [availability, description, says] =
    verb === 'pause' ? (['pause', 'place no new pods here; those it has stay', 'is paused'] as const) : (['active', 'place pods here again', 'is active'] as const);
  return command(verb, description, [`tsorch node ${verb} node-3`])
    .argument('<node>')
    .action((node: string, options: GlobalOptions) =>
      withClient(io, options, async (client) => {
        const changed = await client.json<NodeListItem>('PATCH', path(node), { body: { availability } });
        print(io, `${changed.name} ${says}`);
      }),
    );
}

function removeCommand(io: Io): Command {
  return command('rm', 'forget nodes that are down', ['tsorch node rm node-3', 'tsorch node rm node-3 --force   # although it is up'])
    .argument('<node...>')
    .option('--force', 'although it is up or has pods', false)
    .action((nodes: string[], options: GlobalOptions & { readonly force: boolean }) =>
      withClient(io, options, async (client) => {
        for (const node of nodes) {
          await client.json('DELETE', path(node), { query: { force: options.force ? true : undefined } });
          print(io, `${node} removed`);
        }
      }),
    );
}

function path(node: string): string {
  return `/v1/nodes/${segment(node)}`;
}
