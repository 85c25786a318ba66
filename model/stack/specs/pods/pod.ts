/** A pod: the containers of the services that share it, of their sidecars, and those that run before. */
import { stackLimits } from '../../../limits.ts';
import type { ContainerSpec, Dependency, PodTemplate, PortSpec, Resources, RestartPolicy } from '../../../spec.ts';
import type { TemplateContext } from '../../../template/swarm.ts';
import { makeContainer } from '../container.ts';
import type { PodScope, PodVolume, StackContext } from '../context.ts';
import { fromRestart, makeRestart, onFailure } from '../deploy.ts';
import { makePorts } from '../ports.ts';
import type { Reader } from '../reader.ts';
import { orderOf } from './order.ts';
import { partsOf, type Part } from './parts.ts';

export interface MadePod {
  readonly containers: PodTemplate['containers'];
  readonly initContainers: PodTemplate['initContainers'];
  readonly restart: RestartPolicy;
  readonly reservations: Resources;
  readonly sysctls: PodTemplate['sysctls'];
  readonly stopGraceMs: number;
  readonly dependsOn: readonly Dependency[];
  readonly ports: readonly PortSpec[];
}

export function makePod(owner: string, job: boolean, sample: TemplateContext, context: StackContext): MadePod {
  const parts = partsOf(owner, context);
  const members = context.pods.members(owner).flatMap((name) => context.tree(name) ?? []);
  const all = parts.init.length + parts.containers.length;
  if (all > stackLimits.containers) members[0]?.error(`the pod has ${all} containers, more than ${stackLimits.containers}, the limit`, 'give some of them pods of their own');
  const scope: PodScope = { containers: new Set(parts.containers.map(({ name }) => name)), volumes: volumesOf(members, context), sample };
  const init = parts.init.map(({ name, of }) => makeContainer(of, name, context, scope));
  const made = parts.containers.map((part) => ({ part, ...makeContainer(part.of, part.name, context, scope) }));
  const specs = new Map(made.map(({ part, spec }) => [part.name, spec]));
  const order = all > stackLimits.containers ? { dependsOn: [], after: new Map<string, never>() } : orderOf(owner, parts, specs, context);

  const restart = restartOf(parts.containers.find(({ name }) => name === owner), job, context);
  const containers = made.map(({ part, spec }): ContainerSpec => {
    const own = part.name === owner ? restart : restartOf(part, job, context, restart);
    const after = order.after.get(part.name);
    return { ...spec, ...(after ? { after } : {}), ...(JSON.stringify(own) === JSON.stringify(restart) ? {} : { restart: own }) };
  });
  const taken = new Set<string>();
  const graces = members.flatMap((service) => service.ms('stop_grace_period') ?? []);
  return {
    // The service's own container is the first, whatever stands where in the file.
    containers: [...containers.filter(({ name }) => name === owner), ...containers.filter(({ name }) => name !== owner)],
    initContainers: init.length > 0 ? init.map(({ spec }) => spec) : undefined,
    restart,
    reservations: init.map(({ reservations }) => reservations).reduce(most, made.map(({ reservations }) => reservations).reduce(sum)),
    sysctls: sysctlsOf(members),
    stopGraceMs: graces.length > 0 ? Math.max(...graces) : 10_000,
    dependsOn: order.dependsOn,
    ports: parts.containers.filter(({ kind }) => kind !== 'step').flatMap(({ of }) => makePorts(of, taken)),
  };
}

function restartOf(part: Part | undefined, job: boolean, context: StackContext, pod: RestartPolicy = onFailure): RestartPolicy {
  switch (part?.kind) {
    case undefined: return pod;
    case 'own': return makeRestart(part.of, job || context.awaited.has(part.name), job);
    case 'sidecar': return part.of.text('restart') ? fromRestart(part.of, pod.condition === 'on-failure' ? 'on-failure' : 'any') : pod;
    case 'step': return onFailure;
  }
}

function volumesOf(members: readonly Reader[], context: StackContext): ReadonlyMap<string, PodVolume> {
  const made = new Map<string, PodVolume>();
  for (const service of members) {
    for (const [name, item] of service.at('x-pod').at('volumes').children()) {
      const size = item.bytes('size');
      const memory = item.text('medium') === 'memory';
      const volume: PodVolume = { ...(memory ? { medium: 'memory' as const } : {}), ...(size === undefined || size === 0 ? {} : { size }) };
      const known = made.get(name);
      if (size !== undefined && size > 0 && !memory) item.at('size').error('a directory on the disk has no size of its own', 'add medium: memory, or remove size');
      if (context.volumes.has(name)) item.error(`${name} is a volume of the stack, too`, 'give one of them another name: a mount could mean either');
      else if (known && JSON.stringify(known) !== JSON.stringify(volume)) item.error(`two directories of the pod are called ${name}`, 'give one of them another name');
      made.set(name, volume);
    }
  }
  return made;
}

function sysctlsOf(members: readonly Reader[]): PodTemplate['sysctls'] {
  const made = new Map<string, string>();
  for (const service of members) {
    for (const [key, value] of Object.entries(service.pairs('sysctls'))) {
      const known = made.get(key);
      if (known !== undefined && known !== value) service.at('sysctls').at(key).error(`${key} is ${known} in the pod that it shares`, 'say it once');
      made.set(key, known ?? value);
    }
  }
  return Object.fromEntries(made);
}

/** Containers that run side by side take what all of them reserve; those before them take it one by one. */
function sum(a: Resources, b: Resources): Resources {
  return combine(a, b, (x, y) => x + y);
}

function most(a: Resources, b: Resources): Resources {
  return combine(a, b, Math.max);
}

function combine(a: Resources, b: Resources, how: (x: number, y: number) => number): Resources {
  const kinds = [...new Set([...Object.keys(a.generic ?? {}), ...Object.keys(b.generic ?? {})])];
  return {
    cpus: how(a.cpus, b.cpus), memory: how(a.memory, b.memory),
    ...(kinds.length > 0 ? { generic: Object.fromEntries(kinds.map((kind) => [kind, how(a.generic?.[kind] ?? 0, b.generic?.[kind] ?? 0)])) } : {}),
  };
}
