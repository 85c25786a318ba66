/** A small cluster as a master lists it. */
import type { EventItem, FileObjectListItem, ImageListItem, NodeListItem, PlanResult, PodListItem, ServiceListItem, StackListItem, VolumeListItem } from '../../../model/api.ts';
import type { ContainerStats, Stats } from '../../../model/stats.ts';
import { fixedNow } from './harness.ts';

const minute = 60_000;
const mib = 2 ** 20;

export const nodes: readonly NodeListItem[] = [
  {
    id: 'n1', name: 'node-1', state: 'ready', availability: 'active', labels: { type: 'frontend', zone: 'a' }, address: '172.31.240.11', subnet: '10.32.1.0/24',
    capacity: { cpus: 2, memory: 8 * 2 ** 30 }, allocated: { cpus: 0.75, memory: 512 * 2 ** 20 }, pods: 3, version: '0.1.0',
  },
  {
    id: 'n2', name: 'node-2', state: 'unknown', availability: 'drain', labels: {}, address: '172.31.240.12', subnet: '10.32.2.0/24',
    capacity: { cpus: 2, memory: 8 * 2 ** 30 }, allocated: { cpus: 0, memory: 0 }, pods: 0, version: '0.1.0',
  },
];

export const stacks: readonly StackListItem[] = [
  { name: 'shop', services: 12, desired: 20, running: 20, ready: 20 },
  { name: 'voting', services: 2, desired: 3, running: 2, ready: 1 },
];

export const services: readonly ServiceListItem[] = [
  {
    id: 'voting_db', revision: 'aaaa', name: 'db', stack: 'voting', mode: 'replicated', desired: 1, running: 1, ready: 1, image: 'postgres:16',
    vips: [{ network: 'voting_back', ip: '10.48.0.2' }], ports: [], update: { state: 'none', message: '' },
  },
  {
    id: 'voting_vote', revision: 'bbbb', name: 'vote', stack: 'voting', mode: 'replicated', desired: 2, running: 1, ready: 0, image: 'vote:1',
    vips: [{ network: 'voting_front', ip: '10.48.0.3' }],
    ports: [{ target: 80, published: 5000, protocol: 'tcp', mode: 'ingress' }, { target: 53, published: 53, protocol: 'udp', mode: 'host', hostIp: '127.0.0.1' }],
    update: { state: 'updating', message: '1 of 2' },
  },
];

export const pods: readonly PodListItem[] = [
  {
    id: 'p1', revision: 'aaaa', name: 'voting_db.1', stack: 'voting', service: 'voting_db', slot: 1, node: 'node-1', state: 'running', desired: 'running', ready: true, ip: '10.32.1.2',
    image: 'postgres:16', restarts: 0, since: fixedNow - 3 * minute, message: '',
  },
  {
    id: 'p2', revision: 'bbbb', name: 'voting_vote.1', stack: 'voting', service: 'voting_vote', slot: 1, node: 'node-1', state: 'restarting', desired: 'running', ready: false, containers: { ready: 1, total: 2 }, ip: '10.32.1.3',
    image: 'vote:1', restarts: 4, since: fixedNow - 5000, message: 'exit code 1, restarting in 400 ms',
  },
  {
    id: 'p3', revision: 'bbbb', name: 'voting_vote.2', stack: 'voting', service: 'voting_vote', slot: 2, node: null, state: 'pending', desired: 'running', ready: false, ip: null,
    image: 'vote:1', restarts: 0, since: fixedNow - 200 * minute, message: 'no node fits: constraint type==gpu',
  },
];

export const volumes: readonly VolumeListItem[] = [
  { name: 'voting_data', stack: 'voting', driver: 'local', node: 'node-1', usedBy: ['voting_db'], nodes: [], labels: { tier: 'gold' }, state: 'ready', createdAt: fixedNow },
  { name: 'scratch', stack: null, driver: 'local', node: null, usedBy: [], nodes: ['node-1', 'node-2'], labels: {}, state: 'ready', createdAt: null },
];

export const secrets: readonly FileObjectListItem[] = [{ name: 'voting_password', digest: `sha256:${'0123456789abcdef'.repeat(4)}`, size: 24, usedBy: ['voting_db'], labels: { tier: 'back' } }];

