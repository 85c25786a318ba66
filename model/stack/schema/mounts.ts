/** `volumes`, `secrets`, `configs` and `devices` of a service. */
import { get, mapOf, scalar, type MapNode } from '../parse/tree.ts';
import { resolvePath } from '../values/paths.ts';
import { bool, bytes, harmless, labels, list, object, refused, string, works, type Shape, type ShapeContext } from './shape.ts';
import { expandDevice, expandGrant, expandVolume } from './short/volumes.ts';
import { deviceKey, grantKey, volumeKey } from './unique.ts';

const volume = object({
  type: works({ kind: 'enum', values: ['bind', 'volume', 'tmpfs', 'image', 'cluster', 'npipe'] }, 'bind, volume, tmpfs, image'),
  source: works(string, 'a path on the host, a volume of the stack or of `x-pod`, or an image'),
  target: works(string),
  read_only: works(bool),
  consistency: harmless(string, 'it matters on Docker Desktop only'),
  bind: works(object({
    propagation: works({ kind: 'enum', values: ['rprivate', 'private', 'rshared', 'shared', 'rslave', 'slave'] }),
    create_host_path: works(bool, 'true unless said otherwise'),
    recursive: refused(string, 'bind mounts always include what is mounted below', 'remove it', ['enabled']),
    selinux: harmless(string, 'hosts with SELinux keep their labels', true),
  })),
  volume: works(object({
    nocopy: works(bool),
    subpath: works(string),
    labels: works(labels, 'of an anonymous volume; a named one has them at the top level'),
  })),
  tmpfs: works(object({ size: works(bytes), mode: works({ kind: 'mode' }) })),
  image: works(object({ subpath: works(string) })),
  'x-per-replica': works(bool, 'every slot of the service has a volume of its own, `NAME.SLOT`'),
}, { required: ['type', 'target'], finish: resolveBind });

/** The source of a bind mount is a path on the host; a volume's is a name. */
function resolveBind(node: MapNode, { baseDir, home }: ShapeContext): MapNode {
  const type = get(node, 'type');
  const source = node.entries.get('source');
  if (type?.kind !== 'scalar' || type.text !== 'bind' || source?.value.kind !== 'scalar' || source.value.text === '') return node;
  const resolved = scalar(source.value, resolvePath(baseDir, source.value.text, home));
  return mapOf(node, new Map(node.entries).set('source', { key: source.key, value: resolved }), node.tag);
}

const grant = object({
  source: works(string),
  target: works(string),
  uid: works(string, 'a number'),
  gid: works(string, 'a number'),
  mode: works({ kind: 'mode' }),
}, { required: ['source'] });

const device = object({
  source: works(string, 'a path on the host, or a CDI name such as `vendor.com/class=name`'),
  target: works(string),
  permissions: works(string),
}, { required: ['source'] });

export const volumes: Shape = list(volume, { entry: expandVolume, merge: { kind: 'unique', key: volumeKey } });
export const secrets: Shape = list(grant, { entry: expandGrant, merge: { kind: 'unique', key: grantKey('/run/secrets/') } });
export const configs: Shape = list(grant, { entry: expandGrant, merge: { kind: 'unique', key: grantKey('/') } });
export const devices: Shape = list(device, { entry: expandDevice, merge: { kind: 'unique', key: deviceKey } });
