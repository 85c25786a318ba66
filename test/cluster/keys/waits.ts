/** What does not become ready, and says why: restarts that are over, places that are not there, what hosts refuse. */
import { expect } from 'vitest';
import type { PodListItem } from '../../../model/api.ts';
import type { Row, Theme } from './row.ts';
import type { Seen } from './seen.ts';

const exits = (code: number, first = '') => `command: ["sh", "-c", "${first}exit ${code}"]`;

/** It has come to its end; nothing will begin it again. */
async function ended(seen: Seen, wanted: Partial<PodListItem>): Promise<void> {
  const pod = await seen.until('its end', async () => (await seen.pods(true)).find(({ state }) => state === 'failed' || state === 'succeeded'));
  expect(pod).toMatchObject(wanted);
}

async function begunAgain(seen: Seen, times: number): Promise<void> {
  await seen.until(`${times} restarts`, async () => (await seen.pods()).some(({ restarts }) => restarts >= times));
}

/** When the attempts that are remembered began and ended, milliseconds. */
async function attempts(seen: Seen): Promise<readonly { readonly startedAt: number | null; readonly endedAt: number }[]> {
  return (await seen.pod()).status?.containers[0]?.ended ?? [];
}

const restarts: readonly Row[] = [
  { keys: ['services.restart'], form: '"no"', service: `restart: "no"\n${exits(3)}`, see: (seen) => ended(seen, { state: 'failed', exitCode: 3, restarts: 0 }) },
  { keys: ['services.restart'], form: 'no, without quotes', service: `restart: no\n${exits(0)}`, see: (seen) => ended(seen, { state: 'succeeded', exitCode: 0, restarts: 0 }) },
  { keys: ['services.restart'], form: 'on-failure:2', service: `restart: on-failure:2\n${exits(4)}`, see: (seen) => ended(seen, { state: 'failed', exitCode: 4, restarts: 2 }) },
  { keys: ['services.restart'], form: 'on-failure, of what ended well', service: `restart: on-failure\n${exits(0)}`, see: (seen) => ended(seen, { state: 'succeeded', restarts: 0 }) },
  { keys: ['services.restart'], form: 'always', service: `restart: always\n${exits(0)}`, see: (seen) => begunAgain(seen, 2) },
  { keys: ['services.restart'], form: 'unless-stopped', service: `restart: unless-stopped\n${exits(0)}`, see: (seen) => begunAgain(seen, 2) },
  { keys: ['services.deploy.restart_policy', 'services.deploy.restart_policy.condition'], form: 'none', service: `deploy: { restart_policy: { condition: none } }\n${exits(5)}`, see: (seen) => ended(seen, { state: 'failed', exitCode: 5, restarts: 0 }) },
  { keys: ['services.deploy.restart_policy.condition'], form: 'any', service: `deploy: { restart_policy: { condition: any } }\n${exits(0)}`, see: (seen) => begunAgain(seen, 2) },
  { keys: ['services.deploy.restart_policy.max_attempts'], service: `deploy: { restart_policy: { condition: on-failure, max_attempts: 3 } }\n${exits(6)}`, see: (seen) => ended(seen, { state: 'failed', restarts: 3 }) },
  { keys: ['services.deploy.restart_policy.delay'], service: `deploy: { restart_policy: { delay: 2s } }\n${exits(1)}`, see: async (seen) => {
    await begunAgain(seen, 2);
    const [first, second] = await attempts(seen);
    expect((second?.startedAt ?? 0) - (first?.endedAt ?? Infinity)).toBeGreaterThanOrEqual(1900);
  } },
  // Swarm's: attempts count within the window. Three in ten minutes are over the limit; three that are each longer than it are not.
  { keys: ['services.deploy.restart_policy.window'], form: 'attempts long ago do not count', service: `deploy: { restart_policy: { max_attempts: 1, window: 500ms } }\n${exits(1, 'sleep 1; ')}`, see: (seen) => begunAgain(seen, 3) },
  {
    keys: ['services.x-pod.sidecars.restart'], form: 'another than the service\'s', service: `
      restart: "no"
      x-pod: { sidecars: { again: { image: "t-keys:1", restart: always, command: [sh, -c, "sleep 1; exit 1"] } } }`,
    see: async (seen) => {
      const container = async (name: string) => (await seen.pod()).status?.containers.find((one) => one.name === name);
      await seen.until('the sidecar to be begun again', async () => ((await container('again'))?.attempt ?? 0) > 1);
      expect((await container(seen.id.split('_')[1] ?? ''))?.attempt).toBe(1);
    },
  },
];

const refused: readonly Row[] = [
  { keys: ['services.platform'], form: 'one that no node is', service: 'platform: linux/s390x', see: async (seen) => {
    expect(await seen.said(/arch/)).toMatch(/^pending: .*s390x/);
  } },
  { keys: ['services.volumes.bind.create_host_path'], form: 'false', service: 'volumes: [{ type: bind, source: ./not/there, target: /data, bind: { create_host_path: false } }]', see: async (seen) => {
    expect(await seen.said(/not\/there/)).toMatch(/not\/there/);
  } },
  { keys: ['services.storage_opt'], service: 'storage_opt: { size: 20m }\nrestart: "no"', see: async (seen) => {
    // Where the file system counts by project the layer is full at its size; elsewhere the container is refused, with the reason.
    const pod = await seen.until('it to run or be refused', async () => (await seen.pods(true)).find(({ state, message }) => state === 'running' || /storage_opt/.test(message)));
    if (pod.state === 'running') expect(await seen.sh('dd if=/dev/zero of=/big bs=1M count=40')).toMatch(/No space left|quota/i);
    else expect(pod.message).toMatch(/storage_opt: size: the file system of .* cannot limit directories/);
  } },
  { keys: ['services.pull_policy'], form: 'never', service: 'image: t-keys-nowhere:1\npull_policy: never', see: async (seen) => {
    expect(await seen.said(/t-keys-nowhere/)).toMatch(/pull_policy|never/);
  } },
  { keys: ['services.pull_policy'], form: 'always', service: 'image: 127.0.0.1:9/t-keys-refused:1\npull_policy: always', see: async (seen) => {
    expect(await seen.said(/cannot pull/)).toMatch(/127\.0\.0\.1:9/);
  } },
  { keys: ['services.security_opt'], form: 'an AppArmor profile', service: 'security_opt: [apparmor=mine]\nrestart: "no"', see: async (seen) => {
    expect(await seen.said(/mine/)).toMatch(/AppArmor|apparmor/);
  } },
  { keys: ['services.runtime'], form: 'one that hosts do not have', service: 'runtime: no-such-runtime\nrestart: "no"', see: async (seen) => {
    expect(await seen.said(/no-such-runtime/)).toMatch(/no-such-runtime/);
  } },
];

export const waits: Theme = { name: 'k-waits', stuck: true, rows: [...restarts, ...refused] };
