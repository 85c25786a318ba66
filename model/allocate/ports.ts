/** Published ports. An ingress port answers on every node, so no two services can have the same. */
import type { AllocatedPort } from '../service.ts';
import type { PortSpec } from '../spec.ts';

export const portRange = { first: 30_000, last: 32_767 } as const;

/** A port that a service has, of any mode. */
export interface PortOwner {
  /** Service id. */
  readonly service: string;
  readonly port: AllocatedPort;
}

export type PortsResult =
  | { readonly ok: readonly AllocatedPort[] }
  /** Names both services and the port, for people. */
  | { readonly conflict: string; readonly with: string }
  | { readonly exhausted: string };

/**
 * Ports for `service`, in the order of its spec. Numbers that were given before are kept for the same target, protocol and
 * mode; new ones are the lowest free of the range (the file's, or ours), or the highest: a master and a host's own manifests, which know nothing
 * of one another, begin at different ends. Two `host` ports of one number are for the scheduler to keep apart.
 */
export function allocatePorts(
  service: string, specs: readonly PortSpec[], existing: readonly AllocatedPort[], others: Iterable<PortOwner>, from: 'lowest' | 'highest' = 'lowest',
): PortsResult {
  const taken = new Map<string, PortOwner[]>();
  const take = (owner: PortOwner) => {
    const key = keyOf(owner.port);
    const owners = taken.get(key);
    if (owners) owners.push(owner);
    else taken.set(key, [owner]);
  };
  for (const owner of others) if (owner.service !== service) take(owner);

  // Numbers that people chose come first: a number picked for one port must not stand in the way of the next.
  const result: (AllocatedPort | undefined)[] = specs.map(() => undefined);
  for (const [index, spec] of specs.entries()) {
    if (spec.published === undefined || spec.publishedTo !== undefined) continue;
    const port = fill(spec, spec.published);
    const enemy = taken.get(keyOf(port))?.find((owner) => clashes(owner.port, port) && !(owner.service === service && same(owner.port, port)));
    if (enemy) return { conflict: describe(service, port, enemy), with: enemy.service };
    take({ service, port });
    result[index] = port;
  }
  const kept = [...existing];
  for (const [index, spec] of specs.entries()) {
    if (spec.published !== undefined && spec.publishedTo === undefined) continue;
    const { first, last } = rangeOf(spec);
    const before = kept.findIndex((port) => port.target === spec.target && port.protocol === spec.protocol && port.mode === spec.mode && port.published >= first && port.published <= last && !taken.has(keyOf(port)));
    const published = before >= 0 ? kept.splice(before, 1)[0]?.published : firstFree(spec.protocol, first, last, taken, from);
    if (published === undefined) return { exhausted: `no port from ${first} to ${last} is free for ${spec.protocol} ${spec.target} of ${service}` };
    const port = fill(spec, published);
    take({ service, port });
    result[index] = port;
  }
  return { ok: result.filter((port) => port !== undefined) };
}

function fill(spec: PortSpec, published: number): AllocatedPort {
  const { target, protocol, mode, hostIp } = spec;
  return { target, published, protocol, mode, ...(hostIp === undefined ? {} : { hostIp }) };
}

function keyOf(port: Pick<AllocatedPort, 'protocol' | 'published'>): string {
  return `${port.protocol}/${port.published}`;
}

/** Where the number is picked: the range of the file, or ours. */
export function rangeOf({ published, publishedTo }: PortSpec): { readonly first: number; readonly last: number } {
  return published === undefined || publishedTo === undefined ? portRange : { first: published, last: publishedTo };
}

function firstFree(protocol: string, first: number, last: number, taken: ReadonlyMap<string, unknown>, from: 'lowest' | 'highest'): number | undefined {
  for (let step = 0; step <= last - first; step++) {
    const port = from === 'lowest' ? first + step : last - step;
    if (!taken.has(`${protocol}/${port}`)) return port;
  }
  return undefined;
}

/** Of the same protocol and number. */
function clashes(a: AllocatedPort, b: AllocatedPort): boolean {
  if (a.mode === 'host' && b.mode === 'host') return false;
  return isAny(a.hostIp) || isAny(b.hostIp) || a.hostIp === b.hostIp;
}

function isAny(ip: string | undefined): boolean {
  return ip === undefined || ip === '' || ip === '0.0.0.0' || ip === '::';
}

function same(a: AllocatedPort, b: AllocatedPort): boolean {
  return a.target === b.target && a.mode === b.mode && a.hostIp === b.hostIp;
}

function describe(service: string, port: AllocatedPort, enemy: PortOwner): string {
  const name = `port ${port.published}/${port.protocol}`;
  if (enemy.service === service) return `${service} publishes ${name} twice, for ${enemy.port.target} and ${port.target}`;
  const how = enemy.port.mode === port.mode ? '' : ` (${enemy.port.mode === 'host' ? 'on its hosts' : 'on every node'})`;
  return `${service} cannot publish ${name}: ${enemy.service} has it${how}`;
}
