/** What a cgroup has used, by its files, in whichever hierarchy each controller is. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cgroupUsage, type CgroupUsage, type Controller, usageFiles, v1Controllers } from '../stats/parse.ts';
import type { CgroupLayout } from './cgroup.ts';

const controllers = Object.keys(v1Controllers) as readonly Controller[];

/** null when the cgroup is gone, or nothing of it is counted. */
export async function readUsage(layout: CgroupLayout, cgroup: string): Promise<CgroupUsage | null> {
  const places = controllers.flatMap((controller) => {
    const v1 = layout.v1.find((hierarchy) => hierarchy.controllers.includes(v1Controllers[controller]));
    if (!v1 && layout.v2 === null) return [];
    return [{ controller, version: v1 ? ('v1' as const) : ('v2' as const), directory: join(v1?.directory ?? layout.v2 ?? '/', cgroup) }];
  });
  const texts = await Promise.all(places.flatMap(({ controller, version, directory }) =>
    usageFiles[version][controller].map(async (file) => [file, await readFile(join(directory, file), 'utf8').catch(() => null)] as const)));
  if (texts.every(([, text]) => text === null)) return null;
  const versionOf = (controller: Controller) => places.find((place) => place.controller === controller)?.version ?? 'v2';
  return cgroupUsage({ cpu: versionOf('cpu'), memory: versionOf('memory'), pids: versionOf('pids'), block: versionOf('block') }, Object.fromEntries(texts));
}
