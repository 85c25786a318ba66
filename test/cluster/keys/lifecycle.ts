/** Beginning, being well, and ending: healthchecks, hooks, order, restarts, signals. */
import { expect } from 'vitest';
import { speaking } from './images.ts';
import type { Row, Theme } from './row.ts';
import type { Seen } from './seen.ts';

/** Well from half a second on, and for as long as the file is there. */
const well = 'sleep 0.5; touch /tmp/well';
const check = 'test -e /tmp/well';

/** It was restarted by its own check, and is well again. */
async function restarts(seen: Seen): Promise<void> {
  await seen.until('it to be begun again', async () => (await seen.pods()).some(({ restarts: times }) => times > 0));
}

async function unwell(seen: Seen): Promise<void> {
  await seen.output();
  expect((await seen.pods())[0]).toMatchObject({ ready: true, restarts: 0 });
  await seen.sh('rm /tmp/well');
  await restarts(seen);
}

const health: readonly Row[] = [
  { keys: ['services.healthcheck', 'services.healthcheck.test', 'services.healthcheck.interval'], form: 'CMD-SHELL', service: `healthcheck: { test: [CMD-SHELL, "${check}"], interval: 1s, start_period: 20s, start_interval: 500ms }`, says: well, see: unwell },
  { keys: ['services.healthcheck.test'], form: 'CMD', service: `healthcheck: { test: [CMD, test, -e, /tmp/well], interval: 1s, start_period: 20s, start_interval: 500ms }`, says: well, see: unwell },
  { keys: ['services.healthcheck.test'], form: 'a string is for the shell', service: `healthcheck: { test: "${check} && true", interval: 1s, start_period: 20s, start_interval: 500ms }`, says: well, see: unwell },
  {
    // Each asking leaves a mark. Well at first; then four in a row are needed, which one sees by the marks that there are when it ends.
    keys: ['services.healthcheck.retries'], service: 'volumes: ["./out:/out"]\nhealthcheck: { test: "[ ! -e /tmp/ill ] || { echo no >>/out/asked; false; }", interval: 1s, retries: 4 }',
    see: async (seen) => {
      expect((await seen.pods())[0]).toMatchObject({ ready: true, restarts: 0 });
      await seen.sh('touch /tmp/ill');
      await restarts(seen);
      expect(seen.file('out/asked').split('\n').length - 1).toBeGreaterThanOrEqual(4);
    },
  },
  {
    keys: ['services.healthcheck.timeout'], service: `healthcheck: { test: "[ -e /tmp/well ] || sleep 1000", interval: 1s, timeout: 4s, retries: 1, start_period: 50s, start_interval: 500ms }`, says: 'touch /tmp/well', see: unwell,
  },
  { keys: ['services.healthcheck.start_period', 'services.healthcheck.start_interval'], form: 'failures before it is over do not count', service: `healthcheck: { test: "${check}", interval: 1h, retries: 1, start_period: 50s, start_interval: 500ms }`, says: `sleep 1; ${well}`, see: async (seen) => expect((await seen.pods())[0]).toMatchObject({ ready: true, restarts: 0 }) },
  { keys: ['services.healthcheck.disable'], service: `image: ${speaking}\nhealthcheck: { disable: true }`, see: async (seen) => expect((await seen.pods())[0]).toMatchObject({ ready: true, restarts: 0 }) },
  { keys: ['services.healthcheck.test'], form: 'NONE', service: `image: ${speaking}\nhealthcheck: { test: [NONE] }`, see: async (seen) => expect((await seen.pods())[0]).toMatchObject({ ready: true, restarts: 0 }) },
];

