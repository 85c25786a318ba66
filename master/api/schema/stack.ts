/**
 * StackSpec as JSON Schema: what `PUT /v1/stacks/:name` accepts, and what OpenAPI shows. The types at the end hold it to
 * model/spec.ts: a field added there and forgotten here does not compile.
 */
import Type from 'typebox';
import type { Static } from 'typebox';
import type { StackSpec } from '../../../model/spec.ts';

const name = Type.String({ minLength: 1, maxLength: 253 });
const strings = Type.Array(Type.String({ maxLength: 65_536 }), { maxItems: 10_000 });
const map = Type.Record(Type.String(), Type.String({ maxLength: 1_048_576 }));
const count = Type.Integer({ minimum: 0, maximum: 1_000_000 });
const ms = Type.Number({ minimum: 0, maximum: 3.2e13 });
const bytes = Type.Number({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const port = Type.Integer({ minimum: 1, maximum: 65_535 });
const exact = { additionalProperties: false } as const;
const keyed = (kind: 'label' | 'engine') => Type.Object({ kind: Type.Literal(kind), key: Type.String() }, exact);

const subject = Type.Union([
  keyed('label'), keyed('engine'),
  Type.Object({ kind: Type.Union([Type.Literal('id'), Type.Literal('hostname'), Type.Literal('ip'), Type.Literal('role'), Type.Literal('os'), Type.Literal('arch')]) }, exact),
  Type.Object({ kind: Type.Literal('node') }, exact),
]);
const pattern = (kind: 'literal' | 'glob' | 'regex') => Type.Object({ kind: Type.Literal(kind), value: Type.String({ maxLength: 1024 }) }, exact);
const constraint = Type.Object({
  subject, op: Type.Union([Type.Literal('=='), Type.Literal('!=')]), pattern: Type.Union([pattern('literal'), pattern('glob'), pattern('regex')]), soft: Type.Boolean(), source: Type.String(),
}, exact);

const affinity = Type.Object({
  subject: Type.Union([Type.Object({ kind: Type.Literal('container') }, exact), Type.Object({ kind: Type.Literal('image') }, exact), Type.Object({ kind: Type.Literal('label'), key: Type.String() }, exact)]),
  op: Type.Union([Type.Literal('=='), Type.Literal('!=')]), pattern: Type.Union([pattern('literal'), pattern('glob'), pattern('regex')]), soft: Type.Boolean(), source: Type.String(),
}, exact);
const operator = Type.Object({
  subject,
  operator: Type.Union([Type.Literal('UNIQUE'), Type.Literal('CLUSTER'), Type.Literal('GROUP_BY'), Type.Literal('MAX_PER'), Type.Literal('LIKE'), Type.Literal('UNLIKE')]),
  value: Type.Optional(Type.String({ maxLength: 1024 })), count: Type.Optional(count), source: Type.String(),
}, exact);

const resources = Type.Object({ cpus: Type.Number({ minimum: 0 }), memory: bytes }, exact);
const update = Type.Object({
  parallelism: count, delayMs: ms, order: Type.Union([Type.Literal('stop-first'), Type.Literal('start-first')]),
  failureAction: Type.Union([Type.Literal('pause'), Type.Literal('continue'), Type.Literal('rollback')]), monitorMs: ms, maxFailureRatio: Type.Number({ minimum: 0, maximum: 1 }),
}, exact);

const mount = Type.Union([
  Type.Object({
    kind: Type.Literal('volume'), volume: Type.Optional(name), target: Type.String(), readOnly: Type.Boolean(), noCopy: Type.Boolean(), subpath: Type.Optional(Type.String()),
  }, exact),
  Type.Object({
    kind: Type.Literal('bind'), source: Type.String(), target: Type.String(), readOnly: Type.Boolean(), createHostPath: Type.Boolean(),
    propagation: Type.Union([Type.Literal('rprivate'), Type.Literal('private'), Type.Literal('rshared'), Type.Literal('shared'), Type.Literal('rslave'), Type.Literal('slave')]),
  }, exact),
  Type.Object({ kind: Type.Literal('tmpfs'), target: Type.String(), readOnly: Type.Boolean(), size: Type.Optional(bytes), mode: Type.Optional(count) }, exact),
]);
const fileReference = Type.Object({ source: name, digest: Type.Optional(Type.String()), target: Type.String(), uid: count, gid: count, mode: count }, exact);

const healthcheck = Type.Object({
  test: Type.Union([
    Type.Object({ kind: Type.Literal('exec'), argv: strings }, exact),
    Type.Object({ kind: Type.Literal('shell'), command: Type.String() }, exact),
    Type.Object({ kind: Type.Literal('none') }, exact),
  ]),
  intervalMs: ms, timeoutMs: ms, retries: count, startPeriodMs: ms, startIntervalMs: ms,
}, exact);

const limits = Type.Object({
  cpus: Type.Optional(Type.Number({ minimum: 0 })), cpuShares: Type.Optional(count), cpuset: Type.Optional(Type.String()), memory: Type.Optional(bytes),
  memoryReservation: Type.Optional(bytes), memorySwap: Type.Optional(Type.Number({ minimum: -1 })), pids: Type.Optional(Type.Integer({ minimum: -1 })),
}, exact);

const container = Type.Object({
  name, image: Type.String({ minLength: 1, maxLength: 4096 }),
  pullPolicy: Type.Union([Type.Literal('always'), Type.Literal('missing'), Type.Literal('never')]),
  entrypoint: Type.Optional(strings), command: Type.Optional(strings),
  env: Type.Record(Type.String(), Type.Union([Type.String({ maxLength: 1_048_576 }), Type.Null()])),
  labels: map, annotations: map, workingDir: Type.Optional(Type.String()), user: Type.Optional(Type.String()), groupAdd: strings,
  mounts: Type.Array(mount), secrets: Type.Array(fileReference), configs: Type.Array(fileReference), healthcheck: Type.Optional(healthcheck),
  stopSignal: Type.Optional(Type.String()), init: Type.Boolean(), tty: Type.Boolean(), stdinOpen: Type.Boolean(), readOnly: Type.Boolean(), privileged: Type.Boolean(),
  capAdd: strings, capDrop: strings, securityOpt: strings,
  devices: Type.Array(Type.Object({ source: Type.String(), target: Type.String(), permissions: Type.String() }, exact)),
  ulimits: Type.Record(Type.String(), Type.Object({ soft: Type.Number(), hard: Type.Number() }, exact)),
  shmSize: Type.Optional(bytes), limits, oomScoreAdj: Type.Optional(Type.Integer({ minimum: -1000, maximum: 1000 })), runtime: Type.Optional(Type.String()),
}, exact);

const template = Type.Object({
  containers: Type.Array(container, { minItems: 1, maxItems: 100 }), hostname: Type.Optional(Type.String()), domainname: Type.Optional(Type.String()),
  networkMode: Type.Union([Type.Literal('pod'), Type.Literal('host'), Type.Literal('none')]),
  extraHosts: Type.Array(Type.Object({ name: Type.String(), ip: Type.String() }, exact)), dns: strings, dnsSearch: strings, dnsOptions: strings, sysctls: map,
  restart: Type.Object({
    condition: Type.Union([Type.Literal('none'), Type.Literal('on-failure'), Type.Literal('any'), Type.Literal('unless-stopped')]), delayMs: ms, maxAttempts: count, windowMs: ms,
  }, exact),
  stopGraceMs: ms, reservations: resources,
}, exact);

const service = Type.Object({
  stack: name, name,
  mode: Type.Union([
    Type.Object({ kind: Type.Literal('replicated'), replicas: count }, exact), Type.Object({ kind: Type.Literal('global') }, exact),
    Type.Object({ kind: Type.Literal('replicated-job'), completions: count, concurrency: count }, exact), Type.Object({ kind: Type.Literal('global-job') }, exact),
  ]),
  labels: map, template,
  placement: Type.Object({
    constraints: Type.Array(constraint), affinities: Type.Optional(Type.Array(affinity)), operators: Type.Optional(Type.Array(operator)), reschedule: Type.Optional(Type.Literal('off')), spread: Type.Array(Type.Object({ subject, source: Type.String() }, exact)), maxPerNode: count,
    strategy: Type.Union([Type.Literal('spread'), Type.Literal('binpack'), Type.Literal('random')]),
  }, exact),
  ports: Type.Array(Type.Object({
    target: port, published: Type.Optional(port), protocol: Type.Union([Type.Literal('tcp'), Type.Literal('udp')]),
    mode: Type.Union([Type.Literal('ingress'), Type.Literal('host')]), hostIp: Type.Optional(Type.String()),
  }, exact), { maxItems: 10_000 }),
  networks: Type.Array(Type.Object({ network: name, aliases: strings }, exact)),
  endpointMode: Type.Union([Type.Literal('vip'), Type.Literal('dnsrr')]), update, rollback: update,
  dependsOn: Type.Array(Type.Object({
    service: name, condition: Type.Union([Type.Literal('service_started'), Type.Literal('service_healthy'), Type.Literal('service_completed_successfully')]), required: Type.Boolean(), restart: Type.Boolean(),
  }, exact)),
}, exact);

const network = Type.Object({ name, external: Type.Boolean(), internal: Type.Boolean(), driver: Type.String(), driverOpts: map, labels: map }, exact);
const volume = Type.Object({ name, external: Type.Boolean(), driver: Type.String(), driverOpts: map, labels: map }, exact);
const fileObject = Type.Object({ name, external: Type.Boolean(), content: Type.Optional(Type.String()), digest: Type.Optional(Type.String()), labels: map }, exact);

export const StackSchema = Type.Object({
  name, services: Type.Record(Type.String(), service), networks: Type.Record(Type.String(), network), volumes: Type.Record(Type.String(), volume),
  secrets: Type.Record(Type.String(), fileObject), configs: Type.Record(Type.String(), fileObject),
}, { ...exact, $id: 'StackSpec', title: 'StackSpec' });

type Mutual<A extends B, B> = [A, B];
/** Compiles only while schema and type say the same, in both directions. */
export type SchemaAgrees = [Mutual<Static<typeof StackSchema>, StackSpec>, Mutual<DeepMutable<StackSpec>, Static<typeof StackSchema>>];
type DeepMutable<T> = T extends readonly (infer U)[] ? DeepMutable<U>[] : T extends object ? { -readonly [K in keyof T]: DeepMutable<T[K]> } : T;
