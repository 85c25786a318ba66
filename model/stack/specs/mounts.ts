/** `volumes`, `tmpfs`, `secrets` and `configs` of a service. */
import type { FileReference, MountSpec } from '../../spec.ts';
import { didYouMean } from '../suggest.ts';
import { parseBytes } from '../values/bytes.ts';
import { hasParentSegment, isAbsolute, normalise } from '../values/paths.ts';
import type { MadeFileObject, PodScope, PodVolume, StackContext } from './context.ts';
import { imageProblem } from './image.ts';
import { checkTemplate } from './templates.ts';
import type { Reader } from './reader.ts';

export function makeMounts(service: Reader, context: StackContext, scope: PodScope): readonly MountSpec[] {
  const mounts: (readonly [Reader, MountSpec | null])[] = [
    ...service.at('volumes').items().map((item) => [item, makeVolumeMount(item, context, scope)] as const),
    ...service.at('tmpfs').items().map((item) => [item, makeTmpfs(item)] as const),
  ];
  const taken = new Set<string>();
  const made: MountSpec[] = [];
  for (const [item, mount] of mounts) {
    if (!mount) continue;
    if (taken.has(mount.target)) item.error(`something is mounted at ${mount.target} already`);
    taken.add(mount.target);
    made.push(mount);
  }
  // What the service says itself wins over what it borrows.
  for (const mount of borrowed(service, context, scope)) {
    if (!taken.has(mount.target)) made.push(mount);
    taken.add(mount.target);
  }
  return made;
}

/** `volumes_from`: the mounts of other services of the stack, those that two pods can share. */
function borrowed(service: Reader, context: StackContext, scope: PodScope): readonly MountSpec[] {
  return service.at('volumes_from').items().flatMap((item): readonly MountSpec[] => {
    const [name = '', mode = 'rw', more] = item.node?.kind === 'scalar' ? item.node.text.split(':') : [];
    const lender = context.tree(name);
    if (name === 'container') item.error('volumes_from: container:… is refused: containers outside the cluster have no mounts to lend', 'name the volume and mount it in both');
    else if (more !== undefined || (mode !== 'ro' && mode !== 'rw')) item.error(`${JSON.stringify(mode)} must be ro or rw`, 'write SERVICE[:ro]');
    else if (!lender) item.error(`there is no service ${JSON.stringify(name)}`, didYouMean(name, context.services));
    else if (lender.path?.key === service.path?.key) item.error(`the service ${name} cannot borrow from itself`);
    else {
      if (lender.at('volumes_from').items().length > 0) item.warn(`what ${name} borrows by volumes_from itself is not passed on`, 'name that service too');
      const lent = lender.at('volumes').items().map((volume) => makeVolumeMount(volume, context, { ...scope, volumes: noVolumes })).filter((mount) => mount !== null);
      const shared = lent.filter((mount) => mount.kind === 'bind' || (mount.kind === 'volume' && mount.volume !== undefined));
      if (shared.length < lent.length) item.error(`an anonymous volume or tmpfs of ${name} cannot be shared`, 'give the volume a name');
      return shared.map((mount) => (mode === 'ro' ? { ...mount, readOnly: true } : mount));
    }
    return [];
  });
}

/** Borrowed mounts are judged where they are lent: directories of another pod are not for here. */
const noVolumes = new Map<string, PodVolume>();

function makeVolumeMount(item: Reader, context: StackContext, scope: PodScope): MountSpec | null {
  const target = checkTarget(item, item.text('target'));
  const kind = item.text('type');
  if (target === null || kind === undefined) return null;
  const readOnly = item.flag('read_only') ?? false;
  checkTemplate(item.at('target'), target, scope.sample);
  for (const other of ['bind', 'volume', 'tmpfs', 'image'] as const) {
    if (other !== kind && item.at(other).entries.size > 0) item.at(other).error(`${other} says nothing about a mount of type ${kind}`, 'remove it, or change type');
  }
  if (kind !== 'volume' && item.flag('x-per-replica') === true) item.at('x-per-replica').error(`x-per-replica says nothing about a mount of type ${kind}`, 'it is for named volumes');
  switch (kind) {
    case 'bind': checkTemplate(item.at('source'), item.text('source') ?? '', scope.sample); return makeBind(item, target, readOnly);
    case 'volume': return makeVolumeUse(item, target, readOnly, context, scope);
    case 'image': return makeImageMount(item, target);
    case 'tmpfs': {
      const size = item.at('tmpfs').bytes('size');
      const mode = item.at('tmpfs').number('mode');
      return { kind, target, readOnly, ...(size === undefined || size === 0 ? {} : { size }), ...(mode === undefined ? {} : { mode }) };
    }
    default:
      item.at('type').error(`mounts of type ${kind} are refused: ${kind === 'npipe' ? 'they are for Windows' : 'hosts have no CSI plugins'}`, 'use volume, bind, tmpfs or image');
      return null;
  }
}

