/** `environment` of a container or a hook. */
import type { ContainerSpec } from '../../spec.ts';
import type { TemplateContext } from '../../template/swarm.ts';
import { isClassicKey } from './placement/classic.ts';
import type { Reader } from './reader.ts';
import { checkTemplate } from './templates.ts';

export function makeEnv(environment: Reader, sample: TemplateContext): ContainerSpec['env'] {
  const made: [string, string | null][] = [];
  for (const [key, item] of environment.children()) {
    if (isClassicKey(key) || item.node?.kind !== 'scalar') continue;
    const value = item.node.value === null ? null : item.node.text;
    if (value !== null) checkTemplate(item, value, sample);
    made.push([key, value]);
  }
  return Object.fromEntries(made);
}
