/** From etcd's bytes to an entry. */
import type { IKeyValue } from 'etcd3';
import type { Log } from '../../../lib/log.ts';
import type { AnyEntry, Kind } from '../port.ts';

/**
 * Null for a value that is not JSON: somebody wrote it by hand. It is reported and passed over, so that readers keep what
 * they had; taking it for a deletion would stop things that run.
 */
export function decodeEntry(name: { readonly kind: Kind; readonly id: string }, kv: IKeyValue, log: Log): AnyEntry | null {
  try {
    return { ...name, value: JSON.parse(kv.value.toString()) as unknown, revision: Number(kv.mod_revision) } as AnyEntry;
  } catch (error) {
    log.error('a value in etcd is not JSON and is ignored; put it right with etcdctl', { key: kv.key.toString(), error });
    return null;
  }
}
