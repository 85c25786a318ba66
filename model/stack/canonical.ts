/** The resolved tree → the document that `tsorch config` prints, and its printing. */
import { stringify } from 'yaml';
import { get, map, mapOf, scalar, toJson, type Entry, type MapNode, type Node } from './parse/tree.ts';
import type { ComposeModel, Json } from './types.ts';

const order = ['name', 'services', 'networks', 'volumes', 'secrets', 'configs'];
const named = ['networks', 'volumes', 'secrets', 'configs'];

/** Adds what the defaults give: the stack's name, the names in the cluster, the network `default`. Takes away what is done with. */
export function canonical(tree: MapNode, stack: string): ComposeModel {
  const entries = new Map(tree.entries);
  entries.delete('version');
  entries.delete('include');
  set(entries, 'name', scalar(tree, stack));
  const services = tree.entries.get('services')?.value;
  let needsDefault = false;
  if (services?.kind === 'map') {
    const list = new Map<string, Entry>();
    for (const [name, entry] of services.entries) {
      const joins = entry.value.kind === 'map' && sizeOf(entry.value.entries.get('networks')) === 0 && !modeOf(entry.value);
      needsDefault ||= joins;
      const joined = joins && entry.value.kind === 'map' ? withDefault(entry.value) : entry.value;
      list.set(name, { key: entry.key, value: joined.kind === 'map' ? withDefaults(withDependencies(joined)) : joined });
    }
    set(entries, 'services', mapOf(services, list));
  }
  const networks = tree.entries.get('networks')?.value;
  if (needsDefault && !(networks?.kind === 'map' && networks.entries.has('default'))) {
    const list = new Map<string, Entry>(networks?.kind === 'map' ? networks.entries : []);
    list.set('default', { key: tree, value: map(tree, []) });
    set(entries, 'networks', mapOf(networks ?? tree, list));
  }
  for (const section of named) {
    const list = entries.get(section)?.value;
    if (list?.kind === 'map') set(entries, section, mapOf(list, new Map([...list.entries].map(([key, entry]) => [key, withName(key, entry, stack)]))));
  }
  const keys = [...order.filter((key) => entries.has(key)), ...[...entries.keys()].filter((key) => !order.includes(key))];
  const model = Object.fromEntries(keys.map((key) => [key, toJson((entries.get(key) as Entry).value)]));
  // Every value was conformed to the table that the type is made from.
  return { name: stack, services: {}, ...model } as ComposeModel;
}

/** A service that names no network is on the default one. */
function withDefault(service: MapNode): MapNode {
  const entries = new Map(service.entries);
  set(entries, 'networks', map(service, [['default', map(service, [])]]));
  return mapOf(service, entries);
}

/** What the long syntax of `depends_on` leaves out, the short one says; after merging, because files may complete each other. */
function withDependencies(service: MapNode): MapNode {
  const list = service.entries.get('depends_on');
  if (list?.value.kind !== 'map') return service;
  const made = new Map([...list.value.entries].map(([name, entry]): [string, Entry] => {
    const given = new Map(entry.value.kind === 'map' ? entry.value.entries : []);
    for (const [key, value] of [['condition', 'service_started'], ['required', true]] as const) if (!given.has(key)) set(given, key, scalar(entry.value, value));
    return [name, { key: entry.key, value: mapOf(entry.value, given) }];
  }));
  return mapOf(service, new Map(service.entries).set('depends_on', { key: list.key, value: mapOf(list.value, made) }));
}

/** What Docker's loader adds to the long syntax where it says less: so both syntaxes come out alike. */
function withDefaults(service: MapNode): MapNode {
  const ports = fill(service, 'ports', (port) => ({ ...absent(port, 'mode', 'ingress'), ...absent(port, 'protocol', 'tcp') }));
  return fill(ports, 'volumes', (volume) => {
    const type = get(volume, 'type');
    const bind = get(volume, 'bind');
    return type?.kind === 'scalar' && type.text === 'bind' && !get(bind, 'create_host_path') ? { bind: mapOf(bind ?? volume, new Map<string, Entry>([...(bind?.kind === 'map' ? bind.entries : []), ['create_host_path', { key: volume, value: scalar(volume, true) }]])) } : {};
  });
}

function absent(node: MapNode, key: string, value: string): Readonly<Record<string, string>> {
  return node.entries.has(key) ? {} : { [key]: value };
}

function fill(service: MapNode, key: string, more: (item: MapNode) => Readonly<Record<string, Node | string>>): MapNode {
  const list = service.entries.get(key);
  if (list?.value.kind !== 'seq') return service;
  const items = list.value.items.map((item) => {
    const added = item.kind === 'map' ? Object.entries(more(item)) : [];
    if (item.kind !== 'map' || added.length === 0) return item;
    const entries = new Map(item.entries);
    for (const [name, value] of added) set(entries, name, typeof value === 'string' ? scalar(item, value) : value);
    return mapOf(item, entries);
  });
  return mapOf(service, new Map(service.entries).set(key, { key: list.key, value: { ...list.value, items } }));
}

function withName(key: string, entry: Entry, stack: string): Entry {
  const { value } = entry;
  if (value.kind !== 'map') return entry;
  const external = value.entries.get('external')?.value;
  const old = external?.kind === 'map' ? external.entries.get('name')?.value : undefined;
  const isExternal = external?.kind === 'map' || (external?.kind === 'scalar' && /^true$/i.test(external.text));
  const entries = new Map(value.entries);
  const name = entries.get('name')?.value;
  if (name?.kind !== 'scalar' || name.text === '') set(entries, 'name', old ?? scalar(value, isExternal ? key : `${stack}_${key}`));
  if (isExternal) set(entries, 'external', scalar(value, true));
  return { key: entry.key, value: mapOf(value, entries) };
}

function set(entries: Map<string, Entry>, key: string, value: Entry['value']): void {
  entries.set(key, { key: entries.get(key)?.key ?? value, value });
}

function sizeOf(entry: Entry | undefined): number {
  return entry?.value.kind === 'map' ? entry.value.entries.size : 0;
}

function modeOf(service: MapNode): boolean {
  const mode = service.entries.get('network_mode')?.value;
  return mode?.kind === 'scalar' && /^(host|none|service:.*|container:.*)$/.test(mode.text);
}

/** Text that loads again to the same stack: dollars are doubled. */
export function printCompose(model: ComposeModel, format: 'yaml' | 'json'): string {
  const escaped = escapeDollars(model);
  return format === 'json' ? `${JSON.stringify(escaped, null, 2)}\n` : stringify(escaped, { lineWidth: 0, aliasDuplicateObjects: false });
}

function escapeDollars(value: Json): Json {
  if (typeof value === 'string') return value.replaceAll('$', '$$$$');
  if (Array.isArray(value)) return value.map(escapeDollars);
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, escapeDollars(item)]));
  return value;
}