function makeBind(item: Reader, target: string, readOnly: boolean): MountSpec | null {
  const source = item.text('source');
  if (source === undefined || source === '') {
    item.error('a bind mount needs a source', 'name a path on the host');
    return null;
  }
  const bind = item.at('bind');
  const propagation = bind.text('propagation') as Extract<MountSpec, { kind: 'bind' }>['propagation'] | undefined;
  return { kind: 'bind', source, target, readOnly, createHostPath: bind.flag('create_host_path') ?? true, propagation: propagation ?? 'rprivate' };
}

/** The content of an image, which nobody can write to. */
function makeImageMount(item: Reader, target: string): MountSpec | null {
  const image = item.text('source') ?? '';
  const problem = imageProblem(image);
  const subpath = subpathOf(item.at('image'));
  if (problem !== null) (item.has('source') ? item.at('source') : item).error(problem, 'name the image to mount with source');
  return problem !== null || subpath === null ? null : { kind: 'image', image, target, ...(subpath === '' ? {} : { subpath }) };
}

/** Empty when there is none, null when it is wrong. */
function subpathOf(options: Reader): string | null {
  const subpath = options.text('subpath') ?? '';
  if (!hasParentSegment(subpath) && !isAbsolute(subpath)) return subpath;
  options.at('subpath').error(`a subpath stays inside, unlike ${JSON.stringify(subpath)}`);
  return null;
}

function makeVolumeUse(item: Reader, target: string, readOnly: boolean, context: StackContext, scope: PodScope): MountSpec | null {
  const source = item.text('source');
  const noCopy = item.at('volume').flag('nocopy') ?? false;
  const subpath = subpathOf(item.at('volume'));
  if (subpath === null) return null;
  const base = { kind: 'volume', target, readOnly, noCopy, ...(subpath === '' ? {} : { subpath }) } as const;
  const labels = item.at('volume').pairs('labels');
  const perReplica = item.flag('x-per-replica');
  for (const [, label] of item.at('volume').at('labels').children()) checkTemplate(label, label.node?.kind === 'scalar' ? label.node.text : '', scope.sample);
  if (source === undefined || source === '') {
    if (perReplica === true) item.at('x-per-replica').warn('a volume without a name is every pod\'s own anyway', 'remove it, or give the volume a name');
    return { ...base, ...(Object.keys(labels).length > 0 ? { labels } : {}) };
  }
  const shared = scope.volumes.get(source);
  if (shared) return podMount(item, source, shared, { target, readOnly });
  if (Object.keys(labels).length > 0) item.at('volume').at('labels').error('labels at a mount are for volumes without a name', `give them to ${source} under the top-level volumes`);
  const made = context.volumes.get(source);
  const volume = made?.spec;
  if (!volume) {
    const where = item.has('source') ? item.at('source') : item;
    where.error(`there is no volume ${JSON.stringify(source)}`, didYouMean(source, context.volumes.keys())
      ?? (source.includes('/') ? `a path on the host begins with / or ./: ./${source}` : `declare it at the top level: volumes: { ${source}: {} }`));
    return null;
  }
  const own = perReplica ?? made?.perReplica === true;
  if (own && volume.external) {
    (item.has('x-per-replica') ? item.at('x-per-replica') : item).error(`the volume ${source} is external: there is one of it, not one for every slot`, 'remove external, or x-per-replica');
  }
  return { ...base, volume: volume.name, ...(own ? { perReplica: true } : {}) };
}

/** A directory of the pod. */
function podMount(item: Reader, name: string, volume: PodVolume, mount: { readonly target: string; readonly readOnly: boolean }): MountSpec {
  for (const key of ['nocopy', 'subpath', 'labels']) if (item.at('volume').has(key)) item.at('volume').at(key).error(`${key} says nothing about ${name}, a directory of the pod`, 'remove it');
  if (item.flag('x-per-replica') === true) item.at('x-per-replica').warn(`${name} is every pod's own anyway`, 'remove it');
  return { kind: 'pod', name, ...mount, ...volume };
}

