/**
 * What a stack's spec must hold besides its schema: names, references between its parts, and nothing that belongs to another
 * stack. The loader says the same with line numbers; this is the word of the master, whoever sends the spec.
 */
import { expressionProblem } from '../../model/constraint/check.ts';
import { neverPlaced } from '../../model/constraint/never.ts';
import { TsorchError } from '../../model/errors.ts';
import { containersOf, type FileObjectSpec, type ServiceSpec, type StackSpec } from '../../model/spec.ts';
import { templateProblem } from '../../model/template/pod.ts';
import { suggest } from '../api/suggest.ts';
import type { Maps } from '../world.ts';
import { checkVolumes } from './check-volumes.ts';

const namePattern = /^[a-z0-9][a-z0-9_.-]*$/i;

export function checkStack(maps: Maps, spec: StackSpec): void {
  checkName(spec.name, 'name');
  for (const kind of ['networks', 'volumes', 'secrets', 'configs'] as const) {
    for (const [key, { name }] of Object.entries(spec[kind])) checkName(name, `${kind}.${key}.name`, 128);
  }
  const own = maps.stacks.has(spec.name) ? undefined : Array.from(maps.staticpods.values(), (entry) => entry.value).find(({ pod }) => pod.stack === spec.name);
  if (own) {
    throw new TsorchError('conflict', `a stack ${spec.name} runs on ${maps.nodes.get(own.pod.node ?? '')?.value.name ?? 'a node'} from its manifest ${own.origin}`, { path: 'name', hint: 'name this one apart with name: or -p' });
  }
  const problem = expressionProblem(spec.services);
  if (problem) throw new TsorchError('invalid', `services.${problem.service}: ${problem.message}`, { path: `services.${problem.service}.deploy.placement` });
  const networks = new Set(Object.values(spec.networks).map((network) => network.name));
  const volumes = new Set(Object.values(spec.volumes).map((volume) => volume.name));
  for (const [key, service] of Object.entries(spec.services)) {
    const path = `services.${key}`;
    checkName(service.name, `${path}.name`);
    if (service.stack !== spec.name || service.name !== key) throw new TsorchError('invalid', `${path} says it is ${service.stack}/${service.name}`, { path });
    checkService(spec, service, path, { networks, volumes });
  }
  for (const network of Object.values(spec.networks)) {
    const known = maps.networks.get(network.name)?.value;
    if (network.external && !known) throw new TsorchError('not-found', `external network ${network.name} does not exist`, { path: 'networks', hint: suggest(network.name, maps.networks.keys()) ?? 'apply the stack that makes it first' });
    if (!network.external && known && known.stack !== spec.name) throw new TsorchError('conflict', `network ${network.name} belongs to stack ${known.stack ?? '(none)'}`, { path: 'networks', hint: 'mark it external to share it' });
  }
  for (const kind of ['secrets', 'configs'] as const) checkExternalFiles(maps, spec, kind);
  checkVolumes(maps, spec);
}

function checkExternalFiles(maps: Maps, spec: StackSpec, kind: 'secrets' | 'configs'): void {
  const known: ReadonlyMap<string, { readonly value: FileObjectSpec }> = maps[kind];
  const names = new Set(Array.from(known.values(), (entry) => entry.value.name));
  for (const object of Object.values(spec[kind])) {
    if (object.external && !names.has(object.name)) throw new TsorchError('not-found', `external ${kind.slice(0, -1)} ${object.name} does not exist`, { path: kind, hint: suggest(object.name, names) ?? 'apply the stack that defines it first' });
  }
}

function checkService(spec: StackSpec, service: ServiceSpec, path: string, known: { networks: ReadonlySet<string>; volumes: ReadonlySet<string> }): void {
  for (const { network } of service.networks) {
    if (!known.networks.has(network)) throw new TsorchError('invalid', `${path} uses the network ${network}, which the stack does not define`, { path: `${path}.networks`, hint: suggest(network, known.networks) ?? 'add it under networks' });
  }
  for (const dependency of service.dependsOn) {
    if (dependency.required && !spec.services[dependency.service]) throw new TsorchError('invalid', `${path} depends on ${dependency.service}, which the stack does not define`, { path: `${path}.depends_on`, hint: suggest(dependency.service, Object.keys(spec.services)) ?? 'add the service, or set required: false' });
  }
  for (const container of containersOf(service.template)) {
    for (const mount of container.mounts) {
      if (mount.kind === 'volume' && mount.volume !== undefined && !known.volumes.has(mount.volume)) {
        throw new TsorchError('invalid', `${path} mounts the volume ${mount.volume}, which the stack does not define`, { path: `${path}.volumes`, hint: suggest(mount.volume, known.volumes) ?? 'add it under volumes' });
      }
    }
    for (const [kind, references, defined] of [['secret', container.secrets, spec.secrets], ['config', container.configs, spec.configs]] as const) {
      const names = new Set(Object.values(defined).map((object) => object.name));
      for (const { source } of references) {
        if (!names.has(source)) throw new TsorchError('invalid', `${path} uses the ${kind} ${source}, which the stack does not define`, { path: `${path}.${kind}s`, hint: suggest(source, names) ?? `add it under ${kind}s` });
      }
    }
  }
  const template = templateProblem(service);
  if (template !== null) throw new TsorchError('invalid', `${path}: ${template}`, { path, hint: 'the names are .Service.ID .Name .Labels, .Node.ID .Hostname .Platform, .Task.ID .Name .Slot' });
  const never = neverPlaced(service.placement);
  if (never) throw new TsorchError('invalid', `${path}: no node can ever match: ${never.message}`, { path: `${path}.deploy.placement.constraints`, hint: 'change or remove one of the constraints' });
}

function checkName(name: string, path: string, most = 63): void {
  if (!namePattern.test(name) || name.length > most) throw new TsorchError('invalid', `${JSON.stringify(name)} is not a name`, { path, hint: `use letters, digits, _ . - and at most ${most} of them` });
}
