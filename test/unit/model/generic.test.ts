import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { amountOf, genericEnv, parseGeneric, takeNames, type GenericNames } from '../../../model/generic.ts';

describe('what a host says it has', () => {
  test.each<[readonly string[], unknown]>([
    [['gpu=2'], { gpu: 2 }],
    [['gpu=0'], { gpu: 0 }],
    [['gpu=UUID1,UUID2'], { gpu: ['UUID1', 'UUID2'] }],
    // Docker's way of writing it.
    [['gpu=UUID1', 'gpu=UUID2'], { gpu: ['UUID1', 'UUID2'] }],
    [['gpu=1', 'gpu=2', 'NVIDIA-GPU=GPU-45cb:0'], { 'gpu': 3, 'NVIDIA-GPU': ['GPU-45cb:0'] }],
    [[], {}],
  ])('%j', (texts, wanted) => {
    expect(parseGeneric(texts)).toEqual({ ok: wanted });
  });
  test.each<[readonly string[], RegExp]>([
    [['gpu'], /"gpu" is no resource; write KIND=NUMBER/], [['=2'], /is no resource/], [['gpu='], /is no resource/], [['g p=1'], /is no resource/],
    [['gpu=a,'], /"" cannot name a gpu/], [['gpu=a b'], /"a b" cannot name a gpu/], [['gpu=a', 'gpu=a'], /gpu has a name twice: a/], [['gpu=1', 'gpu=a'], /both a number and names/], [['gpu=a', 'gpu=1'], /both a number and names/],
  ])('%j is refused', (texts, message) => {
    expect(parseGeneric(texts)).toEqual({ error: expect.stringMatching(message) });
  });
  test('of what it does not say it has none', () => {
    expect(['gpu', 'fpga', 'constructor', '__proto__'].map((kind) => amountOf({ gpu: ['a'] }, kind))).toEqual([1, 0, 0, 0]);
    expect(amountOf(undefined, 'gpu')).toBe(0);
  });
});

describe('names', () => {
  const names = fc.uniqueArray(fc.constantFrom<string>('a', 'b', 'c', 'd', 'e'), { maxLength: 5 });
  test('are held by one pod at a time, and there are as many as were asked for', () => {
    fc.assert(fc.property(names, fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 6 }), (all, wishes) => {
      const held: GenericNames[] = [];
      let left = all.length;
      for (const wanted of wishes) {
        const given = takeNames({ gpu: all }, { gpu: wanted }, held);
        if (wanted > left) {
          expect(given).toBeNull();
          continue;
        }
        expect(given?.['gpu']?.length ?? 0).toBe(wanted);
        left -= wanted;
        if (given) held.push(given);
      }
      const out = held.flatMap((each) => each['gpu'] ?? []);
      expect(new Set(out).size).toBe(out.length);
      expect(out.every((name) => all.includes(name))).toBe(true);
    }));
  });
  test('kinds that are only counted have none', () => {
    expect(takeNames({ gpu: 4 }, { gpu: 2 }, [])).toEqual({});
    expect(takeNames(undefined, { gpu: 2 }, [])).toEqual({});
  });
});

test('containers see them as with Docker', () => {
  expect(genericEnv({ 'gpu': 2, 'NVIDIA-GPU': 1 }, { gpu: ['UUID1', 'UUID2'] })).toEqual({ 'DOCKER_RESOURCE_GPU': 'UUID1,UUID2', 'DOCKER_RESOURCE_NVIDIA-GPU': '1' });
  expect(genericEnv(undefined, undefined)).toEqual({});
});
