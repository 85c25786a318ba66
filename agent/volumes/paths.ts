/**
 * Where volumes are on a host. `state` survives reboots, `run` does not and holds mount points only.
 *
 * ```
 * <state>/volumes/<name>/volume.json       driver, options, what was begun, see record.ts
 * <state>/volumes/<name>/_data             the data, or where the driver's options are mounted
 * <state>/volumes/<name>/_data.new         on its way to be that
 * <state>/volumes/.gone-…                  removed, being deleted
 * <state>/pods/<pod>/attached/<name>.json  the pod has that volume, see attachments.ts
 * <state>/pods/<pod>/<digest>/_data        an anonymous volume
 * <state>/pods/<pod>/shared/<name>         a directory that the pod's containers share
 * <run>/volumes/<pod>/…                   subpaths, and shared directories in memory
 * ```
 */
import { createHash } from 'node:crypto';
import path from 'node:path';
import { safeName } from './names.ts';

export class VolumePaths {
  readonly state: string;
  readonly #run: string;

  constructor(stateDir: string, runDir: string) {
    this.state = stateDir;
    this.#run = runDir;
  }

  get volumes(): string {
    return path.join(this.state, 'volumes');
  }

  get pods(): string {
    return path.join(this.state, 'pods');
  }

  volume(name: string): string {
    return path.join(this.volumes, safeName('volume', name));
  }

  pod(podId: string): string {
    return path.join(this.pods, safeName('pod', podId));
  }

  attached(podId: string): string {
    return path.join(this.pod(podId), 'attached');
  }

  anonymous(podId: string, container: string, target: string): string {
    return path.join(this.pod(podId), shortDigest(`${container}\0${target}`));
  }

  shared(podId: string, name: string): string {
    return path.join(this.pod(podId), 'shared', safeName('pod directory', name));
  }

  mounts(podId: string): string {
    return path.join(this.#run, 'volumes', safeName('pod', podId));
  }
}

/** A volume's data, below its directory. */
export function dataOf(directory: string): string {
  return path.join(directory, '_data');
}

export function shortDigest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
