/** Small specs for the agent's tests: whole values, with what a test cares for put on top. */
import type { Assignment } from '../../../../model/assignment.ts';
import type { Pod } from '../../../../model/pod.ts';
import type { ContainerSpec, PodTemplate } from '../../../../model/spec.ts';

export function containerSpec(over: Partial<ContainerSpec> = {}): ContainerSpec {
  return {
    name: 'main',
    image: 'busybox',
    pullPolicy: 'missing',
    env: {},
    labels: {},
    annotations: {},
    groupAdd: [],
    mounts: [],
    secrets: [],
    configs: [],
    init: false,
    tty: false,
    stdinOpen: false,
    readOnly: false,
    privileged: false,
    capAdd: [],
    capDrop: [],
    securityOpt: [],
    devices: [],
    ulimits: {},
    limits: {},
    ...over,
  };
}

export function template(over: Partial<PodTemplate> = {}): PodTemplate {
  return {
    containers: [containerSpec()],
    networkMode: 'pod',
    extraHosts: [],
    dns: [],
    dnsSearch: [],
    dnsOptions: [],
    sysctls: {},
    restart: { condition: 'any', delayMs: 100, maxAttempts: 0, windowMs: 10_000 },
    stopGraceMs: 10_000,
    reservations: { cpus: 0, memory: 0 },
    ...over,
  };
}

export function assignment(id: string, over: { readonly pod?: Partial<Pod>; readonly template?: Partial<PodTemplate> } & Partial<Omit<Assignment, 'pod' | 'template'>> = {}): Assignment {
  const { pod, template: t, ...rest } = over;
  return {
    pod: {
      id,
      service: 'shop_web',
      stack: 'shop',
      slot: 1,
      revision: 'r1',
      desired: 'running',
      reason: '',
      node: 'n1',
      ip: '10.32.1.2',
      createdAt: 1,
      ...pod,
    },
    template: template(t),
    serviceName: 'web',
    labels: {},
    networks: ['shop_default'],
    hostPorts: [],
    volumes: {},
    files: [],
    ...rest,
  };
}
