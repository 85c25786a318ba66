/** `env_file` and `label_file` are read, bare variables take their values from outside: afterwards a service says it all itself. */
import { parseDotenv } from '../interpolate/dotenv.ts';
import { get, isNull, mapOf, scalar, type Entry, type MapNode, type Node } from '../parse/tree.ts';
import { step, type Path } from '../path.ts';
import { readText, type Session } from './context.ts';

type Lookup = (name: string) => string | undefined;

export class ServiceFiles {
  readonly #session: Session;
  readonly #lookup: Lookup;

  constructor(session: Session, lookup: Lookup) {
    this.#session = session;
    this.#lookup = lookup;
  }

  apply(service: MapNode, path: Path): MapNode {
    const entries = new Map(service.entries);
    const environment = this.#environment(service, path);
    if (environment) set(entries, 'environment', environment);
    const labels = this.#labels(service, path);
    if (labels) set(entries, 'labels', labels);
    entries.delete('env_file');
    entries.delete('label_file');
    return mapOf(service, entries);
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
      const outer = isNull(entry.value) ? this.#lookup(key) : undefined;
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
    const above = (key: string): string | undefined => {
      const value = entries.get(key)?.value;
      return this.#lookup(key) ?? (value?.kind === 'scalar' && value.value !== null ? value.text : undefined);
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
      for (const [key, value] of parseDotenv(source, 'dotenv', this.#lookup, this.#session.limits.interpolated, this.#session.sink)) {
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

