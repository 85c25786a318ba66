/**
 * From a stack's spec to the operations that make it so: pure. What is the same is left alone, so applying twice writes nothing
 * the second time. Addresses, ports and network groups are given here, once, and stay.
 */
import type { ApplyResult } from '../../model/api.ts';
import { fileObjectKey, withDigests } from '../../model/assign.ts';
import { containersOf, serviceId, type FileObjectSpec, type ServiceSpec, type StackSpec } from '../../model/spec.ts';
import { imagesOf, type RegistryAuth, registryKey, registryOf } from '../../model/registry.ts';
import type { Network, Service, ServiceStatus, Stack, Volume } from '../../model/service.ts';
import { canonical } from '../../model/canonical.ts';
import { withRestarts } from '../../model/restarts.ts';
import { baseRevision, changesInPlace, revisionOf } from '../../model/revision.ts';
import type { Kind, Kinds, Op } from '../store/port.ts';
import type { Maps } from '../world.ts';
import type { Allocations } from './allocations.ts';
import { checkStack } from './check.ts';

type Verdict = 'created' | 'updated' | 'unchanged' | 'removed';

export interface ApplyPlan {
  readonly ops: readonly Op[];
  readonly result: ApplyResult;
}

export interface ApplyInput {
  readonly maps: Maps;
  readonly spec: StackSpec;
  readonly allocations: Allocations;
  /** `sha256:…` of a text. */
  readonly hash: (text: string) => string;
  /** Pins the images of a service. Absent: they stay as they are. */
  readonly pin?: (service: ServiceSpec) => ServiceSpec;
  /** Credentials that came with the spec, by registry. */
  readonly registries?: Readonly<Record<string, RegistryAuth>>;
}

/** Throws `invalid`, `not-found`, `conflict` or `exhausted`, and then nothing has happened. */
export function planApply(input: ApplyInput): ApplyPlan {
  const { maps, spec, allocations } = input;
  checkStack(maps, spec);
  const plan = new Plan(maps);
  for (const network of Object.values(spec.networks)) {
    if (network.external) continue;
    const known = maps.networks.get(network.name)?.value;
    const value: Network = { name: network.name, group: known?.group ?? allocations.group(), internal: network.internal, stack: spec.name, labels: network.labels };
    // One that the stack has given up may be about to be collected: writing it makes one of the two fail.
    const listed = maps.stacks.get(spec.name)?.value.networks.includes(network.name) === true;
    plan.networks[network.name] = plan.put('networks', network.name, value, listed);
  }
  for (const volume of Object.values(spec.volumes)) {
    if (volume.external) continue;
    const known = maps.volumes.get(volume.name)?.value;
    const given = { stack: spec.name, driver: volume.driver, driverOpts: volume.driverOpts, labels: volume.labels };
    const value: Volume = { node: null, ...known, name: volume.name, ...given };
    plan.volumes[volume.name] = plan.put('volumes', volume.name, value);
    // Slots' own volumes are what they were made after.
    for (const own of slotVolumes(maps, volume.name)) plan.put('volumes', own.name, { ...own, stack: spec.name, labels: volume.labels, driverOpts: volume.driverOpts });
  }
  const digests = { secret: digestsIn(maps, spec, 'secrets'), config: digestsIn(maps, spec, 'configs') };
  const services = Object.values(spec.services).map((service) => withDigests(input.pin?.(service) ?? service, (kind, name) => digests[kind].get(name)));
  const registries = new Set(services.flatMap((service) => imagesOf(service).map(({ image }) => registryOf(image))));
  for (const [registry, auth] of Object.entries(input.registries ?? {})) {
    if (registries.has(registry)) plan.put('registries', registryKey(spec.name, registry), { stack: spec.name, registry, auth }, usesRegistry(maps, spec.name, registry));
  }
  const wanted = fileKeys(services);
  const used = fileKeys(Array.from(maps.services.values(), (entry) => entry.value.spec));
  for (const kind of ['secrets', 'configs'] as const) {
    for (const object of Object.values(spec[kind])) {
      if (object.external || object.digest === undefined) continue;
      const key = fileObjectKey(object.name, object.digest);
      // What no service mounts is not kept.
      if (wanted.has(key)) plan.put(kind, key, object, used.has(key));
    }
  }
  // A port that one service of the stack gives up is free for another one of it.
  for (const service of Object.values(spec.services)) allocations.release(serviceId(spec.name, service.name), service);
  for (const id of removedServices(maps, spec)) allocations.release(id, null);
  const changed = new Set(services.flatMap((service) => (isChanged(input, service) ? [serviceId(service.stack, service.name)] : [])));
  for (const service of services) planService(input, plan, service, changed);
  for (const id of removedServices(maps, spec)) {
    plan.remove('services', id);
    plan.remove('servicestatus', id);
    plan.services[id] = 'removed';
  }
  const names = (record: Readonly<Record<string, { readonly name: string; readonly external?: boolean }>>) =>
    Object.values(record).filter((item) => item.external !== true).map((item) => item.name).sort();
  const stack: Stack = {
    name: spec.name, services: Object.keys(spec.services).sort(), networks: names(spec.networks), volumes: names(spec.volumes), secrets: names(spec.secrets), configs: names(spec.configs),
  };
  plan.put('stacks', spec.name, stack);
  return { ops: plan.ops, result: { stack: spec.name, services: plan.services, networks: plan.networks, volumes: plan.volumes, warnings: driverWarnings(maps, spec) } };
}

