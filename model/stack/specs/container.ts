/** A container: a service's own, or another one of its pod. */
import type { ContainerSpec, Resources } from '../../spec.ts';
import { parseBytes } from '../values/bytes.ts';
import type { PodScope, StackContext } from './context.ts';
import { makeBlkio, makeDeviceRules, makeDevices } from './devices.ts';
import { makeEnv } from './environment.ts';
import { makeHealthcheck, makeHooks, makeProbes } from './lifecycle.ts';
import { makeLimits } from './limits.ts';
import { makeLogging } from './logging.ts';
import { makeFileReferences, makeMounts } from './mounts.ts';
import { makeNamespaces } from './namespaces.ts';
import { makeImage, makePull } from './pull.ts';
import type { Reader } from './reader.ts';
import { checkPayloads } from './templates.ts';

export interface MadeContainer {
  readonly spec: ContainerSpec;
  /** What the scheduler sets aside for it. */
  readonly reservations: Resources;
}

export function makeContainer(of: Reader, name: string, context: StackContext, scope: PodScope): MadeContainer {
  const entrypoint = of.strings('entrypoint');
  const command = of.strings('command');
  const workingDir = of.text('working_dir');
  const user = of.text('user');
  const healthcheck = makeHealthcheck(of);
  const postStart = makeHooks(of.at('post_start'), scope.sample);
  const preStop = makeHooks(of.at('pre_stop'), scope.sample);
  const stopSignal = makeSignal(of);
  const shmSize = of.bytes('shm_size');
  const oomScoreAdj = of.number('oom_score_adj');
  const runtime = of.text('runtime');
  const logging = makeLogging(of.at('logging'));
  const { limits, reservations } = makeLimits(of);
  const { devices, generic } = makeDevices(of);
  const deviceCgroupRules = makeDeviceRules(of);
  const blkio = makeBlkio(of);
  const storageOpt = makeStorage(of);
  if (workingDir !== undefined && workingDir !== '' && !workingDir.startsWith('/')) of.at('working_dir').error(`a directory in the container begins with /, unlike ${JSON.stringify(workingDir)}`);
  const spec: ContainerSpec = {
    name,
    image: makeImage(of),
    ...makePull(of),
    ...(entrypoint === undefined ? {} : { entrypoint }),
    ...(command === undefined ? {} : { command }),
    env: makeEnv(of.at('environment'), scope.sample),
    labels: of.pairs('labels'),
    annotations: of.pairs('annotations'),
    ...(workingDir ? { workingDir } : {}),
    ...(user ? { user } : {}),
    groupAdd: of.strings('group_add') ?? [],
    mounts: makeMounts(of, context, scope),
    secrets: makeFileReferences(of.at('secrets'), 'secret', context.secrets),
    configs: makeFileReferences(of.at('configs'), 'config', context.configs),
    ...(healthcheck === undefined ? {} : { healthcheck }),
    ...makeProbes(of),
    ...(postStart === undefined ? {} : { postStart }),
    ...(preStop === undefined ? {} : { preStop }),
    ...(stopSignal === undefined ? {} : { stopSignal }),
    init: of.flag('init') ?? false,
    tty: of.flag('tty') ?? false,
    stdinOpen: of.flag('stdin_open') ?? false,
    readOnly: of.flag('read_only') ?? false,
    privileged: of.flag('privileged') ?? false,
    capAdd: capabilities(of.at('cap_add')),
    capDrop: capabilities(of.at('cap_drop')),
    securityOpt: of.strings('security_opt') ?? [],
    devices,
    ...(deviceCgroupRules === undefined ? {} : { deviceCgroupRules }),
    ...makeNamespaces(of, name, context, scope),
    ...(blkio === undefined ? {} : { blkio }),
    ...(storageOpt === undefined ? {} : { storageOpt }),
    ulimits: makeUlimits(of.at('ulimits')),
    ...(shmSize ? { shmSize } : {}),
    limits,
    ...(oomScoreAdj === undefined ? {} : { oomScoreAdj }),
    ...(runtime ? { runtime } : {}),
    ...(logging === undefined ? {} : { logging }),
  };
  checkPayloads(name, spec, scope.sample, context);
  return { spec, reservations: { ...reservations, ...(Object.keys(generic).length > 0 ? { generic } : {}) } };
}

function makeSignal(of: Reader): string | undefined {
  const text = of.text('stop_signal');
  if (text === undefined || text === '') return undefined;
  const name = text.toUpperCase().replace(/^SIG/, '');
  if (/^\d+$/.test(name) ? Number(name) >= 1 && Number(name) <= 64 : /^RT(MIN(\+\d{1,2})?|MAX(-\d{1,2})?)$/.test(name) || signals.has(name)) return /^\d/.test(name) ? name : `SIG${name}`;
  of.at('stop_signal').error(`${JSON.stringify(text)} is no signal`, 'write such as SIGTERM or SIGINT');
  return undefined;
}

const signals = new Set(('HUP INT QUIT ILL TRAP ABRT IOT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CLD CONT STOP TSTP TTIN TTOU URG '
  + 'XCPU XFSZ VTALRM PROF WINCH IO POLL PWR SYS UNUSED').split(' '));

function capabilities(list: Reader): readonly string[] {
  return list.items().flatMap((item) => {
    if (item.node?.kind !== 'scalar') return [];
    const name = item.node.text.toUpperCase().replace(/^CAP_/, '');
    if (!/^[A-Z_]+$/.test(name)) item.error(`${JSON.stringify(item.node.text)} is no capability`, 'write such as NET_ADMIN');
    return [name];
  });
}

/** `size`, in bytes here. Other options belong to drivers that the hosts do not have. */
function makeStorage(of: Reader): ContainerSpec['storageOpt'] {
  const options = of.at('storage_opt');
  let made: ContainerSpec['storageOpt'];
  for (const [key, item] of options.children()) {
    const text = item.node?.kind === 'scalar' ? item.node.text : '';
    const size = parseBytes(text);
    if (key !== 'size') item.error(`there is no storage option ${JSON.stringify(key)}`, 'the option is size');
    else if (size === null || size === 0) item.error(`${JSON.stringify(text)} is no size`, 'write such as 10g');
    else made = { size: String(size) };
  }
  return made;
}

function makeUlimits(limits: Reader): ContainerSpec['ulimits'] {
  return Object.fromEntries(limits.children().flatMap(([name, item]) => {
    const soft = item.number('soft');
    const hard = item.number('hard');
    if (soft === undefined || hard === undefined) return [];
    if (!resources.has(name)) item.error(`there is no ulimit ${JSON.stringify(name)}`, `the ulimits are ${[...resources].join(', ')}`);
    if (hard !== -1 && (soft === -1 || soft > hard)) item.error(`the soft limit ${soft} is above the hard limit ${hard}`);
    return [[name, { soft, hard }]];
  }));
}

const resources = new Set(['as', 'core', 'cpu', 'data', 'fsize', 'locks', 'memlock', 'msgqueue', 'nice', 'nofile', 'nproc', 'rss', 'rtprio', 'rttime', 'sigpending', 'stack']);
