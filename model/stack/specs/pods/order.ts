/** `depends_on` seen from a pod: what it waits for outside, and which of its containers wait for which. */
import type { ContainerSpec, Dependency } from '../../../spec.ts';
import { didYouMean } from '../../suggest.ts';
import type { StackContext } from '../context.ts';
import { sharedWith } from '../namespaces.ts';
import type { Reader } from '../reader.ts';
import type { Part, Parts } from './parts.ts';

type After = NonNullable<ContainerSpec['after']>[number];

export interface Order {
  readonly dependsOn: readonly Dependency[];
  /** Container → those that must have come so far before it. */
  readonly after: ReadonlyMap<string, readonly After[]>;
}

export function orderOf(owner: string, parts: Parts, made: ReadonlyMap<string, ContainerSpec>, context: StackContext): Order {
  const outside = new Map<string, Dependency>();
  const after = new Map<string, Map<string, After>>();
  const inside = new Set(parts.containers.map(({ name }) => name));
  const wait = (name: string, on: After): void => {
    const list = after.get(name) ?? new Map<string, After>();
    const known = list.get(on.container);
    // To be healthy or done says more than to have started.
    if (!known || known.condition === 'service_started') list.set(on.container, on);
    after.set(name, list);
  };
  for (const part of parts.containers) {
    const { name, of, member, kind } = part;
    if (kind === 'sidecar') for (const { target, item } of named(of)) waitInside(part, target, item);
    if (kind === 'own') {
      for (const { target, item, condition, required, restart, quiet } of named(of)) {
        if (target === name) item.error(`the service ${name} cannot depend on itself`);
        else if (inside.has(target)) wait(name, { container: target, condition });
        else if (known(target, required && !quiet, item, context)) {
          const dependency = { ...dependencyOn(target, condition, context), condition, required, restart };
          const key = `${dependency.service} ${dependency.container ?? ''} ${condition === 'service_completed_successfully'}`;
          const other = outside.get(key);
          outside.set(key, other ? { ...dependency, condition: other.condition === 'service_healthy' ? other.condition : condition, required: required || other.required, restart: restart || other.restart } : dependency);
        }
      }
      const joined = context.pods.joins(member);
      if (joined !== undefined) wait(name, { container: joined, condition: 'service_started' });
    }
    for (const other of sharedWith(made.get(name) ?? {})) wait(name, { container: other, condition: 'service_started' });
  }
  // The steps of a service wait for what it waits for, one after the other, and it waits for the last.
  for (const [member, steps] of parts.steps) {
    const first = [...(after.get(member)?.values() ?? [])];
    let before: string | undefined;
    for (const step of steps) {
      for (const on of before === undefined ? first : []) wait(step, on);
      if (before !== undefined) wait(step, { container: before, condition: 'service_completed_successfully' });
      before = step;
    }
    if (before !== undefined) wait(member, { container: before, condition: 'service_completed_successfully' });
  }
  const order = new Map([...after].map(([name, list]) => [name, [...list.values()]] as const));
  checkRing(owner, parts, order, context);
  return { dependsOn: [...outside.values()], after: order };

  function waitInside({ name }: Part, target: string, item: Reader): void {
    const condition = (item.text('condition') ?? 'service_started') as After['condition'];
    if (target === name) item.error(`the container ${name} cannot depend on itself`);
    else if (inside.has(target)) wait(name, { container: target, condition });
    else if (item.flag('required') === false) return;
    else if (context.services.has(target)) item.error(`${target} is not in the pod: its containers wait for each other only`, `put it into depends_on of the service ${owner}: the whole pod waits then`);
    else item.error(`there is no container ${JSON.stringify(target)} in the pod`, didYouMean(target, [...inside].filter((other) => other !== name)) ?? `its containers are ${[...inside].join(', ')}`);
  }
}

interface Named {
  readonly target: string;
  readonly item: Reader;
  readonly condition: Dependency['condition'];
  readonly required: boolean;
  readonly restart: boolean;
  /** What is wrong with it is said elsewhere. */
  readonly quiet: boolean;
}

/** `depends_on`, and what implies it: `links`, `volumes_from`. */
function named(of: Reader): readonly Named[] {
  const made = of.at('depends_on').children().map(([target, item]): Named => ({
    target, item, condition: (item.text('condition') ?? 'service_started') as Dependency['condition'], required: item.flag('required') ?? true, restart: item.flag('restart') ?? false, quiet: false,
  }));
  const seen = new Set(made.map(({ target }) => target));
  const implied = (item: Reader, quiet: boolean): readonly Named[] => {
    const target = item.node?.kind === 'scalar' ? item.node.text.split(':', 1)[0] ?? '' : '';
    if (seen.has(target)) return [];
    seen.add(target);
    return [{ target, item, condition: 'service_started', required: true, restart: false, quiet }];
  };
  return [...made, ...of.at('links').items().flatMap((item) => implied(item, false)),
    // What is wrong with these is said where the mounts are made.
    ...of.at('volumes_from').items().filter((item) => item.node?.kind === 'scalar' && !item.node.text.startsWith('container:')).flatMap((item) => implied(item, true))];
}

function known(target: string, required: boolean, at: Reader, context: StackContext): boolean {
  if (context.services.has(target)) return true;
  if (!required) return false;
  const profiles = context.inactive.get(target);
  if (profiles) at.error(`${target} belongs to the profile ${profiles.join(', ')}, which is not switched on`, `apply with --profile ${profiles[0] ?? ''}`);
  else at.error(`there is no service ${JSON.stringify(target)}`, didYouMean(target, context.services));
  return false;
}

/** A service that shares its pod with others is one container of it; a job beside a sidecar is done when its own container is. */
function dependencyOn(target: string, condition: Dependency['condition'], context: StackContext): Pick<Dependency, 'service' | 'container'> {
  const service = context.pods.owner(target);
  const several = context.pods.members(service).length > 1 || (condition === 'service_completed_successfully' && (context.tree(target)?.at('x-pod').at('sidecars').entries.size ?? 0) > 0);
  return several ? { service, container: target } : { service };
}

/** Containers that would wait for each other for ever. */
function checkRing(owner: string, parts: Parts, after: ReadonlyMap<string, readonly After[]>, context: StackContext): void {
  const state = new Map<string, 'open' | 'done'>();
  const readers = new Map(parts.containers.map(({ name, of }) => [name, of]));
  const visit = (name: string, trail: readonly string[]): boolean => {
    if (state.get(name) === 'done') return false;
    if (state.get(name) === 'open') {
      const ring = [...trail.slice(trail.indexOf(name)), name];
      // Where one is written out, not implied.
      const written = ring.slice(0, -1).map((one, index) => readers.get(one)?.at('depends_on').at(ring[index + 1] ?? '')).find((reader) => reader?.node !== undefined);
      (written ?? readers.get(name) ?? context.tree(owner))?.error(`containers of the pod wait for each other: ${ring.join(' → ')}`, 'remove one of the dependencies');
      return true;
    }
    state.set(name, 'open');
    const found = (after.get(name) ?? []).some(({ container }) => visit(container, [...trail, name]));
    state.set(name, 'done');
    return found;
  };
  parts.containers.some(({ name }) => visit(name, []));
}
