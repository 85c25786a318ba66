/** Devices: those named, and those reserved (`gpus`, `deploy.resources.reservations`), which are CDI names and counted resources. */
import type { BlkioSpec, ContainerSpec } from '../../spec.ts';
import { isCdiName } from '../schema/short/volumes.ts';
import type { Reader } from './reader.ts';

type Device = ContainerSpec['devices'][number];

export interface MadeDevices {
  readonly devices: readonly Device[];
  /** What the scheduler counts, by kind. */
  readonly generic: Readonly<Record<string, number>>;
}

export function makeDevices(of: Reader): MadeDevices {
  const made = new Map<string, Device>();
  const generic: Record<string, number> = {};
  for (const item of of.at('devices').items()) {
    const device = deviceOf(item);
    if (device) made.set(`${device.source} ${device.target}`, device);
  }
  const reservations = of.at('deploy').at('resources').at('reservations');
  for (const item of reservations.at('generic_resources').items()) {
    const spec = item.at('discrete_resource_spec');
    const kind = spec.text('kind');
    const value = spec.number('value');
    if (kind === undefined || value === undefined) item.error('a generic resource needs a discrete_resource_spec', 'write discrete_resource_spec: { kind: gpu, value: 1 }');
    else if (!/^[\w.-]{1,64}$/.test(kind)) spec.at('kind').error(`${JSON.stringify(kind)} is no kind of resource`, 'kinds are made of letters, digits, . _ -');
    else if (value > 0) generic[kind] = (generic[kind] ?? 0) + value;
  }
  const gpus = new Set<string>();
  for (const item of [...of.at('gpus').items(), ...reservations.at('devices').items()]) {
    for (const { name, gpu } of requested(item)) {
      made.set(`${name} ${name}`, { source: name, target: name, permissions: 'rwm' });
      if (gpu) gpus.add(name);
    }
  }
  if (gpus.size > 0) generic['gpu'] = Math.max(generic['gpu'] ?? 0, gpus.size);
  return { devices: [...made.values()], generic };
}

function deviceOf(item: Reader): Device | null {
  const source = item.text('source');
  if (source === undefined) return null;
  if (isCdiName(source)) {
    for (const key of ['target', 'permissions']) if (item.has(key)) item.at(key).error(`${key} says nothing about a device with a CDI name: its file on the host does`, 'remove it');
    return { source, target: source, permissions: 'rwm' };
  }
  if (!source.startsWith('/')) item.error(`a device is a path on the host or a CDI name, unlike ${JSON.stringify(source)}`, 'write such as /dev/fuse, or vendor.com/class=name');
  const target = item.text('target') ?? source;
  const permissions = item.text('permissions') ?? 'rwm';
  if (!target.startsWith('/')) item.at('target').error(`a device is at a path in the container, unlike ${JSON.stringify(target)}`);
  if (!/^[rwm]{1,3}$/.test(permissions)) item.at('permissions').error(`${JSON.stringify(permissions)} are no permissions`, 'they are made of r, w and m');
  return { source, target, permissions };
}

const vendors: Readonly<Record<string, string>> = { nvidia: 'nvidia.com/gpu', amd: 'amd.com/gpu', intel: 'intel.com/gpu' };

interface Requested {
  readonly name: string;
  /** Counted as one `gpu` of the node. */
  readonly gpu: boolean;
}

/**
 * The CDI names that a request stands for. `count` is the first so many of the node, as Docker gives them, and as many are
 * reserved, so that a node is not asked for more than it has. Whoever wants all shares them: one is reserved, to have a node with any.
 */
