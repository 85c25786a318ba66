/**
 * What the service table calls things, indexed for lookups and kept up change by change. Names are in lower case. Lookups go
 * by network or stack, so that a thousand stacks with a `web` each cost no more than one.
 */
import { emptyTable } from '../../model/table.ts';
import type { PodEntry, ServiceEntry, ServiceTable } from '../../model/table.ts';
import { podName } from '../../model/pod.ts';
import { parsePrefix, prefixHas } from '../rules/address.ts';
import type { Prefix } from '../rules/address.ts';
import { changedKeys } from '../rules/changed.ts';

export class Names {
  #table: ServiceTable = emptyTable;
  #podNets: readonly Prefix[] = [];
  readonly #services = new Index<ServiceEntry>(serviceKeys);
  readonly #pods = new Index<PodEntry>(podKeys);

  get table(): ServiceTable {
    return this.#table;
  }

  update(table: ServiceTable): void {
    const old = this.#table;
    this.#table = table;
    for (const id of changedKeys(old.services, table.services)) this.#services.replace(id, old.services.get(id), table.services.get(id));
    for (const id of changedKeys(old.pods, table.pods)) this.#pods.replace(id, old.pods.get(id), table.pods.get(id));
    if (old.nodes !== table.nodes) this.#podNets = [...table.nodes.values()].flatMap((node) => parsePrefix(node.subnet) ?? []);
  }

  /** Services that go by this name on this network: their short name, both full names, or an alias there. In order of id. */
  servicesOn(network: string, name: string): readonly ServiceEntry[] {
    return this.#services.get(key.on(network, name));
  }

  /** Pods by host name, `service.slot` or id, on this network. In order of id. */
  podsOn(network: string, name: string): readonly PodEntry[] {
    return this.#pods.get(key.on(network, name));
  }

  /** Whether anything at all goes by this name, on whatever network. */
  knows(name: string): boolean {
    return this.#services.has(key.any(name)) || this.#pods.has(key.any(name));
  }

  /** Whether anything of this stack does. */
  knowsIn(stack: string, name: string): boolean {
    return this.#services.has(key.of(stack, name)) || this.#pods.has(key.of(stack, name));
  }

  /** Whether it is a name that can mean nothing outside: `stack_service`, `service.stack`, a pod's own. */
  isFullName(name: string): boolean {
    return this.#services.has(key.full(name)) || this.#pods.has(key.full(name));
  }

  podAt(ip: string): PodEntry | undefined {
    return this.#pods.get(key.at(ip))[0];
  }

  serviceAt(vip: string): ServiceEntry | undefined {
    return this.#services.get(key.at(vip))[0];
  }

  /** Whether it is an address where pods live. */
  isPodAddress(ip: number): boolean {
    return this.#podNets.some((prefix) => prefixHas(prefix, ip));
  }
}

/** Spaces separate: names of networks and stacks have none, and a name from the wire is always last. */
const key = {
  on: (network: string, name: string) => `on ${network} ${name}`,
  of: (stack: string, name: string) => `of ${stack} ${name}`,
  any: (name: string) => `any ${name}`,
  full: (name: string) => `full ${name}`,
  at: (ip: string) => `at ${ip}`,
} as const;

function lower(...names: readonly string[]): readonly string[] {
  return names.map((name) => name.toLowerCase());
}

function* serviceKeys(service: ServiceEntry): Generator<string> {
  const full = lower(service.id, `${service.name}.${service.stack}`);
  const own = [...lower(service.name), ...full];
  for (const name of full) yield key.full(name);
  for (const { network, vip, aliases } of service.networks) {
    for (const name of [...own, ...lower(...aliases)]) {
      yield key.on(network, name);
      yield key.of(service.stack, name);
      yield key.any(name);
    }
    if (vip !== '') yield key.at(vip);
  }
}

function* podKeys(pod: PodEntry): Generator<string> {
  const full = lower(podName(pod.service, pod.slot), pod.id);
  for (const name of full) yield key.full(name);
  for (const name of [...lower(pod.hostname), ...full]) {
    yield key.of(pod.stack, name);
    yield key.any(name);
    for (const network of pod.networks) yield key.on(network, name);
  }
  yield key.at(pod.ip);
}

/** Values by each of their keys. */
class Index<T extends { readonly id: string }> {
  readonly #keysOf: (value: T) => Iterable<string>;
  readonly #entries = new Map<string, Map<string, T>>();

  constructor(keysOf: (value: T) => Iterable<string>) {
    this.#keysOf = keysOf;
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  get(key: string): readonly T[] {
    const found = this.#entries.get(key);
    if (!found) return [];
    const values = [...found.values()];
    return values.length === 1 ? values : values.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  replace(id: string, before: T | undefined, after: T | undefined): void {
    for (const key of before ? this.#keysOf(before) : []) {
      const values = this.#entries.get(key);
      values?.delete(id);
      if (values?.size === 0) this.#entries.delete(key);
    }
    for (const key of after ? this.#keysOf(after) : []) {
      const values = this.#entries.get(key);
      if (values) values.set(id, after as T);
      else this.#entries.set(key, new Map([[id, after as T]]));
    }
  }
}