/** `/run`, `/run:size=64m,mode=1777,uid=1000,exec`: the options of mount(8). */
function makeTmpfs(item: Reader): MountSpec | null {
  if (item.node?.kind !== 'scalar') return null;
  const text = item.node.text;
  const colon = text.indexOf(':');
  const target = checkTarget(item, colon < 0 ? text : text.slice(0, colon));
  if (target === null) return null;
  let size: number | undefined;
  let mode: number | undefined;
  let readOnly = false;
  const options: string[] = [];
  for (const option of colon < 0 ? [] : text.slice(colon + 1).split(',')) {
    const [name = '', value = ''] = option.split('=', 2);
    if (name === 'size' && !value.endsWith('%')) size = parseBytes(value) ?? fail(item, `${JSON.stringify(value)} is no size`);
    else if (name === 'mode') mode = /^0?[0-7]{3,4}$/.test(value) ? Number.parseInt(value, 8) : fail(item, `${JSON.stringify(value)} is no file mode`);
    else if (option === 'ro' || option === 'rw') readOnly = option === 'ro';
    // These three are what a tmpfs has anyway.
    else if (['noexec', 'nosuid', 'nodev', ''].includes(option)) continue;
    else if (tmpfsOption.test(option)) options.push(option);
    else fail(item, `there is no tmpfs option ${JSON.stringify(option)}`, 'the options are size, mode, uid, gid, nr_inodes, nr_blocks, exec, suid, dev, ro and other flags of mount');
  }
  return {
    kind: 'tmpfs', target, readOnly, ...(size === undefined ? {} : { size }), ...(mode === undefined ? {} : { mode }),
    ...(options.length > 0 ? { options } : {}),
  };
}

const tmpfsOption = /^(?:exec|suid|dev|sync|async|dirsync|mand|nomand|atime|noatime|diratime|nodiratime|relatime|norelatime|strictatime|nostrictatime|(?:uid|gid)=\d{1,10}|nr_(?:inodes|blocks)=\d{1,15}[kmg]?|size=\d{1,3}%|huge=(?:never|always|within_size|advise)|mpol=[a-z0-9:=,-]{1,60})$/i;

function fail(item: Reader, message: string, hint?: string): undefined {
  item.error(message, hint);
  return undefined;
}

function checkTarget(item: Reader, target: string | undefined): string | null {
  if (target === undefined) return null;
  const at = item.has('target') ? item.at('target') : item;
  if (/^[A-Za-z]:[\\/]/.test(target)) at.error('Windows paths do not exist in Linux containers');
  else if (hasParentSegment(target)) at.error(`.. is not allowed in ${JSON.stringify(target)}`);
  else if (normalise(target) === '/') at.error('nothing can be mounted at /');
  else {
    if (!isAbsolute(target)) at.warn(`the path in the container is taken as ${normalise(target)}`, 'begin it with /');
    return normalise(target);
  }
  return null;
}

/** A relative target is below `base`: `/run/secrets` for secrets, `/` for configs. */
export function makeFileReferences(list: Reader, kind: 'secret' | 'config', known: ReadonlyMap<string, MadeFileObject>): readonly FileReference[] {
  const base = kind === 'secret' ? '/run/secrets/' : '/';
  const taken = new Set<string>();
  const made: FileReference[] = [];
  for (const item of list.items()) {
    const source = item.text('source');
    if (source === undefined) continue;
    const object = known.get(source)?.spec;
    if (!object) {
      item.error(`there is no ${kind} ${JSON.stringify(source)}`, didYouMean(source, known.keys()) ?? `declare it at the top level, under ${kind}s`);
      continue;
    }
    const named = item.text('target') || source;
    const target = checkTarget(item, isAbsolute(named) ? named : `${base}${named}`);
    if (target === null) continue;
    if (taken.has(target)) item.error(`something is at ${target} already`);
    taken.add(target);
    made.push({
      source: object.name, target, ...(object.digest === undefined ? {} : { digest: object.digest }),
      uid: id(item, 'uid'), gid: id(item, 'gid'), mode: item.number('mode') ?? 0o444,
    });
  }
  return made;
}

function id(item: Reader, key: 'uid' | 'gid'): number {
  const text = item.text(key) ?? '0';
  if (/^\d{1,10}$/.test(text) && Number(text) <= 0xfffffffe) return Number(text);
  item.at(key).error(`the ${key} must be a number, not ${JSON.stringify(text)}`);
  return 0;
}
