/** Text of a CDI file, JSON or YAML, to what it says. Pure. */
import Type, { type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { parse } from 'yaml';
import { TsorchError } from '../../../model/errors.ts';
import type { CdiDeviceNode, CdiEdits, CdiSpec } from './types.ts';

const strings = Type.Optional(Type.Array(Type.String()));
const id = Type.Optional(Type.Integer({ minimum: 0, maximum: 0xffffffff }));
const hookNames = (['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'] as const).map((name) => Type.Literal(name));

const editsShape = Type.Object({
  env: strings,
  deviceNodes: Type.Optional(Type.Array(Type.Object({
    path: Type.String({ pattern: '^/' }), hostPath: Type.Optional(Type.String({ pattern: '^/' })), type: Type.Optional(Type.String()), major: Type.Optional(Type.Integer()), minor: Type.Optional(Type.Integer()),
    fileMode: Type.Optional(Type.Integer({ minimum: 0 })), permissions: Type.Optional(Type.String({ pattern: '^[rwm]{0,3}$' })), uid: id, gid: id,
  }))),
  mounts: Type.Optional(Type.Array(Type.Object({ hostPath: Type.String(), containerPath: Type.String({ pattern: '^/' }), options: strings, type: Type.Optional(Type.String()) }))),
  hooks: Type.Optional(Type.Array(Type.Object({ hookName: Type.Union(hookNames), path: Type.String({ pattern: '^/' }), args: strings, env: strings, timeout: Type.Optional(Type.Integer({ minimum: 0 })) }))),
  additionalGids: Type.Optional(Type.Array(Type.Integer({ minimum: 0, maximum: 0xffffffff }))),
  intelRdt: Type.Optional(Type.Unknown()),
  netDevices: Type.Optional(Type.Array(Type.Unknown())),
});
const specShape = Type.Object({
  cdiVersion: Type.String({ pattern: '^(0\\.\\d|1\\.\\d)' }),
  kind: Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_.-]*/[A-Za-z][A-Za-z0-9_.-]*$' }),
  devices: Type.Array(Type.Object({ name: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9_.:-]*$' }), containerEdits: editsShape }), { minItems: 1 }),
  containerEdits: Type.Optional(editsShape),
});
const check = Compile(specShape);

/** Throws `invalid`, with the place in the document. */
export function parseCdi(text: string): CdiSpec {
  let value: unknown;
  try {
    // JSON is YAML too.
    value = parse(text, { maxAliasCount: 100 });
  } catch (cause) {
    throw new TsorchError('invalid', `it is neither JSON nor YAML: ${(cause as Error).message.split('\n')[0]}`, { cause });
  }
  if (!check.Check(value)) {
    const [problem] = check.Errors(value);
    throw new TsorchError('invalid', `it is no CDI specification: ${problem?.instancePath || '/'} ${problem?.message ?? 'is malformed'}`);
  }
  const { kind, devices, containerEdits } = value;
  return { kind, devices: devices.map(({ name, containerEdits: own }) => ({ name, edits: edits(own) })), edits: edits(containerEdits ?? {}) };
}

function edits(given: Static<typeof editsShape>): CdiEdits {
  if (given.intelRdt !== undefined || (given.netDevices ?? []).length > 0) throw new TsorchError('invalid', 'it asks for intelRdt or netDevices, which are not supported');
  return {
    env: given.env ?? [],
    deviceNodes: (given.deviceNodes ?? []).map(deviceNode),
    mounts: (given.mounts ?? []).map(({ hostPath, containerPath, options, type }) => ({ hostPath, containerPath, options: options ?? [], ...(type ? { type } : {}) })),
    hooks: (given.hooks ?? []).map(({ hookName, path, args, env, timeout }) => ({
      name: hookName,
      hook: { path, ...(args ? { args } : {}), ...(env ? { env } : {}), ...(timeout === undefined ? {} : { timeout }) },
    })),
    additionalGids: (given.additionalGids ?? []).filter((gid) => gid !== 0),
  };
}

function deviceNode(given: NonNullable<Static<typeof editsShape>['deviceNodes']>[number]): CdiDeviceNode {
  const { path, hostPath, type, major, minor, fileMode, permissions, uid, gid } = given;
  // `u` is an unbuffered character device, which Linux does not tell apart.
  const kind = type === 'u' ? 'c' : type;
  if (kind !== undefined && kind !== '' && kind !== 'b' && kind !== 'c') throw new TsorchError('invalid', `device node ${path} has the type ${JSON.stringify(type)}; it must be b or c`);
  return {
    path,
    hostPath: hostPath ?? path,
    permissions: permissions || 'rwm',
    ...(kind === 'b' || kind === 'c' ? { type: kind } : {}),
    ...(major === undefined ? {} : { major }),
    ...(minor === undefined ? {} : { minor }),
    ...(fileMode === undefined ? {} : { fileMode }),
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  };
}
