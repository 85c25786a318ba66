/** `volumes`, `tmpfs`, `secrets` and `configs` of a service. */
import type { FileObjectSpec, FileReference, MountSpec } from '../../spec.ts';
import { didYouMean } from '../suggest.ts';
import { parseBytes } from '../values/bytes.ts';
import { hasParentSegment, isAbsolute, normalise } from '../values/paths.ts';
import type { StackContext } from './context.ts';
import type { Reader } from './reader.ts';

export function makeMounts(service: Reader, context: StackContext): readonly MountSpec[] {
  const mounts: (readonly [Reader, MountSpec | null])[] = [
    ...service.at('volumes').items().map((item) => [item, makeVolumeMount(item, context)] as const),
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
  for (const mount of borrowed(service, context)) {
    if (!taken.has(mount.target)) made.push(mount);
    taken.add(mount.target);
  }
  return made;
}

/** `volumes_from`: the mounts of other services of the stack, those that two pods can share. */
function borrowed(service: Reader, context: StackContext): readonly MountSpec[] {
  return service.at('volumes_from').items().flatMap((item): readonly MountSpec[] => {
    const [name = '', mode = 'rw', more] = item.node?.kind === 'scalar' ? item.node.text.split(':') : [];
    const lender = context.tree(name);
    if (name === 'container') item.error('volumes_from: container:… is refused: containers outside the cluster have no mounts to lend', 'name the volume and mount it in both');
    else if (more !== undefined || (mode !== 'ro' && mode !== 'rw')) item.error(`${JSON.stringify(mode)} must be ro or rw`, 'write SERVICE[:ro]');
    else if (!lender) item.error(`there is no service ${JSON.stringify(name)}`, didYouMean(name, context.services));
    else if (lender.path?.key === service.path?.key) item.error(`the service ${name} cannot borrow from itself`);
    else {
      if (lender.at('volumes_from').items().length > 0) item.warn(`what ${name} borrows by volumes_from itself is not passed on`, 'name that service too');
      const lent = lender.at('volumes').items().map((volume) => makeVolumeMount(volume, context)).filter((mount) => mount !== null);
      const shared = lent.filter((mount) => mount.kind === 'bind' || (mount.kind === 'volume' && mount.volume !== undefined));
      if (shared.length < lent.length) item.error(`an anonymous volume or tmpfs of ${name} cannot be shared`, 'give the volume a name');
      return shared.map((mount) => (mode === 'ro' ? { ...mount, readOnly: true } : mount));
    }
    return [];
  });
}

function makeVolumeMount(item: Reader, context: StackContext): MountSpec | null {
  const target = checkTarget(item, item.text('target'));
  const kind = item.text('type');
  if (target === null || kind === undefined) return null;
  const readOnly = item.flag('read_only') ?? false;
  for (const other of ['bind', 'volume', 'tmpfs'] as const) {
    if (other !== kind && item.at(other).entries.size > 0) item.at(other).error(`${other} says nothing about a mount of type ${kind}`, 'remove it, or change type');
  }
  switch (kind) {
    case 'bind': return makeBind(item, target, readOnly);
    case 'volume': return makeVolumeUse(item, target, readOnly, context);
    case 'tmpfs': {
      const size = item.at('tmpfs').bytes('size');
      const mode = item.at('tmpfs').number('mode');
      return { kind, target, readOnly, ...(size === undefined || size === 0 ? {} : { size }), ...(mode === undefined ? {} : { mode }) };
    }
    default:
      item.at('type').error(`mounts of type ${kind} are not supported`, 'use volume, bind or tmpfs');
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

function makeVolumeUse(item: Reader, target: string, readOnly: boolean, context: StackContext): MountSpec | null {
  const source = item.text('source');
  const noCopy = item.at('volume').flag('nocopy') ?? false;
  const subpath = item.at('volume').text('subpath');
  if (subpath !== undefined && (hasParentSegment(subpath) || isAbsolute(subpath))) {
    item.at('volume').at('subpath').error(`a subpath stays inside the volume, unlike ${JSON.stringify(subpath)}`);
    return null;
  }
  const base = { kind: 'volume', target, readOnly, noCopy, ...(subpath === undefined || subpath === '' ? {} : { subpath }) } as const;
  if (source === undefined || source === '') return base;
  const volume = context.volumes.get(source);
  if (!volume) {
    const where = item.has('source') ? item.at('source') : item;
    where.error(`there is no volume ${JSON.stringify(source)}`, didYouMean(source, context.volumes.keys())
      ?? (source.includes('/') ? `a path on the host begins with / or ./: ./${source}` : `declare it at the top level: volumes: { ${source}: {} }`));
    return null;
  }
  return { ...base, volume: volume.name };
}

/** `/run`, `/run:size=64m,mode=1777`. */
function makeTmpfs(item: Reader): MountSpec | null {
  if (item.node?.kind !== 'scalar') return null;
  const text = item.node.text;
  const colon = text.indexOf(':');
  const target = checkTarget(item, colon < 0 ? text : text.slice(0, colon));
  if (target === null) return null;
  let size: number | undefined;
  let mode: number | undefined;
  let readOnly = false;
  for (const option of colon < 0 ? [] : text.slice(colon + 1).split(',')) {
    const [name = '', value = ''] = option.split('=', 2);
    if (name === 'size') size = parseBytes(value) ?? fail(item, `${JSON.stringify(value)} is no size`);
    else if (name === 'mode') mode = /^0?[0-7]{3,4}$/.test(value) ? Number.parseInt(value, 8) : fail(item, `${JSON.stringify(value)} is no file mode`);
    else if (name === 'ro' || name === 'rw') readOnly = name === 'ro';
    // These three are what a tmpfs has anyway.
    else if (!['noexec', 'nosuid', 'nodev', ''].includes(name)) fail(item, `the tmpfs option ${JSON.stringify(option)} is not supported`, 'the options are size, mode, ro, rw');
  }
  return { kind: 'tmpfs', target, readOnly, ...(size === undefined ? {} : { size }), ...(mode === undefined ? {} : { mode }) };
}

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
export function makeFileReferences(list: Reader, kind: 'secret' | 'config', known: ReadonlyMap<string, FileObjectSpec>): readonly FileReference[] {
  const base = kind === 'secret' ? '/run/secrets/' : '/';
  const taken = new Set<string>();
  const made: FileReference[] = [];
  for (const item of list.items()) {
    const source = item.text('source');
    if (source === undefined) continue;
    const object = known.get(source);
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
