/**
 * Where things live in etcd: `/tsorch/v1/<kind>/<id>` for everything the store knows, `/tsorch/ops/<client>/<slot>` for the
 * marks that tell whether a commit with a lost reply happened. Ids are percent-encoded, so the usual ones read as they are.
 */
import type { Kind } from './port.ts';

export const defaultRoot = '/tsorch/';

export interface Range {
  readonly start: string;
  readonly end: string;
}

export interface KeySpace {
  key(kind: Kind, id: string): string;
  /** What a key under `v1/` stands for; null for what is not ours. */
  parse(key: string): { readonly kind: Kind; readonly id: string } | null;
  /** The range of one kind. */
  kind(kind: Kind): Range;
  /** The range of all kinds. */
  all(): Range;
  /** The key of an Epoch, `<kind>/<id>`. */
  named(name: string): string;
  slot(client: string, slot: number): string;
}

export function keySpace(root: string = defaultRoot): KeySpace {
  const base = `${root}v1/`;
  return {
    key: (kind, id) => `${base}${kind}/${encodeURIComponent(id)}`,
    parse(key) {
      if (!key.startsWith(base)) return null;
      const [kind, id, ...rest] = key.slice(base.length).split('/');
      if (!kind || id === undefined || rest.length > 0) return null;
      try {
        return { kind: kind as Kind, id: decodeURIComponent(id) };
      } catch {
        return null;
      }
    },
    kind: (kind) => prefixRange(`${base}${kind}/`),
    all: () => prefixRange(base),
    named: (name) => `${base}${name}`,
    slot: (client, slot) => `${root}ops/${encodeURIComponent(client)}/${slot}`,
  };
}

/** The half-open range of all keys that begin with `prefix`, which must end in an ASCII character. */
export function prefixRange(prefix: string): Range {
  const last = prefix.charCodeAt(prefix.length - 1);
  return { start: prefix, end: prefix.slice(0, -1) + String.fromCharCode(last + 1) };
}
