/** What people read when pods cannot be placed, whole. */
import { expect, test } from 'vitest';
import { seeded } from '../../../../master/scheduler/pick/random.ts';
import { schedule } from '../../../../master/scheduler/schedule.ts';
import type { NodeView } from '../../../../model/node.ts';
import type { Pod } from '../../../../model/pod.ts';
import type { ServiceSpec } from '../../../../model/spec.ts';
import { gib, makeNode, makePod, makeSpec, makeState } from '../../../unit/master/scheduler/make.ts';

const cluster = [makeNode(1), makeNode(2, { labels: { type: 'backend' } }), makeNode(3, { labels: { type: 'backend' } })];
const full = (node: string, cpus: number) => ({ pod: makePod(`full-${node}`, { node, service: 'shop_batch' }), spec: makeSpec({ cpus }) });

interface Row {
  readonly name: string;
  readonly spec: ServiceSpec;
  readonly nodes?: readonly NodeView[];
  readonly placed?: readonly { readonly pod: Pod; readonly spec: ServiceSpec }[];
}

const rows: readonly Row[] = [
  { name: 'no nodes', spec: makeSpec(), nodes: [] },
  { name: 'a label nobody has', spec: makeSpec({ where: ['type==frontend'] }) },
  { name: 'contradiction', spec: makeSpec({ where: ['type==frontend', 'type==backend'] }) },
  { name: 'too large', spec: makeSpec({ cpus: 6, memory: 9 * gib }) },
  { name: 'too few of a kind', spec: makeSpec({ generic: { gpu: 1 } }), nodes: [makeNode(1, { generic: { gpu: 1 } }), makeNode(2)], placed: [{ pod: makePod('gpu-n1', { node: 'n1', service: 'shop_train' }), spec: makeSpec({ generic: { gpu: 1 } }) }] },
  { name: 'of a kind that few have', spec: makeSpec({ generic: { gpu: 3, fpga: 1 } }), nodes: [makeNode(1, { generic: { gpu: ['a', 'b'] } }), makeNode(2), makeNode(3, { generic: { gpu: 4 } })] },
  { name: 'constraint, then room', spec: makeSpec({ where: ['type==backend'], cpus: 2 }), placed: [full('n2', 3.5), full('n3', 3)] },
  { name: 'three reasons', spec: makeSpec({ where: ['type==backend'] }), nodes: [...cluster.slice(0, 1), makeNode(2, { labels: { type: 'backend' }, state: 'down' }), makeNode(3, { labels: { type: 'backend' }, availability: 'drain' })] },
  { name: 'short of disk', spec: makeSpec(), nodes: [makeNode(1, { pressure: ['disk'] }), makeNode(2, { state: 'down' })] },
  { name: 'lost and down', spec: makeSpec(), nodes: [makeNode(1, { state: 'unknown' }), makeNode(2, { state: 'down' }), makeNode(3, { state: 'down' }), makeNode(4, { availability: 'pause' })] },
  {
    name: 'host port', spec: makeSpec({ ports: [{ target: 80, published: 8080, protocol: 'tcp', mode: 'host' }] }), nodes: cluster.slice(0, 2),
    placed: ['n1', 'n2'].map((node) => ({ pod: makePod(`port-${node}`, { node, service: 'shop_edge' }), spec: makeSpec({ ports: [{ target: 80, published: 8080, protocol: 'tcp', mode: 'host' }] }) })),
  },
  { name: 'one per node', spec: makeSpec({ placement: { maxPerNode: 1 } }), placed: ['n1', 'n2', 'n3'].map((node, index) => ({ pod: makePod(`p-${node}`, { node, slot: 10 + index }), spec: makeSpec() })) },
  { name: 'addresses', spec: makeSpec(), nodes: [makeNode(1, { subnet: '10.0.0.0/30' })], placed: ['a', 'b'].map((id) => ({ pod: makePod(id, { node: 'n1', service: 'shop_db' }), spec: makeSpec() })) },
  { name: 'many nodes', spec: makeSpec({ where: ['zone==eu'] }), nodes: Array.from({ length: 40 }, (_, index) => makeNode(index + 1, { labels: { zone: `z${index % 8}` } })) },
];

