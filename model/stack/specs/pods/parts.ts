/** The containers that a pod is made of, as trees: those of its services, their sidecars, and those that run before. */
import { merge } from '../../merge/merge.ts';
import { map, mapOf, type Entry, type MapNode, type Node } from '../../parse/tree.ts';
import { containerKeys } from '../../schema/container.ts';
import { preStart } from '../../schema/pod.ts';
import type { StackContext } from '../context.ts';
import { Reader } from '../reader.ts';

export interface Part {
  readonly name: string;
  readonly of: Reader;
  /** The service that it was written in. */
  readonly member: string;
  /** `step`: a `pre_start` of a service that joined; it waits for the pod it joins, and its service waits for it. */
  readonly kind: 'own' | 'sidecar' | 'step';
}

export interface Parts {
  /** In the order they begin. */
  readonly init: readonly Pick<Part, 'name' | 'of'>[];
  readonly containers: readonly Part[];
  /** Service → its steps, in order. */
  readonly steps: ReadonlyMap<string, readonly string[]>;
}

export function partsOf(owner: string, context: StackContext): Parts {
  const init: Pick<Part, 'name' | 'of'>[] = [];
  const before: Pick<Part, 'name' | 'of'>[] = [];
  const containers: Part[] = [];
  const steps = new Map<string, string[]>();
  const taken = new Map<string, string>();
  const free = (name: string, at: Reader, what: string): boolean => {
    const other = taken.get(name);
    if (other !== undefined) at.error(`two containers of the pod are called ${name}: ${what} and ${other}`, 'give one of them another name');
    else taken.set(name, what);
    return other === undefined;
  };
  const members = context.pods.members(owner);
  for (const member of members) taken.set(member, `the service ${member}`);
  for (const member of members) {
    const service = context.tree(member);
    if (!service) continue;
    const pod = service.at('x-pod');
    for (const [index, item] of pod.at('init').items().entries()) {
      const name = item.text('name') ?? `${member}-init-${index + 1}`;
      if (free(name, item.has('name') ? item.at('name') : item, 'an init container')) init.push({ name, of: item });
    }
    for (const [index, hook] of service.at('pre_start').items().entries()) {
      const name = `${member}-pre-start-${index + 1}`;
      const of = inherit(service, hook, context);
      if (!free(name, hook, 'a pre_start') || !of) continue;
      if (member === owner) before.push({ name, of });
      else {
        containers.push({ name, of, member, kind: 'step' });
        steps.set(member, [...(steps.get(member) ?? []), name]);
      }
    }
    containers.push({ name: member, of: service, member, kind: 'own' });
    for (const [name, item] of pod.at('sidecars').children()) {
      if (item.node?.kind !== 'map') continue;
      if (context.services.has(name)) item.error(`the sidecar ${name} has the name of a service`, 'give it another one: depends_on could mean either');
      else if (free(name, item, 'a sidecar')) containers.push({ name, of: item, member, kind: 'sidecar' });
    }
  }
  return { init: [...init, ...before], containers, steps };
}

/** What the running container alone has. */
const never = new Set(['command', 'healthcheck', 'post_start', 'pre_stop', 'x-probes', 'build', 'expose']);

/** The hook with everything that the service says and it does not. What is run with an image of its own is its own, too. */
function inherit(service: Reader, hook: Reader, context: StackContext): Reader | null {
  if (hook.node?.kind !== 'map' || service.node?.kind !== 'map') return null;
  const image = hook.has('image');
  if (!image && !hook.has('command')) hook.error('a pre_start needs a command, or an image of its own', 'say what to run with command');
  const entries = new Map<string, Entry>();
  for (const [key, entry] of service.node.entries) {
    if (key === 'deploy') {
      const resources = entry.value.kind === 'map' ? entry.value.entries.get('resources') : undefined;
      if (resources) entries.set(key, { key: entry.key, value: map(entry.value, [['resources', resources.value]]) });
    } else if (Object.hasOwn(containerKeys, key) && !never.has(key) && !(image && key === 'entrypoint')) entries.set(key, entry);
  }
  const base: MapNode = mapOf(service.node, entries);
  const merged: Node | null = merge(base, hook.node, preStart, hook.path, { sink: hook.sink, budget: context.session.budget, keepTags: false });
  return merged && new Reader(merged, hook.path, hook.mark, hook.sink);
}
