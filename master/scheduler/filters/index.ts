/** The filters, in the order in which a node that fails several is explained: what the user wrote first, then what there is. */
import type { PodGroup } from '../group.ts';
import type { Room } from '../room.ts';
import { addresses } from './addresses.ts';
import { affinities } from './affinities.ts';
import { availability } from './availability.ts';
import { constraints } from './constraints.ts';
import type { Filter, NodeTest } from './filter.ts';
import { health } from './health.ts';
import { operators } from './operators.ts';
import { perNode } from './per-node.ts';
import { hostPorts } from './ports.ts';
import { pressure } from './pressure.ts';
import { resources } from './resources.ts';
import { volumeDrivers } from './volume-drivers.ts';
import { volumes } from './volumes.ts';

export const filters: readonly Filter[] = [constraints, operators, affinities, volumeDrivers, volumes, health, availability, pressure, hostPorts, perNode, resources, addresses];

/** The filters of one scope as one test. */
export function prepareScope(scope: Filter['scope'], group: PodGroup, room: Room): NodeTest {
  const tests = filters.filter((filter) => filter.scope === scope).flatMap((filter) => filter.prepare(group, room) ?? []);
  const [first, second] = tests;
  if (first === undefined) return () => true;
  if (second === undefined) return first;
  if (tests.length === 2) return (node) => first(node) && second(node);
  return (node) => tests.every((test) => test(node));
}

/** All filters as one test. */
export function prepareAll(group: PodGroup, room: Room): NodeTest {
  const parts = [prepareScope('node', group, room), prepareScope('room', group, room), prepareScope('service', group, room)] as const;
  return (node) => parts[0](node) && parts[1](node) && parts[2](node);
}
