/** Affinities from wherever they were written, and what can be said of them with the whole stack at hand. */
import { compileAffinity, parseAffinity, type AffinityTarget } from '../../../constraint/affinity.ts';
import type { Affinity } from '../../../constraint/types.ts';
import type { ServiceSpec } from '../../../spec.ts';
import { inside, scalar } from '../../parse/tree.ts';
import { didYouMean } from '../../suggest.ts';
import type { StackContext } from '../context.ts';
import type { Reader } from '../reader.ts';
import { classicExpressions } from './classic.ts';

export function makeAffinities(service: Reader, context: StackContext): readonly Affinity[] {
  const made: Affinity[] = [];
  const take = (at: Reader, text: string, inset: number, classic: boolean): void => {
    const result = parseAffinity(text, classic ? 'classic' : 'auto');
    if ('ok' in result) made.push(named(result.ok, at, context));
    else at.sink.error(inside(at.node ?? scalar(at.mark, null), inset + result.offset), at.path, `affinity ${JSON.stringify(text)}: ${result.error}`);
  };
  for (const item of service.at('x-affinities').items()) if (item.node?.kind === 'scalar') take(item, item.node.text, 0, false);
  for (const { kind, text, at, inset } of classicExpressions(service)) {
    if (kind === 'affinity') take(at, text, inset, true);
    // A dependency names a container, as --link and --volumes-from did.
    else if (kind === 'dependency') take(at, /[=!]=/.test(text) ? text : `container==${text}`, /[=!]=/.test(text) ? inset : inset - 'container=='.length, true);
  }
  for (const item of service.at('volumes_from').items()) {
    const name = item.node?.kind === 'scalar' ? item.node.text.split(':', 1)[0] ?? '' : '';
    // The containers of one pod are beside each other anyway.
    const owner = context.pods.owner(name);
    if (context.services.has(name) && owner !== context.pods.owner(String(service.path?.key))) made.push({ subject: { kind: 'container' }, op: '==', pattern: { kind: 'literal', value: owner }, soft: false, source: `container==${name}` });
  }
  return made;
}

/** `container_name` is how people know a container of their file; here its pods go by the service's name. */
function named(affinity: Affinity, at: Reader, context: StackContext): Affinity {
  const { subject, pattern } = affinity;
  if (subject.kind !== 'container' || pattern.kind !== 'literal') return affinity;
  const known = context.services.has(pattern.value) ? pattern.value : context.containerNames.get(pattern.value);
  const service = known === undefined ? undefined : context.pods.owner(known);
  if (service === pattern.value) return affinity;
  if (service !== undefined) return { ...affinity, pattern: { kind: 'literal', value: service } };
  // Names of other stacks' services, of pods and of slots have one of these in them; a pod's id is digits and letters mixed.
  if (/[._]|\d/.test(pattern.value)) return affinity;
  const message = `affinity ${affinity.source}: there is no service ${JSON.stringify(pattern.value)} in the stack`;
  const hint = didYouMean(pattern.value, [...context.services, ...context.containerNames.keys()]) ?? 'a service of another stack is STACK_SERVICE';
  if (affinity.op === '==' && !affinity.soft) at.error(message, hint);
  else at.warn(message, hint);
  return affinity;
}

/** Services that would wait for each other: none of them could be the first on any node. */
export function checkAffinities(services: Readonly<Record<string, ServiceSpec>>, at: (name: string) => Reader): void {
  const targets = Object.entries(services).map(([name, spec]) => [name, targetOf(spec)] as const);
  const waitsFor = new Map<string, readonly string[]>();
  for (const [name, spec] of Object.entries(services)) {
    const wishes = (spec.placement.affinities ?? []).filter(({ op, soft }) => op === '==' && !soft);
    if (wishes.length === 0) continue;
    waitsFor.set(name, wishes.flatMap((wish) => {
      const matcher = compileAffinity(wish, spec.stack);
      const found = targets.filter(([, target]) => matcher.service(target)).map(([other]) => other);
      // One that several match, or that its own pods match, waits for nobody in particular.
      return found.length === 1 && found[0] !== name ? found : [];
    }));
  }
  const reported = new Set<string>();
  for (const start of waitsFor.keys()) {
    const trail = [start];
    for (let next = waitsFor.get(start)?.[0]; next !== undefined && trail.length <= waitsFor.size; next = waitsFor.get(next)?.[0]) {
      if (next === start && !trail.some((name) => reported.has(name))) {
        for (const name of trail) reported.add(name);
        at(start).error(`services wait for each other by affinity: ${[...trail, start].join(' → ')}`, 'remove one of the affinities: a service goes where the other one is either way');
      }
      if (trail.includes(next)) break;
      trail.push(next);
    }
  }
}

export function targetOf(spec: ServiceSpec): AffinityTarget {
  const { containers } = spec.template;
  return { stack: spec.stack, service: spec.name, images: containers.map(({ image }) => image), labels: [spec.labels, ...containers.map(({ labels }) => labels)] };
}
