/** `environment` of a container or a hook. */
import type { ContainerSpec } from '../../spec.ts';
import { isClassicKey } from './placement/classic.ts';
import type { Reader } from './reader.ts';

/** Go templates of Swarm, which the hosts do not fill in. */
const swarmTemplate = /\{\{\s*\.(Node|Service|Task)\b/;

export function makeEnv(environment: Reader): ContainerSpec['env'] {
  const made: [string, string | null][] = [];
  for (const [key, item] of environment.children()) {
    if (isClassicKey(key) || item.node?.kind !== 'scalar') continue;
    const value = item.node.value === null ? null : item.node.text;
    if (value !== null && swarmTemplate.test(value)) item.error(`the template ${value.trim()} is not supported yet`, 'the host name of a container is in /etc/hostname');
    made.push([key, value]);
  }
  return Object.fromEntries(made);
}
