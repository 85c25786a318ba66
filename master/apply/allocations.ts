/** What is given out to stacks: network groups, VIPs, published ports. A fresh value per apply, made from the store's maps. */
import { TsorchError } from '../../model/errors.ts';
import type { AllocatedPort } from '../../model/service.ts';
import type { PortSpec, ServiceSpec } from '../../model/spec.ts';
import { AddressPool, allocateVips } from '../../model/allocate/addresses.ts';
import { allocateGroup } from '../../model/allocate/groups.ts';
import { allocatePorts, type PortOwner } from '../../model/allocate/ports.ts';
import type { Allocated } from '../../model/allocate/result.ts';
import { allocateSubnet } from '../../model/allocate/subnets.ts';
import type { Maps } from '../world.ts';

export class Allocations {
  readonly #maps: Maps;
  readonly #pool: AddressPool;
  readonly #groups: Set<number>;
  readonly #ports = new Map<string, readonly AllocatedPort[]>();

  constructor(maps: Maps, serviceCidr: string) {
    this.#maps = maps;
    const statuses = Array.from(maps.servicestatus.values(), (entry) => entry.value);
    this.#pool = new AddressPool(serviceCidr, statuses.flatMap((status) => status.vips.map((vip) => vip.ip)));
    this.#groups = new Set(Array.from(maps.networks.values(), (entry) => entry.value.group));
    for (const status of statuses) this.#ports.set(status.id, status.ports);
    // A port that answers on every host cannot be one that a host has for itself.
    for (const { value: { pod, ports } } of maps.staticpods.values()) {
      const owner = `${pod.service} of a manifest on ${maps.nodes.get(pod.node ?? '')?.value.name ?? 'a node'}`;
      this.#ports.set(owner, ports.map((port) => ({ ...port, mode: 'host' })));
    }
  }

  group(): number {
    const group = take(allocateGroup(this.#groups));
    this.#groups.add(group);
    return group;
  }

  /** Forgets the ports that a service has and its new spec does not: within one apply they are free for others. */
  release(id: string, spec: ServiceSpec | null): void {
    const ports = this.#ports.get(id) ?? [];
    this.#ports.set(id, spec === null ? [] : ports.filter((port) => spec.ports.some((wanted) =>
      wanted.protocol === port.protocol && wanted.target === port.target && wanted.mode === port.mode && keeps(wanted, port.published))));
  }

  vips(id: string, spec: ServiceSpec): readonly { readonly network: string; readonly ip: string }[] {
    const networks = spec.endpointMode === 'vip' && spec.template.networkMode === 'pod' ? spec.networks.map((attachment) => attachment.network) : [];
    return take(allocateVips(networks, this.#maps.servicestatus.get(id)?.value.vips ?? [], this.#pool));
  }

  ports(id: string, spec: ServiceSpec): readonly AllocatedPort[] {
    const others = function* (all: ReadonlyMap<string, readonly AllocatedPort[]>): Iterable<PortOwner> {
      for (const [service, ports] of all) for (const port of ports) yield { service, port };
    };
    const result = allocatePorts(id, spec.ports, this.#maps.servicestatus.get(id)?.value.ports ?? [], others(this.#ports));
    if ('conflict' in result) throw new TsorchError('conflict', result.conflict, { path: `services.${spec.name}.ports`, hint: 'publish another port, or none for one to be picked' });
    if ('exhausted' in result) throw new TsorchError('exhausted', result.exhausted, { path: `services.${spec.name}.ports` });
    this.#ports.set(id, result.ok);
    return result.ok;
  }
}

/** Whether the port may have this number. One that was picked is kept as long as it may be picked again. */
function keeps(wanted: PortSpec, published: number): boolean {
  if (wanted.published === undefined) return true;
  return wanted.publishedTo === undefined ? wanted.published === published : published >= wanted.published && published <= wanted.publishedTo;
}

/** The next host's pod subnet. */
export function nextSubnet(maps: Maps): string {
  const cluster = maps.cluster.get('config')?.value;
  if (!cluster) throw new TsorchError('unavailable', 'this master is still starting', { hint: 'try again in a second' });
  return take(allocateSubnet(cluster.podCidr, cluster.nodePrefix, Array.from(maps.nodes.values(), (entry) => entry.value.subnet)));
}

function take<T>(result: Allocated<T>): T {
  if ('exhausted' in result) throw new TsorchError('exhausted', result.exhausted);
  return result.ok;
}