/** Volumes whose driver no node has told of: pods will wait for one. */
function driverWarnings(maps: Maps, spec: StackSpec): string[] {
  const known = new Set(Array.from(maps.nodestatus.values(), (entry) => entry.value.volumeDrivers ?? []).flat().map(({ name }) => name));
  const missing = Object.values(spec.volumes).filter((volume) => !volume.external && volume.driver !== 'local' && !known.has(volume.driver));
  return missing.map((volume) => `no node has the volume driver ${volume.driver} yet: pods that mount ${volume.name} wait until one has`);
}

/** Everything of a stack goes, except volumes: they hold data and are removed by name. */
export function planRemove(maps: Maps, name: string): { readonly ops: readonly Op[]; readonly services: readonly string[]; readonly volumes: readonly string[] } {
  const plan = new Plan(maps);
  const services: string[] = [];
  for (const { value: service } of maps.services.values()) {
    if (service.spec.stack !== name) continue;
    services.push(service.id);
    plan.remove('services', service.id);
    plan.remove('servicestatus', service.id);
  }
  plan.remove('stacks', name);
  for (const [id, { value }] of maps.registries) if (value.stack === name) plan.remove('registries', id);
  const volumes = Array.from(maps.volumes.values(), (entry) => entry.value).filter((volume) => volume.stack === name).map((volume) => volume.name);
  return { ops: plan.ops, services, volumes };
}

/** Those made for slots of services that mount it per replica. */
function slotVolumes(maps: Maps, name: string): readonly Volume[] {
  return Array.from(maps.volumes.values(), (entry) => entry.value).filter((volume) => volume.slotOf?.volume === name);
}

/** Its pods are replaced. */
function isChanged({ maps, hash }: ApplyInput, spec: ServiceSpec): boolean {
  const known = maps.services.get(serviceId(spec.stack, spec.name))?.value;
  return known !== undefined && !keepsRevision(known, spec, digestOf(hash, spec));
}

/** A restart asked for gave the revision a suffix: the same spec applied again does not take it back. Limits change in place. */
function keepsRevision(known: Service, spec: ServiceSpec, digest: string): boolean {
  return baseRevision(known.revision) === digest || changesInPlace(known.spec, spec);
}

function digestOf(hash: ApplyInput['hash'], spec: ServiceSpec): string {
  return hash(revisionOf(spec)).replace(/^sha256:/, '').slice(0, 16);
}

