/** What a cgroup has used, by its files, in whichever hierarchy each controller is. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cgroupUsage, type CgroupUsage, type Controller, usageFiles, v1Controllers } from '../stats/parse.ts';
import type { CgroupLayout } from './cgroup.ts';

const controllers = Object.keys(v1Controllers) as readonly Controller[];

/**
 * null when the cgroup is gone, or nothing of it is counted. Synchronous: these files are the kernel's memory, and handing each of seven to
 * a thread costs many times what reading it does.
 */
export function readUsage(layout: CgroupLayout, cgroup: string): CgroupUsage | null {
  const places = controllers.flatMap((controller) => {
    const v1 = layout.v1.find((hierarchy) => hierarchy.controllers.includes(v1Controllers[controller]));
    if (!v1 && layout.v2 === null) return [];
    return [{ controller, version: v1 ? ('v1' as const) : ('v2' as const), directory: join(v1?.directory ?? layout.v2 ?? '/', cgroup) }];
  });
  const texts = places.flatMap(({ controller, version, directory }) => usageFiles[version][controller].map((file) => [file, read(join(directory, file))] as const));
  if (texts.every(([, text]) => text === null)) return null;
  const versionOf = (controller: Controller) => places.find((place) => place.controller === controller)?.version ?? 'v2';
  return cgroupUsage({ cpu: versionOf('cpu'), memory: versionOf('memory'), pids: versionOf('pids'), block: versionOf('block') }, Object.fromEntries(texts));
}

function read(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // The container has ended, or its kernel does not count this.
    return null;
  }
}
