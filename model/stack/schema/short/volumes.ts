/** `[SOURCE:]TARGET[:OPTIONS]`; devices; `secrets: [name]`; `env_file: path`. */
import { inside, map, scalar, type Node, type ScalarNode } from '../../parse/tree.ts';
import type { Path } from '../../path.ts';
import { resolvePath } from '../../values/paths.ts';
import type { ShapeContext } from '../shape.ts';

const propagations = ['rprivate', 'private', 'rshared', 'shared', 'rslave', 'slave'];
const consistencies = ['consistent', 'cached', 'delegated'];

export function expandVolume(node: ScalarNode, path: Path | null, context: ShapeContext): readonly Node[] | null {
  const fail = (message: string, index = 0, hint?: string): null => {
    context.sink.error(inside(node, index), path, message, hint);
    return null;
  };
  // `v:/data` is a volume called v; `C:/data:/data` is not.
  if (/^[A-Za-z]:(\\|\/[^:]*:[/A-Za-z]:?[\\/])|^\\\\/.test(node.text)) return fail('Windows paths do not exist on Linux hosts', 0, 'write the path on the host, such as /srv/data');
  const parts = splitVolume(node.text);
  if (parts.includes('')) return fail(node.text === '' ? 'the volume is empty' : 'there is nothing between two colons', 0, 'write SOURCE:TARGET[:ro]');
  if (parts.length > 3) return fail('too many colons', 0, 'write SOURCE:TARGET[:ro]; a path with a colon needs the long syntax');
  const [first = '', second, optionText] = parts;
  if (second === undefined) return [map(node, [['type', scalar(node, 'volume')], ['target', scalar(node, first)]])];

  const bind = /^[./~]/.test(first);
  const entries: [string, Node][] = [
    ['type', scalar(node, bind ? 'bind' : 'volume')],
    ['source', scalar(node, bind ? resolvePath(context.baseDir, first, context.home) : first)],
    ['target', scalar(node, second)],
  ];
  const bindOptions: [string, Node][] = bind ? [['create_host_path', scalar(node, true)]] : [];
  const volumeOptions: [string, Node][] = [];
  for (const option of optionText?.split(',') ?? []) {
    if (option === 'rw') continue;
    if (option === 'ro') entries.push(['read_only', scalar(node, true)]);
    else if (option === 'nocopy' && !bind) volumeOptions.push(['nocopy', scalar(node, true)]);
    else if (propagations.includes(option) && bind) bindOptions.push(['propagation', scalar(node, option)]);
    else if ((option === 'z' || option === 'Z') && bind) bindOptions.push(['selinux', scalar(node, option)]);
    else if (option === 'z' || option === 'Z') continue; // Volumes are not relabelled: every pod may use its volumes already.
    else if (consistencies.includes(option)) entries.push(['consistency', scalar(node, option)]);
    else {
      return fail(`there is no option ${JSON.stringify(option)} for a ${bind ? 'bind mount' : 'volume'}`, first.length + second.length + 2,
        `the options are ro, rw, ${bind ? propagations.join(', ') : 'nocopy'}`);
    }
  }
  if (bind) entries.push(['bind', map(node, bindOptions)]);
  if (volumeOptions.length > 0) entries.push(['volume', map(node, volumeOptions)]);
  return [map(node, entries)];
}

/** At the colons; a path of a device may have some of its own, `/dev/usb-0:1.3:/dev/usb`: then at the one before a slash. */
function splitVolume(text: string): readonly string[] {
  const parts = text.split(':');
  const target = text.indexOf(':/', 1);
  if (parts.length <= 3 || target < 0 || !text.startsWith('/') || !text.slice(0, target).includes(':')) return parts;
  const rest = text.slice(target + 1);
  const last = rest.lastIndexOf(':');
  const isOptions = last >= 0 && rest.slice(last + 1).split(',').every((option) => ['ro', 'rw', 'z', 'Z', ...propagations, ...consistencies].includes(option));
  return isOptions ? [text.slice(0, target), rest.slice(0, last), rest.slice(last + 1)] : [text.slice(0, target), rest];
}

/** `vendor.com/class=name`, by which hosts find a device in their CDI files. */
export function isCdiName(text: string): boolean {
  return /^[A-Za-z][A-Za-z0-9._-]*\/[A-Za-z][A-Za-z0-9._-]*=[A-Za-z0-9][A-Za-z0-9._:-]*$/.test(text);
}

/** `/dev/ttyUSB0[:/dev/tty0[:rwm]]`, or a CDI name. */
export function expandDevice(node: ScalarNode, path: Path | null, context: ShapeContext): readonly Node[] | null {
  if (isCdiName(node.text)) return [map(node, [['source', node]])];
  const [source = '', target = source, permissions = 'rwm', more] = node.text.split(':');
  // With two parts the second may be the permissions.
  const swapped = permissions === 'rwm' && /^[rwm]{1,3}$/.test(target);
  if (more !== undefined || !source.startsWith('/') || !(swapped || target.startsWith('/')) || !/^[rwm]{1,3}$/.test(permissions)) {
    context.sink.error(node, path, `${JSON.stringify(node.text)} is no device`, 'write SOURCE[:TARGET[:PERMISSIONS]], such as /dev/fuse:/dev/fuse:rwm');
    return null;
  }
  return [map(node, [
    ['source', scalar(node, source)], ['target', scalar(node, swapped ? source : target)], ['permissions', scalar(node, swapped ? target : permissions)],
  ])];
}

/** A secret or config by its name alone. */
export function expandGrant(node: ScalarNode): readonly Node[] {
  return [map(node, [['source', scalar(node, node.text)]])];
}

export function expandEnvFile(node: ScalarNode, _path: Path | null, context: ShapeContext): readonly Node[] {
  return [map(node, [['path', scalar(node, resolvePath(context.baseDir, node.text, context.home))], ['required', scalar(node, true)]])];
}
