/** What a failure holds up, and what ends that. */
import { expect, test } from 'vitest';
import { afterSuccess } from '../../../../agent/pods/step/blocked.ts';
import type { Action, Timers } from '../../../../agent/pods/step/types.ts';

const blocked = (by: Action['kind'], ends = false): NonNullable<Timers['blocked']> => ({ message: 'no', until: 5, tries: 3, ends, by });

test.each<[string, Action['kind'], boolean, readonly Action['kind'][], boolean]>([
  ['a preparation that failed is over when one goes well', 'prepare', false, ['prepare'], true],
  ['a create that failed is not over with the preparation before the next one', 'create', false, ['prepare'], false],
  ['nor with an address', 'create', false, ['attach', 'prepare'], false],
  ['but with a create', 'create', false, ['create'], true],
  ['an answered check says nothing', 'create', false, ['check', 'hook'], false],
  ['an ending says nothing about a beginning', 'create', false, ['remove'], false],
  ['a beginning says nothing about an ending', 'remove', true, ['create'], false],
  ['an ending is over with one', 'remove', true, ['release'], true],
])('%s', (_name, by, ends, succeeded, over) => {
  const before = blocked(by, ends);
  expect(afterSuccess(before, succeeded.map((kind) => ({ kind })))).toEqual(over ? null : before);
});

test('nothing is held up where nothing was', () => {
  expect(afterSuccess(null, [{ kind: 'create' }])).toBe(null);
});
