/** A pod's files that come and go with it: name files, secrets (in memory only) and configs, as mounts for its containers. */
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import type { Assignment } from '../../model/assignment.ts';
import { TsorchError } from '../../model/errors.ts';
import type { ContainerSpec } from '../../model/spec.ts';
import { gatewayAddress } from '../network/port.ts';
import type { ResolvedMount } from '../runtime/port.ts';
import { isMissing, isThere } from '../state.ts';
import type { Mounter } from './mounter.ts';
import { safeName, safePath } from './names.ts';
import { nameFiles } from './network-files.ts';

export interface PodFilesOptions {
  /** Gone after a reboot, as `/run` is. */
  readonly runDir: string;
  readonly mounter: Mounter;
  /** Host files that pods on the host's network share. */
  readonly hostFiles?: { readonly resolvConf: string; readonly hosts: string };
}

export class PodFiles {
  readonly #options: PodFilesOptions;

  constructor(options: PodFilesOptions) {
    this.#options = options;
  }

  /**
   * Writes all of the pod's files, in place where they are: a container has them mounted by inode. Files at the positions
   * `withheld` must be there already; `unavailable` when they are not.
   */
  async write(assignment: Assignment, withheld: ReadonlySet<number> = new Set()): Promise<void> {
    const directory = this.#directory(assignment.pod.id);
    mkdirSync(directory, { recursive: true, mode: 0o711 });
    const host = this.#options.hostFiles ?? { resolvConf: '/etc/resolv.conf', hosts: '/etc/hosts' };
    const onHost = assignment.template.networkMode === 'host';
    const texts = nameFiles(assignment, gatewayAddress, { resolvConf: onHost ? await readText(host.resolvConf) : '', hosts: onHost ? await readText(host.hosts) : '' });
    put(path.join(directory, 'resolv.conf'), texts.resolvConf, 0o644);
    put(path.join(directory, 'hosts'), texts.hosts, 0o644);
    put(path.join(directory, 'hostname'), texts.hostname, 0o644);
    const secrets = path.join(directory, 'secrets');
    if (assignment.files.some((file) => file.kind === 'secret') && !this.#options.mounter.isMounted(secrets)) {
      mkdirSync(secrets, { recursive: true, mode: 0o700 });
      this.#options.mounter.secretTmpfs(secrets);
    }
    for (const [index, file] of assignment.files.entries()) {
      const target = this.#file(assignment.pod.id, file.kind, index);
      if (withheld.has(index)) {
        if (await isThere(target)) continue;
        throw new TsorchError('unavailable', `waiting for a master: the secret ${file.reference.source} is not kept on this node's disk`);
      }
      mkdirSync(path.dirname(target), { recursive: true, mode: 0o700 });
      put(target, Buffer.from(file.content, 'base64'), file.reference.mode & 0o7777);
      chownSync(target, file.reference.uid, file.reference.gid);
    }
  }

  /** Mounts of one container: its secrets and configs, then the name files, which a mount of the user's may replace. */
  mounts(assignment: Assignment, container: ContainerSpec): readonly ResolvedMount[] {
    const id = assignment.pod.id;
    const files = assignment.files.flatMap((file, index): ResolvedMount[] => {
      if (file.container !== container.name) return [];
      const { target, source } = file.reference;
      const fallback = file.kind === 'secret' ? `/run/secrets/${target || source}` : `/${target || source}`;
      return [{ source: this.#file(id, file.kind, index), target: safePath('file target', target.startsWith('/') ? target : fallback), type: 'bind', options: ['bind', 'ro', 'nosuid', 'nodev', 'rprivate'] }];
    });
    const names = (['resolv.conf', 'hosts', 'hostname'] as const).map(
      (name): ResolvedMount => ({ source: path.join(this.#directory(id), name), target: `/etc/${name}`, type: 'bind', options: ['bind', 'rw', 'rprivate'] }),
    );
    return [...files, ...names];
  }

  /** Takes it all away. */
  async release(podId: string): Promise<void> {
    const directory = this.#directory(podId);
    this.#options.mounter.unmount(path.join(directory, 'secrets'));
    await fs.rm(directory, { recursive: true, force: true });
  }

  #directory(podId: string): string {
    return path.join(this.#options.runDir, 'pods', safeName('pod', podId));
  }

  #file(podId: string, kind: 'secret' | 'config', index: number): string {
    return path.join(this.#directory(podId), `${kind}s`, String(index));
  }
}

/** In memory, so at once: handing a dozen such calls to other threads costs a pod's start several times what they take. */
function put(file: string, content: string | Uint8Array, mode: number): void {
  writeFileSync(file, content, { mode });
  chmodSync(file, mode);
}

async function readText(file: string): Promise<string> {
  try {
    return await fs.readFile(file, 'utf8');
  } catch (error) {
    if (isMissing(error)) return '';
    throw error;
  }
}
