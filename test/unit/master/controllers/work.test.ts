import { expect, test } from 'vitest';
import { Work } from '../../../../master/controllers/work.ts';

test('everything at first, then what was marked, once', () => {
  const work = new Work();
  expect(work.take(0).services).toBe('all');
  expect(work.idle).toBe(true);
  work.service('a');
  work.service('a');
  work.service('b');
  expect(work.idle).toBe(false);
  expect([...(work.take(0).services as ReadonlySet<string>)]).toEqual(['a', 'b']);
  expect([...(work.take(0).services as ReadonlySet<string>)]).toEqual([]);
});

test('a service that wants to be looked at later is, when its time has come, though nothing changed', () => {
  const work = new Work();
  work.take(0);
  work.alarm('a', 100);
  work.alarm('b', 50);
  expect(work.next(20)).toBe(30);
  expect([...(work.take(49).services as ReadonlySet<string>)]).toEqual([]);
  expect([...(work.take(60).services as ReadonlySet<string>)]).toEqual(['b']);
  expect(work.next(60)).toBe(40);
  work.alarm('a', null);
  expect(work.next(60)).toBeUndefined();
  expect([...(work.take(200).services as ReadonlySet<string>)]).toEqual([]);
});

test('asking for everything tells whoever waits', () => {
  const work = new Work();
  work.take(0);
  let told = 0;
  const ended = new AbortController();
  work.onWork(() => told++, ended.signal);
  work.all();
  expect(told).toBe(1);
  ended.abort();
  work.all();
  expect(told).toBe(1);
  expect(work.take(0).services).toBe('all');
});
