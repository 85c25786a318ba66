/** Bind mounts: a path of the host, checked before a runtime fails on it in words of its own. */
import fs from 'node:fs/promises';
import { TsorchError } from '../../model/errors.ts';
import type { MountSpec } from '../../model/spec.ts';
import type { ResolvedMount } from '../runtime/port.ts';
import { isThere } from '../state.ts';
import type { Mounter } from './mounter.ts';
import { safePath } from './names.ts';

type BindMount = Extract<MountSpec, { kind: 'bind' }>;

/** `invalid` when the source is not there and may not be made, or cannot share its mounts as asked. */
export async function resolveBind(mount: BindMount, mounter: Pick<Mounter, 'mountOf'>): Promise<ResolvedMount> {
  const source = safePath('bind source', mount.source);
  const target = safePath('mount target', mount.target);
  if (!(await isThere(source))) {
    if (!mount.createHostPath) throw new TsorchError('invalid', `${source} is not on this node`, { hint: 'create it there, or set bind.create_host_path' });
    await fs.mkdir(source, { recursive: true });
  }
  if (!mount.propagation.endsWith('private')) await checkPropagation(source, mount.propagation, mounter);
  return { source, target, type: 'bind', options: ['rbind', mount.readOnly ? 'ro' : 'rw', mount.propagation] };
}

async function checkPropagation(source: string, wanted: BindMount['propagation'], mounter: Pick<Mounter, 'mountOf'>): Promise<void> {
  const on = mounter.mountOf(await fs.realpath(source));
  if (on === undefined || on.propagation === 'shared' || (wanted.endsWith('slave') && on.propagation === 'slave')) return;
  throw new TsorchError('invalid', `${source} is on the mount ${on.target}, which is not shared, so propagation cannot be ${wanted}`, { hint: `run mount --make-rshared ${on.target} on that node` });
}
