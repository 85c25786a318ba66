import { expect, test } from 'vitest';
import { progressOf } from '../../../cli/wait/progress.ts';
import type { PodListItem, ServiceListItem } from '../../../model/api.ts';

const service = (change: Partial<ServiceListItem> = {}): ServiceListItem => ({
  id: 's_web', revision: 'new', name: 'web', stack: 's', mode: 'replicated', desired: 2, running: 0, ready: 0, image: 'i', vips: [], ports: [], update: { state: 'none', message: '' }, ...change,
});

const pod = (slot: number, change: Partial<PodListItem> = {}): PodListItem => ({
  id: `p${slot}`, revision: 'new', name: `s_web.${slot}`, stack: 's', service: 's_web', slot, node: 'n', state: 'running', desired: 'running', ready: true, ip: null, image: 'i', restarts: 0, since: 0, message: '', ...change,
});

test.each<[string, ServiceListItem, readonly PodListItem[], string, number, readonly string[]]>([
  ['all serve', service(), [pod(1), pod(2)], 'ready', 2, []],
  ['one is not there yet', service(), [pod(1)], 'waiting', 1, []],
  ['one is held up', service(), [pod(1), pod(2, { ready: false, state: 'preparing', message: 'pulling image' })], 'waiting', 1, ['s_web.2: pulling image']],
  [
    'several are held up by the same',
    service({ desired: 3 }),
    [1, 2, 3].map((slot) => pod(slot, { ready: false, state: 'pending', message: 'no node fits' })),
    'waiting', 0, ['3 pods: no node fits'],
  ],
  ['an update that has not begun: all old ones serve', service(), [pod(1, { revision: 'old' }), pod(2, { revision: 'old' })], 'waiting', 0, ['2 of the previous version still to be replaced']],
  ['an update in the middle', service({ update: { state: 'updating', message: '1 of 2' } }), [pod(1), pod(2, { revision: 'old' })], 'waiting', 1, ['1 of the previous version still to be replaced']],
  ['replaced, but still being watched', service({ update: { state: 'updating', message: 'watching 2 new pods' } }), [pod(1), pod(2)], 'waiting', 2, ['watching 2 new pods']],
  ['an old one that is only stopping does not count', service(), [pod(1), pod(2), pod(3, { revision: 'old', desired: 'stopped', state: 'stopping' })], 'ready', 2, []],
  ['an update that was paused', service({ update: { state: 'paused', message: 's_web.1 failed' } }), [pod(1, { ready: false, state: 'failed', message: 'exit code 1' })], 'failed', 0, ['update paused: s_web.1 failed', 's_web.1: exit code 1']],
  ['scaled to nothing', service({ desired: 0 }), [], 'ready', 0, []],
  ['a job that runs', service({ mode: 'replicated-job', desired: 1 }), [pod(1)], 'waiting', 0, []],
  ['a job that is done', service({ mode: 'replicated-job', desired: 1 }), [pod(1, { state: 'succeeded', ready: false, desired: 'stopped' })], 'ready', 1, []],
  ['what others waited for the end of', service({ desired: 1 }), [pod(1, { state: 'succeeded', ready: false })], 'ready', 1, []],
  ['what ended because it was told to', service({ desired: 1 }), [pod(1, { state: 'succeeded', ready: false, desired: 'stopped' })], 'waiting', 0, []],
  ['what ended with an error', service({ desired: 1 }), [pod(1, { state: 'failed', ready: false, message: 'exit code 1' })], 'waiting', 0, ['s_web.1: exit code 1']],
  ['pods of others do not count', service({ desired: 1 }), [pod(1, { service: 's_db' })], 'waiting', 0, []],
])('%s', (_name, given, pods, state, ready, reasons) => {
  expect(progressOf(given, pods)).toEqual({ id: 's_web', state, ready, desired: given.desired, reasons });
});
