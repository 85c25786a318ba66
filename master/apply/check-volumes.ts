/** What a stack's volumes must hold: nothing of another stack's, nothing that would hide the data there is. */
import { canonical } from '../../model/canonical.ts';
import { TsorchError } from '../../model/errors.ts';
import type { StackSpec, VolumeSpec } from '../../model/spec.ts';
import { localOptionsProblem, slotVolume, volumesByKind } from '../../model/volumes.ts';
import { suggest } from '../api/suggest.ts';
import type { Maps } from '../world.ts';

export function checkVolumes(maps: Maps, spec: StackSpec): void {
  for (const [key, volume] of Object.entries(spec.volumes)) checkVolume(maps, spec, volume, `volumes.${key}`);
  for (const [key, { template }] of Object.entries(spec.services)) {
    for (const name of volumesByKind(template).perReplica) checkSlots(maps, spec, name, `services.${key}.volumes`);
  }
}

function checkVolume(maps: Maps, spec: StackSpec, volume: VolumeSpec, path: string): void {
  const { name, external, driver, driverOpts } = volume;
  const known = maps.volumes.get(name)?.value;
  if (known?.removing) throw new TsorchError('conflict', `volume ${name} is being removed`, { path, hint: 'try again when it is gone: tsorch volume ls' });
  if (external) {
    if (!known) throw new TsorchError('not-found', `external volume ${name} does not exist`, { path, hint: suggest(name, maps.volumes.keys()) ?? 'see tsorch volume ls, or make it: tsorch volume create' });
    return;
  }
  const problem = driver === 'local' ? localOptionsProblem(driverOpts) : null;
  if (problem) throw new TsorchError('invalid', `volume ${name}: ${problem.message}`, { path: `${path}.driver_opts`, hint: problem.hint });
  if (!known) return;
  if (known.stack !== null && known.stack !== spec.name) throw new TsorchError('conflict', `volume ${name} belongs to stack ${known.stack}`, { path, hint: 'mark it external to share it' });
  const exists = known.node !== null || (known.nodes ?? []).length > 0 || Array.from(maps.volumes.values()).some((entry) => entry.value.slotOf?.volume === name);
  // A size may be changed; everything else would show other data.
  const { size: _before, ...had } = known.driverOpts;
  const { size: _after, ...wanted } = driverOpts;
  if (!exists || (known.driver === driver && canonical(had) === canonical(wanted))) return;
  throw new TsorchError('conflict', `volume ${name} exists with ${known.driver === driver ? 'other driver options' : `the driver ${known.driver}`}: its data would be out of sight`, { path, hint: `keep them, give the volume another name, or remove it with its data first: tsorch volume rm ${name}` });
}

/** `data.1` made for slot 1 must not be somebody else's volume of that name. */
function checkSlots(maps: Maps, spec: StackSpec, name: string, path: string): void {
  const pattern = new RegExp(`^${name.replaceAll(/[.\\]/g, '\\$&')}\\.[1-9][0-9]*$`);
  const others = [...Object.values(spec.volumes).map((volume) => volume.name), ...Array.from(maps.volumes.values(), (entry) => entry.value).filter((volume) => volume.slotOf?.volume !== name).map((volume) => volume.name)];
  const taken = others.find((other) => pattern.test(other));
  if (taken !== undefined) throw new TsorchError('conflict', `the slots of ${name} have volumes called ${slotVolume(name, 1)} and so on, and ${taken} is another volume`, { path, hint: 'give one of the two another name' });
}
