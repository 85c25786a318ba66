/** Whether volumes can be moved to a node, and whether their pods could run there: pure. */
import { TsorchError } from '../../model/errors.ts';
import type { Node } from '../../model/node.ts';
import type { Pod } from '../../model/pod.ts';
import type { Volume } from '../../model/service.ts';
import { isNetworkMount, volumesByKind, volumesOf } from '../../model/volumes.ts';
import { explain } from '../scheduler/explain.ts';
import { groupPods } from '../scheduler/group.ts';
import { Room } from '../scheduler/room.ts';
import type { ClusterState } from '../scheduler/state.ts';
import type { Maps } from '../world.ts';
import { podsWith } from './users.ts';

export interface MoveQuestion {
  readonly maps: Maps;
  readonly state: ClusterState;
  readonly volumes: readonly Volume[];
  readonly to: Node;
  readonly connected: (node: string) => boolean;
}

/** Throws `invalid`, `conflict` or `unavailable` with what is in the way. */
export function checkMove(question: MoveQuestion): void {
  const { maps, volumes, to, connected } = question;
  const nodeName = (id: string) => maps.nodes.get(id)?.value.name ?? id;
  if (!connected(to.id)) throw new TsorchError('unavailable', `${to.name} is not connected`, { hint: 'see tsorch nodes' });
  for (const { name, driver, driverOpts, removing, move, node } of volumes) {
    if (removing) throw new TsorchError('conflict', `volume ${name} is being removed`);
    if (move) throw new TsorchError('conflict', `volume ${name} is on its way to ${nodeName(move.to)}`, { hint: `wait until it is there, or call it back: tsorch volume mv ${name} ${nodeName(move.from)}` });
    if (driver !== 'local') throw new TsorchError('invalid', `volume ${name} is one of the driver ${driver}: only volumes of the local driver can be moved`, { hint: `move it by the means of ${driver}` });
    if (isNetworkMount(driver, driverOpts)) throw new TsorchError('invalid', `volume ${name} is on the network: it is the same on every node`, { hint: 'pods may run anywhere as it is' });
    if ((driverOpts['type'] ?? driverOpts['device']) !== undefined) throw new TsorchError('invalid', `volume ${name} shows ${driverOpts['device'] ?? driverOpts['type']} of its node, which cannot be moved`, { hint: 'make a volume without driver_opts, and copy what is in it' });
    if (node !== null && !connected(node)) throw new TsorchError('unavailable', `${nodeName(node)}, which has the data of ${name}, is not connected`, { hint: 'see tsorch nodes' });
  }
  checkUsers(question);
}

function checkUsers({ maps, state, volumes, to }: MoveQuestion): void {
  const moving = new Set(volumes.map(({ name }) => name));
  const pods = new Map(volumes.flatMap(({ name }) => podsWith(maps, name)).map((pod) => [pod.id, pod]));
  for (const pod of pods.values()) {
    const service = maps.services.get(pod.service)?.value;
    const spec = maps.revisions.get(`${pod.service}.${pod.revision}`)?.value.spec;
    if (!spec) continue;
    if (spec.mode.kind === 'global' || spec.mode.kind === 'global-job') throw new TsorchError('invalid', `${pod.service} runs on every node and has a volume of that name on each`, { hint: 'there is nothing to move' });
    const staying = volumesOf(spec.template, pod.slot).filter((name) => !moving.has(name) && maps.volumes.get(name)?.value.node !== undefined && maps.volumes.get(name)?.value.node !== null && maps.volumes.get(name)?.value.node !== to.id);
    if (staying.length > 0) throw new TsorchError('conflict', `${pod.service}.${pod.slot} has ${staying.join(' and ')} too, which would stay behind`, { hint: `move them together: tsorch volume mv ${[...moving, ...staying].sort().join(' ')} ${to.name}` });
    const why = cannotRun(state, { ...pod, node: null, ip: null }, { ...spec, placement: service?.spec.placement ?? spec.placement }, to);
    if (why !== null) throw new TsorchError('conflict', `${pod.service}.${pod.slot} could not run on ${to.name}: ${why}`, { hint: 'make it fit there first, or choose another node' });
  }
  for (const { value: { id, spec } } of maps.services.values()) {
    const { shared, perReplica } = volumesByKind(spec.template);
    if (spec.mode.kind === 'global' && [...shared, ...perReplica].some((name) => moving.has(name))) throw new TsorchError('invalid', `${id} runs on every node and has a volume of that name on each`, { hint: 'there is nothing to move' });
  }
}

/** The scheduler's own answer, as if its volumes were nowhere yet. */
function cannotRun(state: ClusterState, pod: Pod, spec: Parameters<typeof groupPods>[0][number]['spec'], to: Node): string | null {
  const bare = { ...spec, template: { ...spec.template, containers: spec.template.containers.map((container) => ({ ...container, mounts: [] })), initContainers: [] } };
  const node = state.index.get(to.id);
  const [group] = groupPods([{ pod, spec: bare }]);
  if (node === undefined || !group) return `it is not known to the scheduler`;
  const { reasons } = explain(group, new Room(state), [node]);
  return reasons.length === 0 ? null : reasons.map(({ filter, message }) => `${filter}: ${message}`).join('; ');
}
