import { expect, it } from 'vitest';
import { FakeClock } from '../../../../lib/clock.ts';
import { silentLog } from '../../../../lib/log.ts';
import { Authority, createAuthority } from '../../../../lib/pki/authority.ts';
import { canServe } from '../../../../lib/pki/certificate.ts';
import { runRenewal } from '../../../../lib/pki/renewal.ts';

const dayMs = 86_400_000;

async function setUp(renewals: (() => 'new' | 'fail')) {
  const clock = new FakeClock();
  const authority = await Authority.load(await createAuthority('test', clock.now()));
  // Signing takes turns of the event loop that a fake clock does not wait for: they are made beforehand.
  const begin = clock.now();
  const certificates = await Promise.all(Array.from({ length: 6 }, async (_, i) => (await authority.issue({ subject: { commonName: 'a' }, now: begin + i * 45 * dayMs })).certificate));
  const times: number[] = [];
  let used = 0;
  const controller = new AbortController();
  const done = runRenewal({
    clock, log: silentLog, signal: controller.signal, random: () => 0, certificate: certificates[0]!,
    renew: async () => {
      times.push((clock.now() - begin) / dayMs);
      if (renewals() === 'fail') throw new Error('no master');
      return certificates[++used]!;
    },
  });
  const advanceDays = async (days: number) => {
    for (let hour = 0; hour < days * 24; hour++) await clock.advance(3_600_000);
  };
  return { times, advanceDays, stop: async () => {
    controller.abort();
    await done;
  } };
}

it('renews at half of the life, again and again', async () => {
  const { times, advanceDays, stop } = await setUp(() => 'new');
  await advanceDays(44);
  expect(times).toEqual([]);
  await advanceDays(2);
  expect(times).toHaveLength(1);
  await advanceDays(50);
  expect(times.map(Math.round)).toEqual([45, 90]);
  await stop();
});

it('tries again after a failure, less and less often', async () => {
  let failures = 0;
  const { times, advanceDays, stop } = await setUp(() => (++failures <= 4 ? 'fail' : 'new'));
  await advanceDays(46);
  expect(times).toHaveLength(5);
  const gaps = times.slice(1).map((time, i) => time - times[i]!);
  expect(gaps).toEqual(gaps.toSorted((a, b) => a - b));
  await stop();
});

it('stops with its signal', async () => {
  const { times, advanceDays, stop } = await setUp(() => 'new');
  await stop();
  await advanceDays(50);
  expect(times).toEqual([]);
});

it('renews an outdated certificate at once, and then by its age', async () => {
  const clock = new FakeClock();
  const authority = await Authority.load(await createAuthority('test', clock.now()));
  const begin = clock.now();
  const [old, fresh] = await Promise.all([[], ['n1']].map(async (names) => (await authority.issue({ subject: { commonName: 'a' }, names, now: begin })).certificate));
  const controller = new AbortController();
  let renewed = 0;
  const done = runRenewal({ clock, log: silentLog, signal: controller.signal, random: () => 0, certificate: old!, outdated: !canServe(old!, 'n1'), renew: async () => {
    renewed++;
    return fresh!;
  } });
  for (let hour = 0; hour < 24; hour++) await clock.advance(3_600_000);
  expect(renewed).toBe(1);
  expect(canServe(fresh!, 'n1')).toBe(true);
  controller.abort();
  await done;
});

it('knows which certificates are good for a server, and under which name', async () => {
  const authority = await Authority.load(await createAuthority('test', Date.now()));
  const make = async (names: readonly string[]) => (await authority.issue({ subject: { commonName: 'node:n1' }, names, now: Date.now() })).certificate;
  expect([canServe(await make([]), 'n1'), canServe(await make(['n1']), 'n1'), canServe(await make(['n1']), 'n2')]).toEqual([false, true, false]);
});
