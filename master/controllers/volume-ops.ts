/** What the placing of pods changes of the records of volumes: pure. */
import type { Pod } from '../../model/pod.ts';
import type { Volume } from '../../model/service.ts';
import type { ServiceSpec } from '../../model/spec.ts';
import { volumePairs } from '../../model/volumes.ts';
import type { Op } from '../store/port.ts';
import type { Maps } from '../world.ts';

export interface Placed {
  readonly pod: Pod;
  /** Of its revision. */
  readonly spec: ServiceSpec;
  /** Id. */
  readonly node: string;
}

/**
 * A volume that was nowhere is on the node its first pod was placed on; one that is wherever its pods are gets one more node; and a slot's
 * volume that its service has not had before gets a record, after the volume it is made of. `now` in milliseconds since the epoch.
 */
export function volumeOps(maps: Pick<Maps, 'volumes'>, placed: readonly Placed[], bindings: readonly { readonly volume: string; readonly node: string }[], now: number): readonly Op[] {
  const bound = new Map(bindings.map(({ volume, node }) => [volume, node]));
  const changed = new Map<string, Volume>();
  for (const { pod, spec, node } of placed) {
    for (const [name, of] of volumePairs(spec.template, pod.slot)) {
      const known = changed.get(name) ?? maps.volumes.get(name)?.value ?? slotVolumeOf(maps, name, of, pod.slot);
      const next = known && onNode(known, bound.get(name), node, now);
      if (next && next !== known) changed.set(name, next);
    }
  }
  return Array.from(changed, ([id, value]): Op => ({ op: 'put', kind: 'volumes', id, value, guard: maps.volumes.get(id)?.revision ?? 0 }));
}

function onNode(volume: Volume, home: string | undefined, node: string, now: number): Volume {
  const since = volume.createdAt === undefined ? { createdAt: now } : {};
  if (volume.node === null && home !== undefined) return { ...volume, ...since, node: home };
  if (volume.node === node || volume.nodes?.includes(node)) return volume;
  return { ...volume, ...since, nodes: [...(volume.nodes ?? []), node].sort() };
}

function slotVolumeOf(maps: Pick<Maps, 'volumes'>, name: string, of: string, slot: number | string): Volume | undefined {
  const base = maps.volumes.get(of)?.value;
  if (!base || name === of || typeof slot !== 'number') return undefined;
  return { name, stack: base.stack, driver: base.driver, driverOpts: base.driverOpts, labels: base.labels, node: null, slotOf: { volume: of, slot } };
}
