/** Small specs, nodes and pods for tests of deciding code. */
import { parseAffinity } from '../../../../model/constraint/affinity.ts';
import { parseOperator } from '../../../../model/constraint/operator.ts';
import { parseConstraint, parseSpread } from '../../../../model/constraint/parse.ts';
import type { Affinity, Constraint, PlacementOperator, SpreadPreference } from '../../../../model/constraint/types.ts';
import type { GenericCapacity } from '../../../../model/generic.ts';
import type { NodeState, NodeView } from '../../../../model/node.ts';
import type { Pod } from '../../../../model/pod.ts';
import type { ContainerSpec, Placement, PodTemplate, ServiceSpec, UpdateConfig } from '../../../../model/spec.ts';
import { demandOf } from '../../../../master/scheduler/demand.ts';
import { ClusterState } from '../../../../master/scheduler/state.ts';

export const gib = 1024 ** 3;

export function constraint(text: string): Constraint {
  const result = parseConstraint(text);
  if ('error' in result) throw new Error(`${text}: ${result.error}`);
  return result.ok;
}

export function spread(text: string): SpreadPreference {
  const result = parseSpread(text);
  if ('error' in result) throw new Error(`${text}: ${result.error}`);
  return result.ok;
}

export function affinity(text: string): Affinity {
  const result = parseAffinity(text);
  if ('error' in result) throw new Error(`${text}: ${result.error}`);
  return result.ok;
}

/** `rack:MAX_PER:2`. */
export function operator(text: string): PlacementOperator {
  const result = parseOperator(text.split(':'));
  if ('error' in result) throw new Error(`${text}: ${result.error}`);
  return result.ok;
}

export function makeContainer(changes: Partial<ContainerSpec> = {}): ContainerSpec {
  return {
    name: 'main', image: 'app:1', pullPolicy: 'missing', env: {}, labels: {}, annotations: {}, groupAdd: [], mounts: [], secrets: [], configs: [],
    init: false, tty: false, stdinOpen: false, readOnly: false, privileged: false, capAdd: [], capDrop: [], securityOpt: [], devices: [], ulimits: {},
    limits: {}, ...changes,
  };
}

export const update: UpdateConfig = { parallelism: 1, delayMs: 0, order: 'stop-first', failureAction: 'pause', monitorMs: 5000, maxFailureRatio: 0 };

export interface SpecChanges extends Partial<Omit<ServiceSpec, 'template' | 'placement' | 'update'>> {
  readonly template?: Partial<PodTemplate>;
  readonly placement?: Partial<Placement>;
  readonly update?: Partial<UpdateConfig>;
  readonly cpus?: number;
  readonly memory?: number;
  readonly generic?: Readonly<Record<string, number>>;
  readonly where?: readonly string[];
  readonly over?: readonly string[];
  readonly volumes?: readonly string[];
  readonly beside?: readonly string[];
  readonly operators?: readonly string[];
}

export function makeSpec(changes: SpecChanges = {}): ServiceSpec {
  const { template, placement, update: updateChanges, cpus = 0, memory = 0, generic, where = [], over = [], volumes = [], beside = [], operators = [], ...rest } = changes;
  const mounts = volumes.map((volume) => ({ kind: 'volume', volume, target: `/${volume}`, readOnly: false, noCopy: false }) as const);
  return {
    stack: 'shop', name: 'web', mode: { kind: 'replicated', replicas: 1 }, labels: {}, ports: [], networks: [], endpointMode: 'vip',
    rollback: update, dependsOn: [], ...rest,
    template: {
      containers: [makeContainer({ mounts })], networkMode: 'pod', extraHosts: [], dns: [], dnsSearch: [], dnsOptions: [], sysctls: {},
      restart: { condition: 'any', delayMs: 100, maxAttempts: 0, windowMs: 0 }, stopGraceMs: 10_000, reservations: { cpus, memory, ...(generic ? { generic } : {}) }, ...template,
    },
    placement: {
      constraints: where.map(constraint), spread: over.map(spread), maxPerNode: 0, strategy: 'spread',
      ...(beside.length > 0 ? { affinities: beside.map(affinity) } : {}), ...(operators.length > 0 ? { operators: operators.map(operator) } : {}), ...placement,
    },
    update: { ...update, ...updateChanges },
  };
}

export interface NodeChanges {
  readonly labels?: Readonly<Record<string, string>>;
  readonly availability?: 'active' | 'pause' | 'drain';
  readonly pressure?: readonly 'disk'[];
  readonly state?: NodeState;
  readonly cpus?: number;
  readonly memory?: number;
  readonly generic?: GenericCapacity;
  readonly subnet?: string;
}

/** `node-3` has the id `n3` and the subnet 10.32.3.0/24. */
export function makeNode(number: number, changes: NodeChanges = {}): NodeView {
  const { labels = {}, availability = 'active', state = 'ready', cpus = 4, memory = 8 * gib, generic, subnet = `10.${32 + (number >> 8)}.${number & 255}.0/24` } = changes;
  const id = `n${number}`;
  return {
    node: { id, name: `node-${number}`, labels, availability, subnet, createdAt: 0 },
    status: {
      id, address: `192.168.${number >> 8}.${number & 255}`, capacity: { cpus, memory, ...(generic ? { generic } : {}) }, os: 'linux', arch: 'x86_64', engineLabels: {},
      vtepMac: '02:00:00:00:00:01', version: '0', bootId: 'b', ...(changes.pressure === undefined ? {} : { pressure: changes.pressure }),
    },
    state,
  };
}

export function makePod(id: string, changes: Partial<Pod> = {}): Pod {
  return {
    id, service: 'shop_web', stack: 'shop', slot: 1, revision: 'r1', desired: 'running', reason: '', node: null, ip: null, createdAt: 0, ...changes,
  };
}

export function makePods(count: number, changes: Partial<Pod> = {}): readonly Pod[] {
  return Array.from({ length: count }, (_, index) => makePod(`${changes.service ?? 'shop_web'}-${index + 1}`, { slot: index + 1, ...changes }));
}

/** A state of the nodes and of pods that are placed already. */
export function makeState(nodes: readonly NodeView[], placed: readonly { readonly pod: Pod; readonly spec: ServiceSpec }[] = []): ClusterState {
  const state = new ClusterState();
  for (const node of nodes) state.setNode(node);
  for (const { pod, spec } of placed) state.setPod(pod, demandOf(spec));
  return state;
}
