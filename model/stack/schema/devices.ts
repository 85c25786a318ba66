/** Reserved devices: `gpus`, `deploy.resources.reservations.devices` and `generic_resources`; block I/O. */
import { map, scalar, type Node, type ScalarNode } from '../parse/tree.ts';
import type { Path } from '../path.ts';
import { bytes, count, list, object, refused, string, strings, works, type Shape, type ShapeContext } from './shape.ts';
import { pathKey } from './unique.ts';

const request = {
  capabilities: works(strings, '`gpu` is NVIDIA\'s unless `driver` says otherwise'),
  driver: works(string, 'nvidia, amd, intel; cdi: `device_ids` are CDI names'),
  count: works({ kind: 'int', min: -1, words: { all: -1 } }, 'the first so many of the node, as Docker gives them; `all`: -1'),
  device_ids: works(strings, 'the names the CDI file gives them: `0`, a UUID'),
  options: refused({ kind: 'pairs', bare: 'error' }, 'CDI takes no options', 'remove it, or name devices with device_ids'),
};

export const gpus: Shape = list(object(request), { single: true, entry: expandGpus });
export const reservedDevices: Shape = list(object(request));

/** `gpus: all`. */
function expandGpus(node: ScalarNode, path: Path | null, { sink }: ShapeContext): readonly Node[] | null {
  if (node.text === 'all') return [map(node, [['count', scalar(node, -1)]])];
  sink.error(node, path, `gpus must be all or a list of devices, not ${JSON.stringify(node.text)}`, 'write gpus: all, or - count: 1');
  return null;
}

export const genericResources: Shape = list(object({
  discrete_resource_spec: works(object({ kind: works(string), value: works(count) }, { required: ['kind', 'value'] })),
}));

const weight: Shape = { kind: 'int', min: 0, max: 1000 };
const rates = (rate: Shape): Shape => list(object({ path: works(string), rate: works(rate) }, { required: ['path', 'rate'] }), { merge: { kind: 'unique', key: pathKey } });

export const blkio = object({
  weight: works(weight, '10 to 1000'),
  weight_device: works(list(object({ path: works(string), weight: works(weight) }, { required: ['path', 'weight'] }), { merge: { kind: 'unique', key: pathKey } })),
  device_read_bps: works(rates(bytes)),
  device_write_bps: works(rates(bytes)),
  device_read_iops: works(rates(count)),
  device_write_iops: works(rates(count)),
});