const hooks: readonly Row[] = [
  {
    keys: ['services.post_start', 'services.post_start.command', 'services.post_start.user', 'services.post_start.privileged', 'services.post_start.working_dir', 'services.post_start.environment'],
    service: `
      environment: { WHO: service }
      post_start:
        - { command: [sh, -c, "echo $$WHO $$(id -u) $$(pwd) >>/tmp/hooks"] }
        - { command: sh -c 'echo $$WHO $$(id -un) $$(pwd) >>/tmp/hooks', user: root, privileged: true, working_dir: /srv, environment: { WHO: hook } }
        - { command: [sh, -c, "grep CapEff /proc/self/status >>/tmp/hooks"], privileged: true }
        - { command: [sh, -c, "id -un >>/tmp/named"], user: web }`,
    see: async (seen) => {
      expect(await seen.sh('cat /tmp/hooks /tmp/named')).toMatch(/^service 0 \/\nhook root \/srv\nCapEff:\s+000001ff[0-9a-f]+\nweb\n$/);
    },
  },
  {
    keys: ['services.pre_stop', 'services.stop_signal'], service: 'stop_signal: SIGUSR1\nstop_grace_period: 20s\nvolumes: ["./out:/out"]\npre_stop: [{ command: [sh, -c, "echo hook >>/out/stopped"] }]',
    says: 'trap "echo signal >>/out/stopped; exit 0" USR1\necho ready; sleep 100000 & wait', see: async (seen) => {
      await seen.printed(/ready/);
      await ends(seen);
      expect(seen.file('out/stopped')).toBe('hook\nsignal\n');
    },
  },
  {
    keys: ['services.stop_signal'], form: 'by number', service: 'stop_signal: "10"\nstop_grace_period: 20s\nvolumes: ["./out:/out"]',
    says: 'trap "echo ten >>/out/ten; exit 0" USR1\necho ready; sleep 100000 & wait', see: async (seen) => {
      await seen.printed(/ready/);
      await ends(seen);
      expect(seen.file('out/ten')).toBe('ten\n');
    },
  },
  {
    keys: ['services.stop_grace_period'], form: 'longer than the usual ten seconds', service: 'stop_grace_period: 40s\nvolumes: ["./out:/out"]',
    says: 'trap "sleep 12; echo done >>/out/slow; exit 0" TERM\necho ready; sleep 100000 & wait', see: async (seen) => {
      await seen.printed(/ready/);
      await ends(seen);
      expect(seen.file('out/slow')).toBe('done\n');
    },
  },
  {
    keys: ['services.stop_grace_period'], form: 'shorter', service: 'stop_grace_period: 500ms\nvolumes: ["./out:/out"]',
    says: 'trap "echo asked >>/out/short; sleep 9; echo done >>/out/short; exit 0" TERM\necho ready; sleep 100000 & wait', see: async (seen) => {
      await seen.printed(/ready/);
      await ends(seen);
      expect(seen.file('out/short')).toBe('asked\n');
    },
  },
];

async function ends(seen: Seen): Promise<void> {
  await seen.cluster.ok(['scale', `${seen.id}=0`]);
  await seen.until('it to be gone', async () => (await seen.pods()).length === 0);
}

/** Seconds since the machine began, when something happened: one clock for all containers. */
const now = 'cut -d" " -f1 /proc/uptime';
const seconds = async (seen: Seen) => Number((await seen.output()).trim().split('\n')[0]);

const order: readonly Row[] = [
  { keys: ['services.depends_on'], form: 'a list: it has been started', service: 'depends_on: [plain-first]', says: now, others: step('plain-first', `${now}`), see: async (seen) => expect(await seconds(seen)).toBeGreaterThanOrEqual(await seconds(seen.of('plain-first'))) },
  {
    keys: ['services.depends_on.condition'], form: 'service_healthy', service: 'depends_on: { healthy-first: { condition: service_healthy } }', says: now,
    others: step('healthy-first', `sleep 1; ${now}; touch /tmp/well`, `healthcheck: { test: "${check}", interval: 1s, start_period: 30s, start_interval: 500ms }`), see: async (seen) => expect(await seconds(seen)).toBeGreaterThan(await seconds(seen.of('healthy-first'))),
  },
  {
    keys: ['services.depends_on.condition'], form: 'service_completed_successfully', service: 'depends_on: { done-first: { condition: service_completed_successfully } }', says: now,
    others: step('done-first', `sleep 1; ${now}; echo == the end; exit 0`), see: async (seen) => {
      expect(await seconds(seen)).toBeGreaterThan(await seconds(seen.of('done-first')));
      expect((await seen.of('done-first').pods(true))[0]).toMatchObject({ state: 'succeeded', exitCode: 0, restarts: 0 });
    },
  },
  { keys: ['services.depends_on.required'], service: 'depends_on: { optional: { condition: service_healthy, required: false } }', others: 'optional: { image: "t-keys:1", profiles: [other] }', see: async (seen) => {
    expect((await seen.pods())[0]?.ready).toBe(true);
    expect((await seen.cluster.services()).map(({ id }) => id)).not.toContain('k-lifecycle_optional');
  } },
  {
    keys: ['services.depends_on.restart'], service: 'depends_on: { restarted: { condition: service_started, restart: true } }', others: step('restarted', 'true'),
    see: async (seen) => {
      const [before] = await seen.pods();
      await seen.cluster.ok(['restart', 'k-lifecycle_restarted']);
      await seen.until('it to be replaced after what it depends on', async () => (await seen.pods()).some(({ id, ready }) => ready && id !== before?.id));
    },
  },
];

function step(name: string, script: string, more = ''): string {
  const command = JSON.stringify(['sh', '-c', `exec 2>&1\nalias cut="busybox cut"\n${script}\necho == the end; exec sleep 100000`]).replaceAll('$', '$$$$');
  return `${name}: { image: "t-keys:1", stop_grace_period: 0s, command: ${command}${more === '' ? '' : `, ${more}`} }`;
}

export const lifecycle: Theme = { name: 'k-lifecycle', rows: [...health, ...hooks, ...order] };
