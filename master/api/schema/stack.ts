/**
 * StackSpec as JSON Schema: what `PUT /v1/stacks/:name` accepts, and what OpenAPI shows. The types at the end hold it to
 * model/spec.ts: a field added there and forgotten here does not compile.
 */
import Type from 'typebox';
import type { Static, TSchema } from 'typebox';
import { stackLimits } from '../../../model/limits.ts';
import type { StackSpec } from '../../../model/spec.ts';

/** Paths, values of options, sources of expressions. */
const text = Type.String({ maxLength: 4096 });
const name = Type.String({ minLength: 1, maxLength: 253 });
/** Things by name, so many at most. The loader has the same limits, with line numbers. */
const named = <T extends TSchema>(of: T, most: number) => Type.Record(Type.String({ pattern: '^.{1,253}$' }), of, { additionalProperties: false, maxProperties: most });
const strings = Type.Array(Type.String({ maxLength: 65_536 }), { maxItems: 10_000 });
const map = Type.Record(Type.String(), Type.String({ maxLength: 1_048_576 }), { maxProperties: stackLimits.entries });
const count = Type.Integer({ minimum: 0, maximum: 1_000_000 });
const ms = Type.Number({ minimum: 0, maximum: 3.2e13 });
const bytes = Type.Number({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const port = Type.Integer({ minimum: 1, maximum: 65_535 });
const expressions = { maxItems: stackLimits.expressions } as const;
const few = { maxItems: 1000 } as const;
const fewKeys = { maxProperties: 1000 } as const;
const exact = { additionalProperties: false } as const;
const keyed = (kind: 'label' | 'engine') => Type.Object({ kind: Type.Literal(kind), key: text }, exact);

const subject = Type.Union([
  keyed('label'), keyed('engine'),
  Type.Object({ kind: Type.Union([Type.Literal('id'), Type.Literal('hostname'), Type.Literal('ip'), Type.Literal('role'), Type.Literal('os'), Type.Literal('arch')]) }, exact),
  Type.Object({ kind: Type.Literal('node') }, exact),
]);
const pattern = (kind: 'literal' | 'glob' | 'regex') => Type.Object({ kind: Type.Literal(kind), value: Type.String({ maxLength: 1024 }) }, exact);
const constraint = Type.Object({
  subject, op: Type.Union([Type.Literal('=='), Type.Literal('!=')]), pattern: Type.Union([pattern('literal'), pattern('glob'), pattern('regex')]), soft: Type.Boolean(), source: text,
}, exact);

const affinity = Type.Object({
  subject: Type.Union([Type.Object({ kind: Type.Literal('container') }, exact), Type.Object({ kind: Type.Literal('image') }, exact), Type.Object({ kind: Type.Literal('label'), key: text }, exact)]),
  op: Type.Union([Type.Literal('=='), Type.Literal('!=')]), pattern: Type.Union([pattern('literal'), pattern('glob'), pattern('regex')]), soft: Type.Boolean(), source: text,
}, exact);
const operator = Type.Object({
  subject,
  operator: Type.Union([Type.Literal('UNIQUE'), Type.Literal('CLUSTER'), Type.Literal('GROUP_BY'), Type.Literal('MAX_PER'), Type.Literal('LIKE'), Type.Literal('UNLIKE')]),
  value: Type.Optional(Type.String({ maxLength: 1024 })), count: Type.Optional(count), source: text,
}, exact);

const resources = Type.Object({ cpus: Type.Number({ minimum: 0 }), memory: bytes, generic: Type.Optional(Type.Record(Type.String(), count, fewKeys)) }, exact);
const update = Type.Object({
  parallelism: count, delayMs: ms, order: Type.Union([Type.Literal('stop-first'), Type.Literal('start-first')]),
  failureAction: Type.Union([Type.Literal('pause'), Type.Literal('continue'), Type.Literal('rollback')]), monitorMs: ms, maxFailureRatio: Type.Number({ minimum: 0, maximum: 1 }),
}, exact);

const mount = Type.Union([
  Type.Object({
    kind: Type.Literal('volume'), volume: Type.Optional(name), target: text, readOnly: Type.Boolean(), noCopy: Type.Boolean(), subpath: Type.Optional(text),
    perReplica: Type.Optional(Type.Boolean()), labels: Type.Optional(map),
  }, exact),
  Type.Object({
    kind: Type.Literal('pod'), name, target: text, readOnly: Type.Boolean(), medium: Type.Optional(Type.Literal('memory')), size: Type.Optional(bytes),
  }, exact),
  Type.Object({ kind: Type.Literal('image'), image: text, target: text, subpath: Type.Optional(text) }, exact),
  Type.Object({
    kind: Type.Literal('bind'), source: text, target: text, readOnly: Type.Boolean(), createHostPath: Type.Boolean(),
    propagation: Type.Union([Type.Literal('rprivate'), Type.Literal('private'), Type.Literal('rshared'), Type.Literal('shared'), Type.Literal('rslave'), Type.Literal('slave')]),
  }, exact),
  Type.Object({ kind: Type.Literal('tmpfs'), target: text, readOnly: Type.Boolean(), size: Type.Optional(bytes), mode: Type.Optional(count), options: Type.Optional(strings) }, exact),
]);
const fileReference = Type.Object({ source: name, digest: Type.Optional(text), target: text, uid: count, gid: count, mode: count }, exact);

const healthcheck = Type.Object({
  test: Type.Union([
    Type.Object({ kind: Type.Literal('exec'), argv: strings }, exact),
    Type.Object({ kind: Type.Literal('shell'), command: text }, exact),
    Type.Object({ kind: Type.Literal('none') }, exact),
  ]),
  intervalMs: ms, timeoutMs: ms, retries: count, startPeriodMs: ms, startIntervalMs: ms,
}, exact);

const override = Type.Object({
  test: Type.Object({ kind: Type.Literal('image') }, exact),
  intervalMs: Type.Optional(ms), timeoutMs: Type.Optional(ms), retries: Type.Optional(count), startPeriodMs: Type.Optional(ms), startIntervalMs: Type.Optional(ms),
}, exact);
const environment = Type.Record(Type.String(), Type.Union([Type.String({ maxLength: 1_048_576 }), Type.Null()]), { maxProperties: stackLimits.entries });
const command = Type.Union([Type.Object({ kind: Type.Literal('exec'), argv: strings }, exact), Type.Object({ kind: Type.Literal('shell'), command: text }, exact)]);
const hooks = Type.Array(Type.Object({
  command, user: Type.Optional(text), workingDir: Type.Optional(text), env: environment, privileged: Type.Boolean(),
}, exact), few);
const probe = Type.Object({
  ask: Type.Union([
    Type.Object({ kind: Type.Literal('exec'), argv: strings }, exact),
    Type.Object({ kind: Type.Literal('http'), scheme: Type.Union([Type.Literal('http'), Type.Literal('https')]), port, path: text, host: Type.Optional(text), headers: map }, exact),
    Type.Object({ kind: Type.Literal('tcp'), port, host: Type.Optional(text) }, exact),
    Type.Object({ kind: Type.Literal('grpc'), port, service: text }, exact),
  ]),
  initialDelayMs: ms, periodMs: ms, timeoutMs: ms, successThreshold: count, failureThreshold: count,
}, exact);
const condition = Type.Union([Type.Literal('service_started'), Type.Literal('service_healthy'), Type.Literal('service_completed_successfully')]);
const restart = Type.Object({
  condition: Type.Union([Type.Literal('none'), Type.Literal('on-failure'), Type.Literal('any'), Type.Literal('unless-stopped')]), delayMs: ms, maxAttempts: count, windowMs: ms,
  attemptsWithinMs: Type.Optional(ms),
}, exact);

const rates = Type.Array(Type.Object({ path: text, rate: bytes }, exact), few);
const blkio = Type.Object({
  weight: Type.Optional(count), weightDevice: Type.Array(Type.Object({ path: text, weight: count }, exact), few),
  deviceReadBps: rates, deviceWriteBps: rates, deviceReadIops: rates, deviceWriteIops: rates,
}, exact);

const limits = Type.Object({
  cpus: Type.Optional(Type.Number({ minimum: 0 })), cpuShares: Type.Optional(count), cpuset: Type.Optional(text), memory: Type.Optional(bytes),
  memoryReservation: Type.Optional(bytes), memorySwap: Type.Optional(Type.Number({ minimum: -1 })), pids: Type.Optional(Type.Integer({ minimum: -1 })),
  memorySwappiness: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })), oomKillDisable: Type.Optional(Type.Boolean()),
  cpuRealtimeRuntime: Type.Optional(count), cpuRealtimePeriod: Type.Optional(count),
}, exact);

