/** An image that could not be had, and then another node has it. */
import { expect, test } from 'vitest';
import { FakeImages } from '../../../../agent/images/fake.ts';
import { Pulls } from '../../../../agent/images/pulls.ts';
import { FakeClock } from '../../../../lib/clock.ts';
import { silentLog } from '../../../../lib/log.ts';
import { TsorchError } from '../../../../model/errors.ts';

const digest = `sha256:${'a'.repeat(64)}`;

test.each([['vote:1'], [`vote:1@${digest}`]])('%s is asked for again at once, and other names change nothing', async (reference) => {
  const clock = new FakeClock();
  const images = new FakeImages();
  const asked: { readonly reference: string; readonly fresh: boolean }[] = [];
  let poked = 0;
  const pulls = new Pulls({
    images: {
      get: (name) => images.get(name),
      pull: async (name, { fresh }) => {
        asked.push({ reference: name, fresh: fresh === true });
        throw new TsorchError('not-found', 'no node has it');
      },
    },
    clock, log: silentLog, signal: new AbortController().signal, random: () => 0.5, changed: () => { poked++; },
  });
  const want = () => pulls.want({ podId: 'p1', reference, policy: 'missing', credentials: null });
  await want();
  await expect.poll(async () => await want()).toMatchObject({ kind: 'waiting', message: expect.stringContaining('trying again in') });
  expect(asked).toHaveLength(1);
  const before = poked;
  pulls.found(new Set(['docker.io/library/other:1']));
  await want();
  expect([asked.length, poked]).toEqual([1, before]);
  pulls.found(new Set(['docker.io/library/vote:1']));
  expect(poked).toBe(before + 1);
  await want();
  await expect.poll(() => asked.length).toBe(2);
});

test('a pod that always wants the newest has its registry asked', async () => {
  const fresh: unknown[] = [];
  const pulls = new Pulls({
    images: { get: () => Promise.reject(new TsorchError('not-found', 'no')), pull: (_name, options) => {
      fresh.push(options.fresh);
      return new Promise(() => {});
    } },
    clock: new FakeClock(), log: silentLog, signal: new AbortController().signal, random: () => 0.5, changed: () => {},
  });
  await pulls.want({ podId: 'p1', reference: 'a', policy: 'always', credentials: null });
  await pulls.want({ podId: 'p2', reference: 'b', policy: 'missing', credentials: null });
  await expect.poll(() => fresh).toEqual([true, false]);
});
