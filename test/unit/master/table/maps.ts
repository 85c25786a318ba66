/** A small world in memory for tests of what is built from the store's maps. */
import { World } from '../../../../master/world.ts';
import { MemoryStore } from '../../../../master/store/memory.ts';
import type { Op } from '../../../../master/store/port.ts';
import type { Pod, PodStatus } from '../../../../model/pod.ts';
import type { ServiceSpec } from '../../../../model/spec.ts';
import { makeNode, makePod } from '../scheduler/make.ts';

export async function makeWorld(signal: AbortSignal): Promise<{ readonly store: MemoryStore; readonly world: World; readonly write: (...ops: Op[]) => Promise<number> }> {
  const store = new MemoryStore();
  const world = new World(store, signal);
  await world.synced;
  return {
    store, world,
    write: async (...ops) => {
      const { revision } = await store.commit(ops);
      await world.waitFor(revision, signal);
      return revision;
    },
  };
}

export const put = {
  node: (number: number): Op[] => {
    const { node, status } = makeNode(number);
    return [{ op: 'put', kind: 'nodes', id: node.id, value: node }, { op: 'put', kind: 'nodestatus', id: node.id, value: status! }];
  },
  service: (spec: ServiceSpec, revision = 'r1', previous: string | null = null): Op[] => {
    const id = `${spec.stack}_${spec.name}`;
    return [
      { op: 'put', kind: 'revisions', id: `${id}.${revision}`, value: { service: id, revision, spec } },
      { op: 'put', kind: 'services', id, value: { id, spec, revision, previous } },
    ];
  },
  pod: (id: string, changes: Partial<Pod> = {}): Op => ({ op: 'put', kind: 'pods', id, value: makePod(id, changes) }),
  status: (id: string, changes: Partial<PodStatus> = {}): Op => ({
    op: 'put', kind: 'podstatus', id, value: { id, node: 'n1', phase: 'running', ready: true, message: '', restarts: 0, since: 1, containers: [], ...changes },
  }),
  network: (name: string, group: number, internal = false): Op => ({ op: 'put', kind: 'networks', id: name, value: { name, group, internal, stack: 'shop', labels: {} } }),
} as const;
