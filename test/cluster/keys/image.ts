/** What the image itself says, where the file says nothing else. */
import { expect } from 'vitest';
import { orphan, speaking } from './images.ts';
import type { Row, Theme } from './row.ts';

/** Its own check passes once the file is there. */
const well = 'post_start: [{ command: [touch, /tmp/well] }]';

const rows: readonly Row[] = [
  { keys: ['services.image'], form: 'ENTRYPOINT and CMD', service: `image: ${speaking}\n${well}`, see: (seen) => seen.printed(/^from the image$/m) },
  { keys: ['services.image'], form: 'ENV, WORKDIR, USER by name', service: `image: ${speaking}\n${well}`, see: async (seen) => expect(await seen.sh('echo $FROM_IMAGE; pwd; id -un; id -g; echo $HOME')).toBe('yes\n/srv/app\nweb\n2345\n/srv\n') },
  { keys: ['services.image'], form: 'VOLUME: one of the container\'s own, with the owner that the image gives the directory', service: `image: ${speaking}\n${well}`, see: async (seen) => {
    expect(await seen.sh('grep -c " /srv/data " /proc/mounts; busybox stat -c "%u:%g %a" /srv/data; cat /srv/data/first; touch /srv/data/x && echo written')).toBe('1\n1234:2345 750\nfrom the image\nwritten\n');
  } },
  { keys: ['services.image'], form: 'STOPSIGNAL', service: `image: ${speaking}\n${well}\nstop_grace_period: 20s\nentrypoint: ["sh", "-c", "trap 'echo USR1 >/out/got; exit 0' USR1; echo ready; sleep 100000 & wait"]\nuser: root\nvolumes: ["./out:/out"]`, see: async (seen) => {
    await seen.printed(/ready/);
    await seen.cluster.ok(['scale', `${seen.id}=0`]);
    await seen.until('it to be gone', async () => (await seen.pods()).length === 0);
    expect(seen.file('out/got')).toBe('USR1\n');
  } },
  { keys: ['services.healthcheck', 'services.image'], form: 'HEALTHCHECK, with times of the file', service: `image: ${speaking}\n${well}\nhealthcheck: { interval: 700ms, start_period: 20s }`, see: async (seen) => {
    expect((await seen.pods())[0]).toMatchObject({ ready: true, restarts: 0 });
    await seen.sh('rm /tmp/well');
    await seen.until('its own check to end the attempt', async () => (await seen.pods()).some(({ restarts }) => restarts > 0));
  } },
  ...['missing', 'if_not_present', 'never', 'daily', 'weekly', 'every_12h', 'refresh\npull_refresh_after: 24h'].map((policy): Row => ({
    keys: ['services.pull_policy', ...(policy.includes('pull_refresh_after') ? ['services.pull_refresh_after'] : [])], form: `${policy.split('\n')[0]}: what is here is taken`, service: `image: ${orphan}\npull_policy: ${policy}`, see: async (seen) => expect(await seen.sh('cat /variant')).toBe('orphan'),
  })),
];

export const images: Theme = { name: 'k-image', rows };