const container = Type.Object({
  name, image: Type.String({ minLength: 1, maxLength: 4096 }),
  pullPolicy: Type.Union([Type.Literal('always'), Type.Literal('missing'), Type.Literal('never')]), pullRefreshMs: Type.Optional(ms),
  entrypoint: Type.Optional(strings), command: Type.Optional(strings),
  env: environment,
  labels: map, annotations: map, workingDir: Type.Optional(text), user: Type.Optional(text), groupAdd: strings,
  mounts: Type.Array(mount, few), secrets: Type.Array(fileReference, few), configs: Type.Array(fileReference, few), healthcheck: Type.Optional(Type.Union([healthcheck, override])),
  startupProbe: Type.Optional(probe), readinessProbe: Type.Optional(probe), livenessProbe: Type.Optional(probe), postStart: Type.Optional(hooks), preStop: Type.Optional(hooks),
  after: Type.Optional(Type.Array(Type.Object({ container: name, condition }, exact), few)), restart: Type.Optional(restart),
  stopSignal: Type.Optional(text), init: Type.Boolean(), tty: Type.Boolean(), stdinOpen: Type.Boolean(), readOnly: Type.Boolean(), privileged: Type.Boolean(),
  capAdd: strings, capDrop: strings, securityOpt: strings,
  devices: Type.Array(Type.Object({ source: text, target: text, permissions: text }, exact)),
  deviceCgroupRules: Type.Optional(strings), pid: Type.Optional(text), ipc: Type.Optional(text), uts: Type.Optional(Type.Literal('host')),
  cgroupns: Type.Optional(Type.Union([Type.Literal('host'), Type.Literal('private')])), userns: Type.Optional(Type.Literal('private')), cgroupParent: Type.Optional(text),
  blkio: Type.Optional(blkio), storageOpt: Type.Optional(map),
  ulimits: Type.Record(Type.String(), Type.Object({ soft: Type.Number(), hard: Type.Number() }, exact)),
  shmSize: Type.Optional(bytes), limits, oomScoreAdj: Type.Optional(Type.Integer({ minimum: -1000, maximum: 1000 })), runtime: Type.Optional(text),
  logging: Type.Optional(Type.Object({ maxSize: Type.Integer({ minimum: -1 }), maxFile: Type.Integer({ minimum: 1 }) }, exact)),
}, exact);

