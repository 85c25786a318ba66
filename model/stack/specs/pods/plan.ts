/**
 * Which services share a pod: one that says `network_mode: service:db` has no pods of its own, its container is one of db's.
 * Here it is only settled who belongs to whom; `template.ts` makes the pod.
 */
import { didYouMean } from '../../suggest.ts';
import type { Reader } from '../reader.ts';

export interface PodPlan {
  /** The service whose pod a service's container is in: itself for most. */
  readonly owner: (service: string) => string;
  /** The services of a pod, its owner first, the others in the order of the file. */
  readonly members: (owner: string) => readonly string[];
  /** What a service named in `network_mode`. */
  readonly joins: (service: string) => string | undefined;
  /** The service of a container that is known by its name in Docker: `container_name`, or as Compose and tsorch make it. */
  readonly byContainer: (name: string) => string | undefined;
}

export interface PlanSources {
  readonly stack: string;
  readonly services: readonly (readonly [string, Reader])[];
  /** `container_name` → the service that has it. */
  readonly containerNames: ReadonlyMap<string, string>;
  readonly inactive: ReadonlyMap<string, readonly string[]>;
}

/** `service:db` or `container:db`. */
export interface NamespaceReference {
  readonly kind: 'service' | 'container';
  readonly name: string;
}

export function parseReference(text: string): NamespaceReference | null {
  const parts = /^(service|container):(.*)$/s.exec(text);
  return parts ? { kind: parts[1] as NamespaceReference['kind'], name: parts[2] ?? '' } : null;
}

export function planPods(sources: PlanSources): PodPlan {
  const names = new Set(sources.services.map(([name]) => name));
  const byContainer = (name: string): string | undefined => sources.containerNames.get(name) ?? made(name, sources.stack, names);
  const joins = new Map<string, string>();
  for (const [name, service] of sources.services) {
    const reference = parseReference(service.text('network_mode') ?? '');
    const target = reference && targetOf(reference, service.at('network_mode'), { ...sources, names, byContainer });
    if (target !== null && target !== undefined) joins.set(name, target);
  }
  const owners = findOwners(sources.services, joins);
  const owner = (service: string): string => owners.get(service) ?? service;
  const members = new Map<string, string[]>();
  for (const [name] of sources.services) {
    const own = owner(name);
    const list = members.get(own);
    if (!list) members.set(own, name === own ? [name] : [own, name]);
    else if (name !== own) list.push(name);
  }
  return { owner, members: (own) => members.get(own) ?? [own], joins: (service) => joins.get(service), byContainer };
}

interface Names extends PlanSources {
  readonly names: ReadonlySet<string>;
  readonly byContainer: (name: string) => string | undefined;
}

function targetOf({ kind, name }: NamespaceReference, at: Reader, { names, byContainer, containerNames, inactive }: Names): string | null {
  if (kind === 'service') {
    if (names.has(name)) return name;
    const profiles = inactive.get(name);
    if (profiles) at.error(`${name} belongs to the profile ${profiles.join(', ')}, which is not switched on`, `apply with --profile ${profiles[0] ?? ''}`);
    else at.error(`there is no service ${JSON.stringify(name)}`, didYouMean(name, names) ?? 'name a service of this stack');
    return null;
  }
  const service = byContainer(name);
  if (service !== undefined) return service;
  at.error(`there is no container ${JSON.stringify(name)} in this stack`, names.has(name) ? `write service:${name}` : didYouMean(name, containerNames.keys()) ?? 'name a service of this stack: service:NAME');
  return null;
}

/** `shop_db`, `shop_db.1`, and Compose's `shop-db-1`. */
function made(name: string, stack: string, services: ReadonlySet<string>): string | undefined {
  if (!name.startsWith(`${stack}_`) && !name.startsWith(`${stack}-`)) return undefined;
  const rest = name.slice(stack.length + 1);
  if (services.has(rest)) return rest;
  const service = rest.replace(/[._-]\d+$/, '');
  return services.has(service) ? service : undefined;
}

/** The end of every chain of joins; the last link of a circle is an error, and taken out. */
function findOwners(services: PlanSources['services'], joins: Map<string, string>): ReadonlyMap<string, string> {
  const owners = new Map<string, string>();
  const readers = new Map(services);
  for (const [start] of services) {
    const trail = new Set<string>();
    let at = start;
    while (!owners.has(at)) {
      trail.add(at);
      const next = joins.get(at);
      if (next === undefined) break;
      if (trail.has(next)) {
        const ring = [...trail].slice([...trail].indexOf(next));
        const shown = ring.length > 10 ? [...ring.slice(0, 5), '…', ...ring.slice(-4)] : ring;
        readers.get(at)?.at('network_mode').error(next === at ? `the service ${at} cannot join itself` : `services join each other: ${[...shown, next].join(' → ')}`, 'one of them must have a network of its own');
        joins.delete(at);
        break;
      }
      at = next;
    }
    const end = owners.get(at) ?? at;
    for (const name of trail) owners.set(name, end);
  }
  return owners;
}
