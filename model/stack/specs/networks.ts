/** Which networks a service is on, and under which names. */
import type { NetworkAttachment, PodTemplate } from '../../spec.ts';
import { didYouMean } from '../suggest.ts';
import type { StackContext } from './context.ts';
import { parseReference } from './pods/plan.ts';
import type { Reader } from './reader.ts';

export interface MadeNetworks {
  readonly mode: PodTemplate['networkMode'];
  readonly attachments: readonly NetworkAttachment[];
}

export function makeNetworks(service: Reader, name: string, context: StackContext): MadeNetworks {
  const mode = modeOf(service);
  const listed = service.at('networks').children();
  if (mode !== 'pod') {
    if (listed.length > 0) service.at('network_mode').error(`network_mode: ${mode} and networks exclude each other`, 'keep one of them');
    return { mode, attachments: [] };
  }
  const extra = context.pods.members(name).flatMap((member) => namesOf(member, context));

  const attachments: NetworkAttachment[] = [];
  for (const [key, item] of listed.length > 0 ? listed : [['default', service] as const]) {
    const network = context.networks.get(key);
    if (!network) {
      item.error(`there is no network ${JSON.stringify(key)}`, didYouMean(key, context.networks.keys()) ?? `declare it at the top level: networks: { ${key}: {} }`);
      continue;
    }
    if (network.hostMode !== null) {
      if (listed.length > 1) item.error(`the network ${network.hostMode} cannot be joined beside others`, 'keep one of them');
      return { mode: network.hostMode, attachments: [] };
    }
    const own = item === service ? [] : item.strings('aliases') ?? [];
    for (const alias of own) checkAlias(item, alias);
    attachments.push({ network: network.spec.name, aliases: [...new Set([...own, ...extra])].filter((alias) => alias !== name) });
  }
  return { mode: 'pod', attachments };
}

/** What a service is called besides its own name, which counts only for one that joined another's pod. */
function namesOf(member: string, context: StackContext): readonly string[] {
  const containerName = context.tree(member)?.text('container_name');
  return [member, ...(context.linkAliases.get(member) ?? []), ...(containerName ? [containerName] : [])];
}

function modeOf(service: Reader): PodTemplate['networkMode'] {
  const text = service.text('network_mode');
  switch (text) {
    case undefined: case '': case 'bridge': case 'default': return 'pod';
    case 'host': case 'none': return text;
    default: {
      // A reference is still here only when it leads nowhere, and then that was said.
      if (!parseReference(text)) service.at('network_mode').error(`there is no network mode ${JSON.stringify(text)}`, 'the modes are host, none, bridge, service:NAME and container:NAME; networks are named under networks');
      return 'pod';
    }
  }
}

function checkAlias(item: Reader, alias: string): void {
  if (!/^[a-z0-9_]([a-z0-9_.-]{0,253})$/i.test(alias)) item.error(`${JSON.stringify(alias)} cannot be a name in DNS`);
}