const template = Type.Object({
  containers: Type.Array(container, { minItems: 1, maxItems: 100 }), initContainers: Type.Optional(Type.Array(container, { maxItems: 100 })), hostname: Type.Optional(text), domainname: Type.Optional(text),
  networkMode: Type.Union([Type.Literal('pod'), Type.Literal('host'), Type.Literal('none')]),
  extraHosts: Type.Array(Type.Object({ name: text, ip: text }, exact)), dns: strings, dnsSearch: strings, dnsOptions: strings, sysctls: map,
  restart,
  stopGraceMs: ms, onDisconnect: Type.Optional(Type.Object({ stopAfterMs: ms }, exact)), reservations: resources,
}, exact);

const service = Type.Object({
  stack: name, name,
  mode: Type.Union([
    Type.Object({ kind: Type.Literal('replicated'), replicas: count }, exact), Type.Object({ kind: Type.Literal('global') }, exact),
    Type.Object({ kind: Type.Literal('replicated-job'), completions: count, concurrency: count }, exact), Type.Object({ kind: Type.Literal('global-job') }, exact),
  ]),
  labels: map, template,
  placement: Type.Object({
    constraints: Type.Array(constraint, expressions), affinities: Type.Optional(Type.Array(affinity, expressions)), operators: Type.Optional(Type.Array(operator, expressions)), reschedule: Type.Optional(Type.Literal('off')), spread: Type.Array(Type.Object({ subject, source: text }, exact), expressions), maxPerNode: count,
    strategy: Type.Union([Type.Literal('spread'), Type.Literal('binpack'), Type.Literal('random')]),
  }, exact),
  ports: Type.Array(Type.Object({
    target: port, published: Type.Optional(port), publishedTo: Type.Optional(port), protocol: Type.Union([Type.Literal('tcp'), Type.Literal('udp')]),
    mode: Type.Union([Type.Literal('ingress'), Type.Literal('host')]), hostIp: Type.Optional(text),
  }, exact), { maxItems: 10_000 }),
  networks: Type.Array(Type.Object({ network: name, aliases: strings }, exact)),
  endpointMode: Type.Union([Type.Literal('vip'), Type.Literal('dnsrr')]), update, rollback: update,
  dependsOn: Type.Array(Type.Object({
    service: name, container: Type.Optional(name), condition, required: Type.Boolean(), restart: Type.Boolean(),
  }, exact)),
}, exact);

const network = Type.Object({ name, external: Type.Boolean(), internal: Type.Boolean(), driver: text, driverOpts: map, labels: map }, exact);
const volume = Type.Object({ name, external: Type.Boolean(), driver: text, driverOpts: map, labels: map }, exact);
const fileObject = Type.Object({ name, external: Type.Boolean(), content: Type.Optional(Type.String()), digest: Type.Optional(text), template: Type.Optional(Type.Literal('golang')), labels: map }, exact);

export const StackSchema = Type.Object({
  name, services: named(service, stackLimits.services), networks: named(network, stackLimits.networks), volumes: named(volume, stackLimits.volumes),
  secrets: named(fileObject, stackLimits.secrets), configs: named(fileObject, stackLimits.configs),
}, { ...exact, $id: 'StackSpec', title: 'StackSpec' });

const secret = Type.String({ minLength: 1, maxLength: 65_536 });
const registryAuth = Type.Union([
  Type.Object({ kind: Type.Literal('basic'), username: secret, password: secret }, exact),
  Type.Object({ kind: Type.Literal('identity'), token: secret }, exact),
]);

/** What comes with an apply: the spec, and what is not of the spec. */
export const ApplySchema = Type.Object({ ...StackSchema.properties, registries: Type.Optional(named(registryAuth, 100)) }, { ...exact, $id: 'ApplyRequest', title: 'ApplyRequest' });

type Mutual<A extends B, B> = [A, B];
/** Compiles only while schema and type say the same, in both directions. */
export type SchemaAgrees = [Mutual<Static<typeof StackSchema>, StackSpec>, Mutual<DeepMutable<StackSpec>, Static<typeof StackSchema>>];
type DeepMutable<T> = T extends readonly (infer U)[] ? DeepMutable<U>[] : T extends object ? { -readonly [K in keyof T]: DeepMutable<T[K]> } : T;