test('explanations', () => {
  const text = rows.map(({ name, spec, nodes = cluster, placed = [] }) => {
    const result = schedule(makeState(nodes, placed), [{ pod: makePod('new', { slot: 99 }), spec }], { random: seeded(1) });
    const [unplaced] = result.unplaced;
    const lines = unplaced?.reasons.map((reason) => `  ${reason.filter}: ${reason.message} [${reason.nodes.length > 6 ? `${reason.nodes.length} nodes` : reason.nodes.join(' ')}]`) ?? ['  placed'];
    return [`${name}`, `  => ${unplaced?.summary}`, ...lines].join('\n');
  }).join('\n\n');
  expect(text).toMatchInlineSnapshot(`
    "no nodes
      => there are no nodes

    a label nobody has
      => constraint type==frontend: no node has type=frontend; labels seen: type=backend (node-2, node-3), none (node-1)
      constraint type==frontend: no node has type=frontend; labels seen: type=backend (node-2, node-3), none (node-1) [node-1 node-2 node-3]

    contradiction
      => constraint: type==frontend and type==backend exclude each other
      constraint: type==frontend and type==backend exclude each other [node-1 node-2 node-3]

    too large
      => no node fits: resources: needs 6 CPUs, most free is 4 CPUs on node-1; resources: needs 9 GiB of memory, most free is 8 GiB of memory on node-1
      resources: needs 6 CPUs, most free is 4 CPUs on node-1 [node-1 node-2 node-3]
      resources: needs 9 GiB of memory, most free is 8 GiB of memory on node-1 [node-1 node-2 node-3]

    too few of a kind
      => resources: 2 nodes (node-1, node-2) have too few gpu: 1 wanted, 0 free
      resources: 2 nodes (node-1, node-2) have too few gpu: 1 wanted, 0 free [node-1 node-2]

    of a kind that few have
      => no node fits: resources: 3 nodes (node-1, node-2, node-3) have too few fpga: 1 wanted, 0 free; resources: 2 nodes (node-1, node-2) have too few gpu: 3 wanted, at most 2 free
      resources: 3 nodes (node-1, node-2, node-3) have too few fpga: 1 wanted, 0 free [node-1 node-2 node-3]
      resources: 2 nodes (node-1, node-2) have too few gpu: 3 wanted, at most 2 free [node-1 node-2]

    constraint, then room
      => no node fits: constraint type==backend: node-1 has no type; resources: needs 2 CPUs, most free is 1 CPU on node-3
      constraint type==backend: node-1 has no type [node-1]
      resources: needs 2 CPUs, most free is 1 CPU on node-3 [node-2 node-3]

    three reasons
      => no node fits: constraint type==backend: node-1 has no type; health: node-2 is down; availability: node-3 is drained
      constraint type==backend: node-1 has no type [node-1]
      health: node-2 is down [node-2]
      availability: node-3 is drained [node-3]

    short of disk
      => no node fits: health: node-2 is down; pressure: node-1 is short of disk
      health: node-2 is down [node-2]
      pressure: node-1 is short of disk [node-1]

    lost and down
      => no node fits: health: 2 nodes (node-2, node-3) are down, node-1 has lost the connection to the master; availability: node-4 is paused
      health: 2 nodes (node-2, node-3) are down, node-1 has lost the connection to the master [node-1 node-2 node-3]
      availability: node-4 is paused [node-4]

    host port
      => host port: port tcp/8080 is taken on 2 nodes (node-1, node-2) by shop_edge
      host port: port tcp/8080 is taken on 2 nodes (node-1, node-2) by shop_edge [node-1 node-2]

    one per node
      => max replicas per node: 3 nodes (node-1, node-2, node-3) already run 1 of shop_web, the most per node
      max replicas per node: 3 nodes (node-1, node-2, node-3) already run 1 of shop_web, the most per node [node-1 node-2 node-3]

    addresses
      => address: the subnet 10.0.0.0/30 of node-1 has no address left
      address: the subnet 10.0.0.0/30 of node-1 has no address left [node-1]

    many nodes
      => constraint zone==eu: no node has zone=eu; labels seen: zone=z0 (node-1, node-17, node-25 and 2 more), zone=z1 (node-10, node-18, node-2 and 2 more), zone=z2 (node-11, node-19, node-27 and 2 more), zone=z3 (node-12, node-20, node-28 and 2 more), zone=z4 (node-13, node-21, node-29 and 2 more) and 3 more
      constraint zone==eu: no node has zone=eu; labels seen: zone=z0 (node-1, node-17, node-25 and 2 more), zone=z1 (node-10, node-18, node-2 and 2 more), zone=z2 (node-11, node-19, node-27 and 2 more), zone=z3 (node-12, node-20, node-28 and 2 more), zone=z4 (node-13, node-21, node-29 and 2 more) and 3 more [40 nodes]"
  `);
});
