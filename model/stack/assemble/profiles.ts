/** Services of profiles that are not switched on are left out, with everything that only they use. */
import { get, mapOf, type Entry, type MapNode } from '../parse/tree.ts';

export interface Selected {
  readonly tree: MapNode;
  /** Services left out → the profiles that would switch them on. */
  readonly inactive: ReadonlyMap<string, readonly string[]>;
}

export function selectProfiles(tree: MapNode, active: ReadonlySet<string>): Selected {
  const services = tree.entries.get('services');
  const inactive = new Map<string, readonly string[]>();
  if (services?.value.kind !== 'map') return { tree, inactive };
  const kept = new Map<string, Entry>();
  for (const [name, entry] of services.value.entries) {
    const list = get(entry.value, 'profiles');
    const profiles = list?.kind === 'seq' ? list.items.flatMap((item) => (item.kind === 'scalar' ? [item.text] : [])) : [];
    if (profiles.length === 0 || active.has('*') || profiles.some((profile) => active.has(profile))) kept.set(name, entry);
    else inactive.set(name, profiles);
  }
  if (inactive.size === 0) return { tree, inactive };
  const entries = new Map(tree.entries).set('services', { key: services.key, value: mapOf(services.value, kept) });
  return { tree: mapOf(tree, entries), inactive };
}
