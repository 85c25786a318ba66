/** From CDI names to what is to be done to a container. Pure. */
import { TsorchError } from '../../../model/errors.ts';
import { type CdiEdits, type CdiFile, type CdiSpec, noEdits } from './types.ts';

const name = /^([A-Za-z][A-Za-z0-9_.-]*\/[A-Za-z][A-Za-z0-9_.-]*)=([A-Za-z0-9][A-Za-z0-9_.:-]*)$/;

/** Whether a device's source is a CDI name, `vendor.com/class=name`, and no path. */
export function isCdiName(source: string): boolean {
  return name.test(source);
}

interface Found {
  readonly path: string;
  readonly spec: CdiSpec;
  readonly edits: CdiEdits;
}

/**
 * The edits of all the names together: each file's own once, then those of its devices, in the order asked for. `directories` are
 * lists of files, the later ones outranking the earlier. Throws `invalid` for a device that no file has, or two of the same rank.
 */
export function resolveCdi(names: readonly string[], directories: readonly (readonly CdiFile[])[]): CdiEdits {
  const found = [...new Set(names)].map((item) => find(item, directories));
  const specs = [...new Set(found.map(({ spec }) => spec))];
  const all = specs.flatMap((spec) => [spec.edits, ...found.filter((device) => device.spec === spec).map(({ edits }) => edits)]);
  return all.reduce(together, noEdits);
}

function find(wanted: string, directories: readonly (readonly CdiFile[])[]): Found {
  const [, kind, device] = name.exec(wanted) ?? [];
  for (const files of directories.toReversed()) {
    const found = files.flatMap((file) => ('spec' in file && file.spec.kind === kind ? file.spec.devices.flatMap(({ name: own, edits }) => (own === device ? [{ path: file.path, spec: file.spec, edits }] : [])) : []));
    const [first, second] = found;
    if (first && second) throw new TsorchError('invalid', `device ${wanted} is in ${first.path} and in ${second.path}`, { hint: 'remove one of the two' });
    if (first) return first;
  }
  throw missing(wanted, directories.flat());
}

function missing(wanted: string, files: readonly CdiFile[]): TsorchError {
  const known = files.flatMap((file) => ('spec' in file ? file.spec.devices.map((device) => `${file.spec.kind}=${device.name}`) : []));
  const broken = files.flatMap((file) => ('problem' in file ? [`${file.path} is not understood: ${file.problem}`] : []));
  const said = known.length > 0 ? `this host has ${known.slice(0, 8).join(', ')}${known.length > 8 ? ', …' : ''}` : 'this host has none';
  return new TsorchError('invalid', [`there is no CDI device ${wanted}: ${said}`, ...broken].join('; '), { hint: 'place the service on hosts that have it, or have the vendor\'s tool write /etc/cdi' });
}

function together(a: CdiEdits, b: CdiEdits): CdiEdits {
  return {
    env: [...a.env, ...b.env],
    deviceNodes: [...a.deviceNodes, ...b.deviceNodes],
    mounts: [...a.mounts, ...b.mounts],
    hooks: [...a.hooks, ...b.hooks],
    additionalGids: [...new Set([...a.additionalGids, ...b.additionalGids])],
  };
}
