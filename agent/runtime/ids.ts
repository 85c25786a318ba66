/** Names on containerd's side. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { TsorchError } from '../../model/errors.ts';
import type { CreateRequest } from './port.ts';

const accepted = /^[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*$/;
const longest = 76;

/**
 * containerd takes ids of at most 76 characters with single separators; ours may be longer or have other ones. Those are
 * replaced by a readable beginning and a digest; the label `tsorch.id` keeps the original.
 */
export function containerdId(id: string): string {
  if (id.length <= longest && accepted.test(id)) return id;
  const digest = createHash('sha256').update(id).digest('hex').slice(0, 24);
  const readable = id
    .replace(/[^A-Za-z0-9]+/g, '-')
    .slice(0, 40)
    .replace(/^-+|-+$/g, '');
  return readable === '' ? digest : `${readable}-${digest}`;
}

/** Where a shim listens, by containerd's own rule; `group` is what the shim's containers share. */
export function shimSocket(address: string, namespace: string, group: string): string {
  return join('/run/containerd/s', createHash('sha256').update(join(address, namespace, group)).digest('hex'));
}

/** A name that is safe as one directory of a cgroup path. */
export function pathSegment(name: string): string {
  return /^[A-Za-z0-9][\w.-]{0,199}$/.test(name) ? name : containerdId(name);
}

/** `/<prefix>/[<cgroup_parent>/]<pod>/<container>`. `invalid` for a parent that leads out of it. */
export function cgroupPath(prefix: string, request: Pick<CreateRequest, 'id' | 'podId' | 'spec'>): string {
  const parent = (request.spec.cgroupParent ?? '').split('/').filter((part) => part !== '');
  const bad = parent.find((part) => !/^[\w@:-][\w@:.-]{0,199}$/.test(part));
  if (bad !== undefined) {
    throw new TsorchError('invalid', `cgroup_parent: ${JSON.stringify(request.spec.cgroupParent)} is no path of a cgroup`, { hint: 'write names with slashes between; the place is below the cgroup of this host\'s pods' });
  }
  return `/${[prefix, ...parent, pathSegment(request.podId), pathSegment(request.id)].join('/')}`;
}