export const images: readonly ImageListItem[] = [
  { node: 'node-1', references: ['docker.io/library/vote:1', 'docker.io/library/vote:latest'], digest: `sha256:${'ab'.repeat(32)}`, size: 52_428_800 },
  { node: 'node-2', references: [], digest: `sha256:${'cd'.repeat(32)}`, size: 999 },
];

function usage(name: string, over: Partial<ContainerStats>): ContainerStats {
  const [pod = '', container = 'main'] = name.split('/');
  const [service = '', slot = ''] = pod.split('.');
  return {
    name, pod, podId: pod, container, attempt: 1, stack: 'voting', service, slot: Number(slot), node: 'node-1', cpu: { percent: 0, seconds: 1 }, memory: { used: 3 * mib, limit: null, percent: 0.04 },
    pids: { current: 1, limit: null }, block: { read: 0, written: 0 }, network: { received: 0, sent: 0 }, ...over,
  };
}

export const stats: Stats = {
  at: fixedNow,
  nodes: [
    { id: 'n1', name: 'node-1', state: 'ready', capacity: { cpus: 2, memory: 8192 * mib }, allocated: { cpus: 0.75, memory: 512 * mib }, pods: 3, used: { cpus: 0.314, memory: 2048 * mib }, message: '' },
    { id: 'n2', name: 'node-2', state: 'unknown', capacity: { cpus: 2, memory: 8192 * mib }, allocated: { cpus: 0, memory: 0 }, pods: 0, used: null, message: 'does not answer' },
    { id: 'n3', name: 'node-3', state: 'ready', capacity: { cpus: 4, memory: 1024 * mib }, allocated: { cpus: 4, memory: 768 * mib }, pods: 1, used: { cpus: 3.9, memory: 880 * mib }, message: '' },
  ],
  containers: [
    usage('voting_db.1', { cpu: { percent: 1.5, seconds: 700 }, memory: { used: 240 * mib, limit: 256 * mib, percent: 93.75 }, pids: { current: 9, limit: 50 }, block: { read: 5 * mib, written: 123 * mib }, network: { received: 1500, sent: 3 * mib } }),
    usage('voting_vote.1/log', { network: null }),
    usage('voting_vote.1/vote', { cpu: { percent: 10.25, seconds: 3 } }),
    usage('voting_vote.2', { node: 'node-3', cpu: { percent: null, seconds: 0.1 } }),
    usage('voting_worker.1', { node: 'node-3', cpu: { percent: 384.4, seconds: 9999 }, memory: { used: 500 * mib, limit: null, percent: 48.83 }, pids: { current: 12, limit: null }, network: null }),
  ],
};

export const events: readonly EventItem[] = [{ id: 'e1', at: fixedNow - minute, subject: 'pod/voting_vote.1', message: 'exit code 1' }];

export const plan: PlanResult = {
  stack: 'voting',
  services: [
    {
      id: 'voting_vote', action: 'update', restarts: true, changes: [{ path: 'template.containers[0].image', before: 'vote:1', after: 'vote:2' }, { path: 'labels.tier', after: 'front' }],
      pods: [
        { name: 'voting_vote.1', action: 'replace', node: 'node-1', why: [{ filter: 'constraint', message: 'constraint type==frontend: 1 node (node-2) has no label type', nodes: ['node-2'] }] },
        { name: 'voting_vote.2', action: 'create', node: null, why: [{ filter: 'resources', message: 'needs 4 CPUs, 1.25 are free', nodes: ['node-1', 'node-2'] }] },
      ],
    },
    { id: 'voting_db', action: 'unchanged', restarts: false, changes: [], pods: [{ name: 'voting_db.1', action: 'keep', node: 'node-1', why: [] }] },
    { id: 'voting_old', action: 'remove', restarts: false, changes: [], pods: [{ name: 'voting_old.1', action: 'stop', node: 'node-2', why: [] }] },
    { id: 'voting_worker', action: 'create', restarts: false, changes: [], pods: [{ name: 'voting_worker.1', action: 'create', node: 'node-1', why: [] }] },
  ],
};
