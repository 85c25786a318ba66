/** `inspect KIND/NAME`: everything the master knows of one thing. */
import type { Command } from 'commander';
import type { NetworkListItem, NodeListItem, PodDetail, PodListItem, ServiceDetail, ServiceListItem, StackListItem } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import { segment, type ApiClient } from '../client.ts';
import { UsageError } from '../exit.ts';
import type { Io } from '../io.ts';
import { showValue } from '../output/format.ts';
import { command, formatOption, withClient, type FormatOptions } from './command.ts';
import { findObject } from './objects.ts';
import { getVolume } from './volumes.ts';

const kinds = ['stack', 'service', 'pod', 'node', 'network', 'volume', 'secret', 'config'] as const;
type Kind = (typeof kinds)[number];

export function inspectCommand(io: Io): Command {
  return command('inspect', 'show everything about one thing', ['tsorch inspect service/voting_vote', 'tsorch inspect pod/voting_vote.1', 'tsorch inspect node/node-1 --format yaml'])
    .argument('<kind/name...>', `kinds: ${kinds.join(', ')}`)
    .addOption(formatOption('json').choices(['json', 'yaml']))
    .action((names: string[], options: FormatOptions) => {
      const targets = names.map(parseTarget);
      return withClient(io, options, async (client) => {
        for (const target of targets) showValue(io, options.format, await inspect(client, target.kind, target.name));
      });
    });
}

function parseTarget(text: string): { readonly kind: Kind; readonly name: string } {
  const at = text.indexOf('/');
  const kind = kinds.find((each) => each === text.slice(0, at).replace(/s$/, ''));
  if (at <= 0 || !kind || at === text.length - 1) throw new UsageError(`'${text}' is not KIND/NAME; kinds are ${kinds.join(', ')}`);
  return { kind, name: text.slice(at + 1) };
}

async function inspect(client: ApiClient, kind: Kind, name: string): Promise<unknown> {
  switch (kind) {
    case 'service':
      return client.get<ServiceDetail>(`/v1/services/${segment(name)}`);
    case 'node':
      return client.get<NodeListItem>(`/v1/nodes/${segment(name)}`);
    case 'pod':
      return inspectPod(client, name);
    case 'stack': {
      const stack = (await client.get<StackListItem[]>('/v1/stacks')).find((each) => each.name === name);
      if (!stack) throw new TsorchError('not-found', `no stack named ${name}`, { hint: '`tsorch ls` lists them' });
      return { ...stack, services: await client.get<ServiceListItem[]>('/v1/services', { stack: name }) };
    }
    case 'network': {
      const network = (await client.get<NetworkListItem[]>('/v1/networks')).find((each) => each.name === name);
      if (!network) throw new TsorchError('not-found', `no network named ${name}`, { hint: 'networks are called STACK_NETWORK, unless the file names them' });
      return network;
    }
    case 'volume':
      return getVolume(client, name);
    case 'secret':
    case 'config':
      return findObject(client, kind, name);
  }
}

/** By id, or by name: the newest pod of the slot. */
async function inspectPod(client: ApiClient, name: string): Promise<PodDetail> {
  if (!name.includes('.')) return client.get<PodDetail>(`/v1/pods/${segment(name)}`);
  // What it may have been meant to be is for the master to say.
  const pods = await client.get<PodListItem[]>('/v1/pods', { all: true, target: name });
  const found = pods.filter((pod) => pod.name === name).toSorted((a, b) => Number(b.desired === 'running') - Number(a.desired === 'running') || b.since - a.since)[0];
  if (!found) throw new TsorchError('not-found', `no pod named ${name}`, { hint: '`tsorch ps -a` lists them' });
  return client.get<PodDetail>(`/v1/pods/${segment(found.id)}`);
}