function requested(item: Reader): readonly Requested[] {
  const named = (names: readonly string[], gpu: boolean): readonly Requested[] => names.map((name) => ({ name, gpu }));
  const capabilities = item.strings('capabilities') ?? [];
  // Capabilities of one driver's begin with its name: nvidia-compute.
  const driver = item.text('driver') || Object.keys(vendors).find((name) => capabilities.some((one) => one.startsWith(`${name}-`))) || 'nvidia';
  const ids = item.strings('device_ids');
  const count = item.number('count');
  if (ids && count !== undefined) item.at('count').error('count and device_ids exclude each other', 'keep one of them');
  if (driver === 'cdi') {
    const wrong = ids?.find((id) => !isCdiName(id));
    if (!ids || ids.length === 0) item.error('driver: cdi needs device_ids', 'write such as device_ids: ["vendor.com/class=name"]');
    else if (wrong !== undefined) item.at('device_ids').error(`${JSON.stringify(wrong)} is no CDI name`, 'write such as vendor.com/class=name');
    else return named(ids, false);
    return [];
  }
  const vendor = Object.hasOwn(vendors, driver) ? vendors[driver] : undefined;
  if (vendor === undefined) {
    item.at('driver').error(`there is no device driver ${JSON.stringify(driver)}`, `the drivers are ${Object.keys(vendors).join(', ')}; any other device by driver: cdi and device_ids`);
    return [];
  }
  if (!item.has('driver') && capabilities.length > 0 && !capabilities.some((one) => one.startsWith(`${driver}-`) || ['gpu', 'nvidia', 'compute', 'utility', 'graphics', 'video', 'display', 'ngx', 'compat32'].includes(one))) {
    item.at('capabilities').error(`no driver is known for ${capabilities.join(', ')}`, 'name it with driver, or the devices by driver: cdi and device_ids');
    return [];
  }
  if (ids) {
    const wrong = ids.find((id) => !/^[A-Za-z0-9][A-Za-z0-9._:-]*$/.test(id));
    if (wrong !== undefined) item.at('device_ids').error(`${JSON.stringify(wrong)} is no device`, 'write such as "0" or a UUID');
    return wrong === undefined ? named(ids.map((id) => `${vendor}=${id}`), true) : [];
  }
  if (count !== undefined && count > 64) item.at('count').error(`${count} devices are more than 64, the limit`);
  return named(count === undefined || count < 0 || count > 64 ? [`${vendor}=all`] : Array.from({ length: count }, (_, index) => `${vendor}=${index}`), true);
}

export function makeDeviceRules(of: Reader): readonly string[] | undefined {
  const made = of.at('device_cgroup_rules').items().flatMap((item) => {
    const text = item.node?.kind === 'scalar' ? item.node.text.trim() : '';
    const parts = /^([abc])\s+(\d+|\*):(\d+|\*)\s+([rwm]{1,3})$/.exec(text);
    if (!parts) item.error(`${JSON.stringify(text)} is no device rule`, 'write TYPE MAJOR:MINOR PERMISSIONS, such as "c 1:3 rwm"');
    return parts ? [`${parts[1]} ${parts[2]}:${parts[3]} ${parts[4]}`] : [];
  });
  return made.length > 0 ? made : undefined;
}

export function makeBlkio(of: Reader): BlkioSpec | undefined {
  const config = of.at('blkio_config');
  if (config.entries.size === 0) return undefined;
  const weight = weightOf(config);
  const rates = (key: string): BlkioSpec['deviceReadBps'] => config.at(key).items().flatMap((item) => {
    const path = pathOf(item);
    const rate = item.bytes('rate');
    return path === null || rate === undefined ? [] : [{ path, rate }];
  });
  return {
    ...(weight === undefined ? {} : { weight }),
    weightDevice: config.at('weight_device').items().flatMap((item) => {
      const path = pathOf(item);
      const own = weightOf(item);
      return path === null || own === undefined ? [] : [{ path, weight: own }];
    }),
    deviceReadBps: rates('device_read_bps'), deviceWriteBps: rates('device_write_bps'), deviceReadIops: rates('device_read_iops'), deviceWriteIops: rates('device_write_iops'),
  };
}

/** 0 is the default's name. */
function weightOf(item: Reader): number | undefined {
  const weight = item.number('weight');
  if (weight === undefined || weight === 0) return undefined;
  if (weight < 10) item.at('weight').error(`a weight is from 10 to 1000, not ${weight}`);
  return weight;
}

function pathOf(item: Reader): string | null {
  const path = item.text('path');
  if (path === undefined) return null;
  if (!path.startsWith('/')) item.at('path').error(`a device is a path on the host, unlike ${JSON.stringify(path)}`, 'write such as /dev/sda');
  return path;
}
