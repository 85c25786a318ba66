import { expect, test } from 'vitest';
import { NameGiver } from '../../../../master/controllers/names.ts';
import type { Entry, Kind, Kinds } from '../../../../master/store/port.ts';
import type { Pod, PodStatus, StaticPod } from '../../../../model/pod.ts';
import { makeNode, makePod } from '../scheduler/make.ts';

function mapOf<K extends Kind>(kind: K, values: readonly (Kinds[K] & { readonly id: string })[]): Map<string, Entry<K>> {
  return new Map(values.map((value) => [value.id, { kind, id: value.id, value, revision: 1 } as Entry<K>]));
}

const status = (id: string, phase: PodStatus['phase']): PodStatus => ({ id, node: 'n1', phase, ready: false, message: '', restarts: 0, since: 0, containers: [] });

function giver(pods: readonly Pod[], statuses: readonly PodStatus[] = [], statics: readonly StaticPod[] = []): NameGiver {
  const nodes = [makeNode(1, { generic: { gpu: ['a', 'b', 'c'], licence: 5 } }), makeNode(2)];
  return new NameGiver({
    pods: mapOf('pods', pods), podstatus: mapOf('podstatus', statuses), nodestatus: mapOf('nodestatus', nodes.flatMap((view) => view.status ?? [])),
    staticpods: new Map(statics.map((value) => [value.pod.id, { kind: 'staticpods', id: value.pod.id, value, revision: 1 }])),
  });
}

test('what others hold is not given, nor what this round has given', () => {
  const names = giver([makePod('p1', { node: 'n1', generic: { gpu: ['b'] } }), makePod('p2', { node: 'n2', generic: { gpu: ['a'] } })]);
  expect(names.give('n1', { gpu: 1 })).toEqual({ gpu: ['a'] });
  expect(names.give('n1', { gpu: 1 })).toEqual({ gpu: ['c'] });
  expect(names.give('n1', { gpu: 1 })).toBeUndefined();
});

test('a pod holds its own until it has ended, one of a manifest likewise', () => {
  const leaving = makePod('p1', { node: 'n1', desired: 'stopped', generic: { gpu: ['a'] } });
  const own: StaticPod = { pod: makePod('s1', { node: 'n1', generic: { gpu: ['b'] } }), origin: '/m', image: '', reservations: { cpus: 0, memory: 0, generic: { gpu: 1 } }, ports: [], status: status('s1', 'running') };
  expect(giver([leaving], [status('p1', 'stopping')], [own]).give('n1', { gpu: 1 })).toEqual({ gpu: ['c'] });
  expect(giver([leaving], [status('p1', 'succeeded')], [own]).give('n1', { gpu: 2 })).toEqual({ gpu: ['a', 'c'] });
});

test('what is only counted has no names, and who wants nothing gets nothing', () => {
  expect(giver([]).give('n1', { licence: 2 })).toBeUndefined();
  expect(giver([]).give('n1', undefined)).toBeUndefined();
  expect(giver([]).give('n2', { gpu: 1 })).toBeUndefined();
});
