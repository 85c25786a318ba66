/** What an apply would change of a service, field by field. */
import type { ServiceSpec } from '../../model/spec.ts';
import { canonical } from '../../model/canonical.ts';
import { changesInPlace } from '../../model/revision.ts';

export interface FieldChange {
  /** `template.containers[web].env.MODE`; things with names go by them, other items of arrays by number. */
  readonly path: string;
  /** Absent when the field is. */
  readonly before?: unknown;
  readonly after?: unknown;
}

export interface ServiceDiff {
  /** Pods are replaced, not only records changed. */
  readonly restarts: boolean;
  /** By path. */
  readonly changes: readonly FieldChange[];
}

export function diffService(before: ServiceSpec, after: ServiceSpec): ServiceDiff {
  const changes: FieldChange[] = [];
  compare('', before, after, changes);
  return { restarts: !changesInPlace(before, after), changes: changes.sort((a, b) => (a.path < b.path ? -1 : 1)) };
}

function compare(path: string, before: unknown, after: unknown, changes: FieldChange[]): void {
  if (canonical(before) === canonical(after)) return;
  const left = fieldsOf(before);
  const right = fieldsOf(after);
  if (left === null || right === null || left.array !== right.array) {
    changes.push({ path, ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }) });
    return;
  }
  for (const key of new Set([...left.fields.keys(), ...right.fields.keys()])) {
    const inner = left.array ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`;
    compare(inner, left.fields.get(key), right.fields.get(key), changes);
  }
}

interface Fields {
  readonly array: boolean;
  readonly fields: ReadonlyMap<string, unknown>;
}

/** The parts of a value that are compared one by one; null when the value counts as a whole. */
function fieldsOf(value: unknown): Fields | null {
  if (value === null || typeof value !== 'object') return null;
  if (!Array.isArray(value)) return { array: false, fields: new Map(Object.entries(value).filter(([, field]) => field !== undefined)) };
  const items: readonly unknown[] = value;
  const names = items.map(nameOf);
  // Plain lists (a command, capabilities) read better whole than item by item.
  if (names.some((name) => name === null) || new Set(names).size < names.length) return null;
  return { array: true, fields: new Map(items.map((item, index) => [names[index] ?? '', item])) };
}

/** What people know an item of a list by. */
function nameOf(item: unknown): string | null {
  if (item === null || typeof item !== 'object') return null;
  const record = item as Readonly<Record<string, unknown>>;
  for (const key of ['name', 'network', 'service', 'source', 'target']) {
    const name = record[key];
    // A port is known by its target and protocol, a mount by its target alone.
    const { protocol } = record;
    if (typeof name === 'string' || typeof name === 'number') return key === 'target' && typeof protocol === 'string' ? `${name}/${protocol}` : String(name);
  }
  return null;
}
