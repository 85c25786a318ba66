/** A service's container. */
import type { ContainerSpec } from '../../spec.ts';
import type { StackContext } from './context.ts';
import { nameOf } from '../path.ts';
import { makeHealthcheck } from './health.ts';
import { imageProblem } from './image.ts';
import type { MadeLimits } from './limits.ts';
import { makeFileReferences, makeMounts } from './mounts.ts';
import { isClassicKey } from './placement/classic.ts';
import type { Reader } from './reader.ts';

/** Go templates of Swarm, which the hosts do not fill in. */
const swarmTemplate = /\{\{\s*\.(Node|Service|Task)\b/;

export function makeContainer(service: Reader, name: string, limits: MadeLimits['limits'], context: StackContext): ContainerSpec {
  const entrypoint = service.strings('entrypoint');
  const command = service.strings('command');
  const workingDir = service.text('working_dir');
  const user = service.text('user');
  const healthcheck = makeHealthcheck(service);
  const stopSignal = makeSignal(service);
  const shmSize = service.bytes('shm_size');
  const oomScoreAdj = service.number('oom_score_adj');
  const runtime = service.text('runtime');
  if (workingDir !== undefined && workingDir !== '' && !workingDir.startsWith('/')) service.at('working_dir').error(`a directory in the container begins with /, unlike ${JSON.stringify(workingDir)}`);
  return {
    name,
    image: makeImage(service),
    pullPolicy: makePullPolicy(service),
    ...(entrypoint === undefined ? {} : { entrypoint }),
    ...(command === undefined ? {} : { command }),
    env: makeEnv(service.at('environment')),
    labels: service.pairs('labels'),
    annotations: service.pairs('annotations'),
    ...(workingDir ? { workingDir } : {}),
    ...(user ? { user } : {}),
    groupAdd: service.strings('group_add') ?? [],
    mounts: makeMounts(service, context),
    secrets: makeFileReferences(service.at('secrets'), 'secret', context.secrets),
    configs: makeFileReferences(service.at('configs'), 'config', context.configs),
    ...(healthcheck === undefined ? {} : { healthcheck }),
    ...(stopSignal === undefined ? {} : { stopSignal }),
    init: service.flag('init') ?? false,
    tty: service.flag('tty') ?? false,
    stdinOpen: service.flag('stdin_open') ?? false,
    readOnly: service.flag('read_only') ?? false,
    privileged: service.flag('privileged') ?? false,
    capAdd: capabilities(service.at('cap_add')),
    capDrop: capabilities(service.at('cap_drop')),
    securityOpt: service.strings('security_opt') ?? [],
    devices: makeDevices(service.at('devices')),
    ulimits: makeUlimits(service.at('ulimits')),
    ...(shmSize ? { shmSize } : {}),
    limits,
    ...(oomScoreAdj === undefined ? {} : { oomScoreAdj }),
    ...(runtime ? { runtime } : {}),
  };
}

function makeImage(service: Reader): string {
  const image = service.text('image');
  if (image === undefined) {
    // With `build` the refusal of that key says all; an `extends` that is still there failed, and its error says all.
    const said = ['build', 'provider', 'extends'].some((key) => service.has(key));
    if (!service.has('image') && !said) service.error(`the service ${nameOf(service.path)} has no image`, 'name one: image: …');
    else if (service.has('image') && service.at('image').node) service.at('image').error('the image is empty', 'name one');
    return '';
  }
  const problem = imageProblem(image);
  if (problem !== null) service.at('image').error(problem, image === '' ? 'a variable in it may not be set' : undefined);
  return image;
}

function makePullPolicy(service: Reader): ContainerSpec['pullPolicy'] {
  const text = service.text('pull_policy');
  switch (text) {
    case undefined: case '': case 'missing': case 'if_not_present': return 'missing';
    case 'always': case 'never': return text;
    default: {
      const known = /^(build|refresh|daily|weekly|every_([0-9]+[wdhms])+)$/.test(text);
      service.at('pull_policy').error(known ? `pull_policy: ${text} is not supported` : `there is no pull policy ${JSON.stringify(text)}`, 'the policies are always, missing and never');
      return 'missing';
    }
  }
}

function makeEnv(environment: Reader): ContainerSpec['env'] {
  const made: [string, string | null][] = [];
  for (const [key, item] of environment.children()) {
    if (isClassicKey(key) || item.node?.kind !== 'scalar') continue;
    const value = item.node.value === null ? null : item.node.text;
    if (value !== null && swarmTemplate.test(value)) item.error(`the template ${value.trim()} is not supported yet`, 'the host name of a container is in /etc/hostname');
    made.push([key, value]);
  }
  return Object.fromEntries(made);
}

function makeSignal(service: Reader): string | undefined {
  const text = service.text('stop_signal');
  if (text === undefined || text === '') return undefined;
  const name = text.toUpperCase().replace(/^SIG/, '');
  if (/^\d+$/.test(name) ? Number(name) >= 1 && Number(name) <= 64 : /^RT(MIN(\+\d{1,2})?|MAX(-\d{1,2})?)$/.test(name) || signals.has(name)) return /^\d/.test(name) ? name : `SIG${name}`;
  service.at('stop_signal').error(`${JSON.stringify(text)} is no signal`, 'write such as SIGTERM or SIGINT');
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

function makeDevices(list: Reader): ContainerSpec['devices'] {
  return list.items().flatMap((item) => {
    const source = item.text('source');
    if (source === undefined) return [];
    if (!source.startsWith('/')) item.error(`a device is a path on the host or a CDI name; ${JSON.stringify(source)} is not supported`, 'write such as /dev/fuse');
    return [{ source, target: item.text('target') ?? source, permissions: item.text('permissions') ?? 'rwm' }];
  });
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