function planService(input: ApplyInput, plan: Plan, spec: ServiceSpec, changed: ReadonlySet<string>): void {
  const { maps, allocations, hash } = input;
  const id = serviceId(spec.stack, spec.name);
  const known = maps.services.get(id)?.value;
  const digest = digestOf(hash, spec);
  const revision = known !== undefined && keepsRevision(known, spec, digest) ? known.revision : digest;
  // The revision names what needs new pods; a change beside it (replicas, placement) keeps the name and updates its record.
  plan.put('revisions', `${id}.${revision}`, { service: id, revision, spec }, known?.revision === revision || known?.previous === revision);
  const previous = known === undefined || known.revision === revision ? (known?.previous ?? null) : known.revision;
  const noted = known?.restartAfter ? { restartAfter: known.restartAfter } : {};
  // What is new starts after what it depends on anyway.
  const value = known === undefined ? { id, spec, revision, previous } : withRestarts({ id, spec, revision, previous, ...noted }, changed);
  plan.services[id] = plan.put('services', id, value);
  const status = maps.servicestatus.get(id)?.value;
  const next: ServiceStatus = {
    id, vips: allocations.vips(id, spec), ports: allocations.ports(id, spec),
    update: known !== undefined && known.revision !== revision ? { state: 'updating', message: '' } : (status?.update ?? { state: 'none', message: '' }),
  };
  const verdict = plan.put('servicestatus', id, next);
  if (verdict === 'updated' && plan.services[id] === 'unchanged') plan.services[id] = 'updated';
}

/** One that the stack has given up may be about to be collected. */
function usesRegistry(maps: Maps, stack: string, registry: string): boolean {
  return Array.from(maps.services.values()).some(({ value }) => value.spec.stack === stack && imagesOf(value.spec).some(({ image }) => registryOf(image) === registry));
}

function removedServices(maps: Maps, spec: StackSpec): string[] {
  return Array.from(maps.services.values(), (entry) => entry.value)
    .filter((service) => service.spec.stack === spec.name && spec.services[service.spec.name] === undefined)
    .map((service) => service.id);
}

function digestsIn(maps: Maps, spec: StackSpec, kind: 'secrets' | 'configs'): ReadonlyMap<string, string | undefined> {
  return new Map(Object.values(spec[kind]).map((object) => [object.name, object.external ? externalDigest(maps, kind, object.name) : object.digest]));
}

/** The version that another stack's services use now, or the last one there is. */
function externalDigest(maps: Maps, kind: 'secrets' | 'configs', name: string): string | undefined {
  const objects: ReadonlyMap<string, { readonly value: FileObjectSpec; readonly revision: number }> = maps[kind];
  const versions = Array.from(objects).filter(([, { value }]) => value.name === name);
  if (versions.length === 0) return undefined;
  const owners = Array.from(maps.services.values(), (entry) => entry.value.spec).filter((spec) => maps.stacks.get(spec.stack)?.value[kind].includes(name) === true);
  const used = fileKeys(owners);
  versions.sort(([a, x], [b, y]) => Number(used.has(b)) - Number(used.has(a)) || y.revision - x.revision);
  return versions[0]?.[1].value.digest;
}

function fileKeys(services: readonly ServiceSpec[]): Set<string> {
  const references = services.flatMap(({ template }) => containersOf(template).flatMap((container) => [...container.secrets, ...container.configs]));
  return new Set(references.map(({ source, digest }) => fileObjectKey(source, digest ?? '')));
}

class Plan {
  readonly ops: Op[] = [];
  readonly services: Record<string, Verdict> = {};
  readonly networks: Record<string, Verdict> = {};
  readonly volumes: Record<string, 'created' | 'updated' | 'unchanged'> = {};
  readonly #maps: Maps;

  constructor(maps: Maps) {
    this.#maps = maps;
  }

  /** What is the same is left alone, unless nothing refers to it yet: it might be collected at this moment. */
  put<K extends Kind>(kind: K, id: string, value: Kinds[K], referred = true): 'created' | 'updated' | 'unchanged' {
    const known = this.#maps[kind].get(id);
    const same = known !== undefined && canonical(known.value) === canonical(value);
    if (same && referred) return 'unchanged';
    this.ops.push({ op: 'put', kind, id, value, guard: known?.revision ?? 0 } as unknown as Op);
    return same ? 'unchanged' : known ? 'updated' : 'created';
  }

  remove(kind: Kind, id: string): void {
    const known = this.#maps[kind].get(id);
    if (known) this.ops.push({ op: 'delete', kind, id, guard: known.revision } as unknown as Op);
  }
}
