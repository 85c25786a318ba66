/** The whole tree → the stack's spec. */
import type { FileObjectSpec, NetworkSpec, ServiceSpec, StackSpec } from '../../spec.ts';
import { expressionProblem } from '../../constraint/check.ts';
import { stackLimits } from '../../limits.ts';
import type { Session } from '../assemble/context.ts';
import type { MapNode } from '../parse/tree.ts';
import { checkCycles, checkPorts } from './checks.ts';
import type { MadeFileObject, MadeVolume, NamedNetwork, StackContext } from './context.ts';
import { checkAffinities } from './placement/affinities.ts';
import { Reader } from './reader.ts';
import { planPods } from './pods/plan.ts';
import { makeFileObject, makeNetwork, makeVolume } from './resources.ts';
import { makeService } from './service.ts';

const serviceName = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$/;

export interface StackSources {
  readonly tree: MapNode;
  readonly name: string;
  readonly session: Session;
  readonly lookup: (name: string) => string | undefined;
  readonly inactive: ReadonlyMap<string, readonly string[]>;
}

export function makeStack({ tree, name, session, lookup, inactive }: StackSources): StackSpec {
  const top = new Reader(tree, null, tree, session.sink);
  checkSizes(top);
  if (tooMany(top)) return { name, services: {}, networks: {}, volumes: {}, secrets: {}, configs: {} };
  const networks = new Map<string, NamedNetwork>(top.at('networks').children().map(([key, of]) => [key, makeNetwork(of, key, name)]));
  if (!networks.has('default')) networks.set('default', defaultNetwork(name));
  const volumes = new Map<string, MadeVolume>(top.at('volumes').children().map(([key, of]) => [key, makeVolume(of, key, name)]));
  const objects = (section: 'secrets' | 'configs', kind: 'secret' | 'config'): ReadonlyMap<string, MadeFileObject> =>
    new Map(top.at(section).children().map(([key, of]) => [key, makeFileObject(kind, of, key, name, session, lookup)]));
  const secrets = objects('secrets', 'secret');
  const configs = objects('configs', 'config');

  const all = top.at('services').children();
  const wrong = top.has('services') && top.at('services').node?.kind === 'scalar';
  if (all.length === 0 && inactive.size === 0 && !wrong) top.error('the stack has no services', 'add services:');
  if (all.length === 0 && inactive.size > 0) top.at('services').error('every service belongs to a profile, and none is switched on', `apply with --profile ${[...inactive.values()].flat()[0] ?? ''}`);
  const trees = new Map(all);
  const related = relations(all);
  const context: StackContext = {
    session, stack: name, networks, volumes, secrets, configs, inactive,
    services: new Set(all.map(([key]) => key)), tree: (key) => trees.get(key), ...related,
    pods: planPods({ stack: name, services: all, containerNames: related.containerNames, inactive }),
  };
  const services: Record<string, ServiceSpec> = {};
  for (const [key, service] of all) {
    if (!serviceName.test(key)) service.error(`${JSON.stringify(key)} cannot be a service's name`, 'use up to 63 letters, digits, . _ -, the first a letter or digit');
    else if (context.pods.owner(key) === key) services[key] = makeService(service, key, context);
  }
  const at = (key: string): Reader => top.at('services').at(key);
  checkCycles(services, at);
  checkPorts(services, (key, published) => portAt(key, published, context) ?? at(key).at('ports'));
  checkAffinities(services, at);
  const problem = expressionProblem(services);
  if (problem) at(problem.service).error(problem.message);
  return {
    name, services, networks: usedNetworks(networks, services),
    volumes: Object.fromEntries([...volumes].map(([key, { spec }]) => [key, spec])), secrets: specsOf(secrets), configs: specsOf(configs),
  };
}

function specsOf(objects: ReadonlyMap<string, MadeFileObject>): Readonly<Record<string, FileObjectSpec>> {
  return Object.fromEntries([...objects].map(([key, { spec }]) => [key, spec]));
}

/** Where a port of the pod is published: by one of the services that share it, or by a sidecar. */
function portAt(service: string, published: number, { pods, tree }: StackContext): Reader | undefined {
  // The last one that has it is who came too late.
  for (const member of pods.members(service).toReversed()) {
    const own = tree(member);
    for (const container of own ? [...own.at('x-pod').at('sidecars').children().map(([, sidecar]) => sidecar), own] : []) {
      if (container.at('ports').items().some((item) => item.text('published') === String(published))) return container.at('ports');
    }
  }
  return undefined;
}

const sections = ['services', 'networks', 'volumes', 'secrets', 'configs'] as const;

function checkSizes(top: Reader): void {
  for (const section of sections) {
    const { size } = top.at(section).entries;
    if (size > stackLimits[section]) top.at(section).error(`${size} ${section} are more than ${stackLimits[section]}, the limit for one stack`, 'make several stacks of it');
  }
}

/** What is over a limit is not looked at any further. */
function tooMany(top: Reader): boolean {
  return sections.some((section) => top.at(section).entries.size > stackLimits[section]);
}

export function defaultNetwork(stack: string): NamedNetwork {
  return { spec: { name: `${stack}_default`, external: false, internal: false, driver: 'overlay', driverOpts: {}, labels: {} }, hostMode: null };
}

/** Networks that no service is on are not made. */
function usedNetworks(networks: ReadonlyMap<string, NamedNetwork>, services: Readonly<Record<string, ServiceSpec>>): Readonly<Record<string, NetworkSpec>> {
  const used = new Set(Object.values(services).flatMap((service) => service.networks.map((attachment) => attachment.network)));
  return Object.fromEntries([...networks].filter(([, { spec }]) => used.has(spec.name)).map(([key, { spec }]) => [key, spec]));
}

function relations(services: readonly (readonly [string, Reader])[]): Pick<StackContext, 'linkAliases' | 'awaited' | 'containerNames'> {
  const linkAliases = new Map<string, readonly string[]>();
  const awaited = new Set<string>();
  const containerNames = new Map<string, string>();
  for (const [key, service] of services) {
    const containerName = service.text('container_name');
    if (containerName !== undefined && containerName !== '') containerNames.set(containerName, key);
    for (const link of service.strings('links') ?? []) {
      const [target = '', alias] = link.split(':', 2);
      if (alias !== undefined && alias !== '' && alias !== target) linkAliases.set(target, [...(linkAliases.get(target) ?? []), alias]);
    }
    for (const [target, dependency] of service.at('depends_on').children()) {
      if (dependency.text('condition') === 'service_completed_successfully') awaited.add(target);
    }
  }
  return { linkAliases, awaited, containerNames };
}
