/** What makes two entries of a list the same one, when files are merged (long syntax on both sides). */
import { get, type Node } from '../parse/tree.ts';

export function lastOf(item: Node, key: string): string {
  const value = get(item, key) ?? get(item, 'source');
  return value?.kind === 'scalar' ? value.text : '';
}

export function volumeKey(item: Node): string {
  return lastOf(item, 'target').replace(/(?<=.)\/+$/, '');
}

export function portKey(item: Node): string {
  const text = (key: string): string => {
    const value = get(item, key);
    return value?.kind === 'scalar' ? value.text : '';
  };
  return [text('host_ip') || '0.0.0.0', text('published'), text('target'), text('protocol') || 'tcp'].join(' ');
}

/** Words that belong together are the same when all of them are. */
export function tupleKey(item: Node): string {
  return item.kind === 'seq' ? JSON.stringify(item.items.map((word) => (word.kind === 'scalar' ? word.text : ''))) : '';
}

/** Secrets and configs: by the place they are mounted at, below `base` unless said otherwise. */
export function grantKey(base: string): (item: Node) => string {
  return (item) => {
    const target = lastOf(item, 'target');
    return target.startsWith('/') ? target : `${base}${target}`;
  };
}

export function pathKey(item: Node): string {
  return lastOf(item, 'path');
}

/** Devices by where they appear in the container; what has a CDI name appears where its file says. */
export function deviceKey(item: Node): string {
  const source = lastOf(item, 'source');
  return source.startsWith('/') ? lastOf(item, 'target') : source;
}
