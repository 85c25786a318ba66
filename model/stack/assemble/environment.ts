/** `env_file` and `label_file` are read, bare variables take their values from outside: afterwards a service says it all itself. */
import { parseDotenv } from '../interpolate/dotenv.ts';
import { get, isNull, mapOf, scalar, type Entry, type MapNode, type Node } from '../parse/tree.ts';
import { step, type Path } from '../path.ts';
import { lookupAt, readText, type Session } from './context.ts';

type Lookup = (name: string) => string | undefined;

export class ServiceFiles {
  readonly #session: Session;
  readonly #lookup: Lookup;

  constructor(session: Session, lookup: Lookup) {
    this.#session = session;
    this.#lookup = lookup;
  }

  /** A service, with all containers and hooks that it has besides its own. */
  apply(service: MapNode, path: Path): MapNode {
    const entries = this.#container(service, path);
    this.#each(entries, 'pre_start', path, (item, at) => this.#container(item, at));
    const pod = entries.get('x-pod');
    if (pod?.value.kind === 'map') {
      const below = step(path, 'x-pod');
      const inner = new Map(pod.value.entries);
      this.#each(inner, 'init', below, (item, at) => this.#container(item, at));
      this.#each(inner, 'sidecars', below, (item, at) => this.#container(item, at));
      entries.set('x-pod', { key: pod.key, value: mapOf(pod.value, inner) });
    }
    return mapOf(service, entries);
  }

  #container(container: MapNode, path: Path): Map<string, Entry> {
    const entries = new Map(container.entries);
    const environment = this.#environment(container, path);
    if (environment) set(entries, 'environment', environment);
    const labels = this.#labels(container, path);
    if (labels) set(entries, 'labels', labels);
    entries.delete('env_file');
    entries.delete('label_file');
    for (const key of ['post_start', 'pre_stop']) {
      this.#each(entries, key, path, (hook, at) => {
        const own = this.#environment(hook, at);
        return own ? new Map(hook.entries).set('environment', { key: hook.entries.get('environment')?.key ?? own, value: own }) : hook.entries;
      });
    }
    return entries;
  }

  /** The mappings in a list or mapping at `key`, if it is there. */
  #each(entries: Map<string, Entry>, key: string, path: Path, change: (item: MapNode, path: Path) => ReadonlyMap<string, Entry>): void {
    const list = entries.get(key);
    const below = step(path, key);
    if (list?.value.kind === 'seq') {
      const items = list.value.items.map((item, index) => (item.kind === 'map' ? mapOf(item, change(item, step(below, index))) : item));
      entries.set(key, { key: list.key, value: { ...list.value, items } });
    } else if (list?.value.kind === 'map') {
      const inner = new Map([...list.value.entries].map(([name, entry]): [string, Entry] => [name, entry.value.kind === 'map' ? { key: entry.key, value: mapOf(entry.value, change(entry.value, step(below, name))) } : entry]));
      entries.set(key, { key: list.key, value: mapOf(list.value, inner) });
    }
  }

  /** The files in order, then `environment`; a bare key takes the outer value. */
  #environment(service: MapNode, path: Path): MapNode | null {
    const files = get(service, 'env_file');
    const own = get(service, 'environment');
    if (files?.kind !== 'seq' && own?.kind !== 'map') return null;
    const entries = new Map<string, Entry>();
    for (const [index, file] of files?.kind === 'seq' ? files.items.entries() : []) {
      this.#envFile(entries, file, step(step(path, 'env_file'), index));
    }
    for (const [key, entry] of own?.kind === 'map' ? own.entries : []) {
      const outer = isNull(entry.value) ? lookupAt(this.#session, entry.value, this.#lookup)(key) : undefined;
      entries.set(key, outer === undefined ? entry : { key: entry.key, value: scalar(entry.value, outer) });
    }
    return mapOf(own ?? files ?? service, entries);
  }

  #envFile(entries: Map<string, Entry>, file: Node, path: Path): void {
    const name = get(file, 'path');
    if (name?.kind !== 'scalar') return;
    const required = get(file, 'required');
    const optional = required?.kind === 'scalar' && required.value === false;
    const source = readText(this.#session, name.text, name, path, optional);
    if (!source) return;
    const lookup = lookupAt(this.#session, file, this.#lookup);
    const above = (key: string): string | undefined => {
      const value = entries.get(key)?.value;
      return lookup(key) ?? (value?.kind === 'scalar' && value.value !== null ? value.text : undefined);
    };
    const format = get(file, 'format') ? 'raw' : 'dotenv';
    for (const [key, value] of parseDotenv(source, format, above, this.#session.limits.interpolated, this.#session.sink)) {
      const node = scalar(name, value);
      entries.set(key, { key: node, value: node });
    }
  }

  #labels(service: MapNode, path: Path): MapNode | null {
    const files = get(service, 'label_file');
    if (files?.kind !== 'seq') return null;
    const entries = new Map<string, Entry>();
    for (const [index, file] of files.items.entries()) {
      if (file.kind !== 'scalar') continue;
      const source = readText(this.#session, file.text, file, step(step(path, 'label_file'), index));
      if (!source) continue;
      for (const [key, value] of parseDotenv(source, 'dotenv', lookupAt(this.#session, file, this.#lookup), this.#session.limits.interpolated, this.#session.sink)) {
        const node = scalar(file, value ?? '');
        entries.set(key, { key: node, value: node });
      }
    }
    const own = get(service, 'labels');
    if (own?.kind === 'map') for (const [key, entry] of own.entries) entries.set(key, entry);
    return mapOf(own ?? files, entries);
  }
}

function set(entries: Map<string, Entry>, key: string, value: Node): void {
  entries.set(key, { key: entries.get(key)?.key ?? value, value });
}

