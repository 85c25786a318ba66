import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { readiness } from '../../../cli/programs/ready.ts';
import { silentLog } from '../../../lib/log.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tsorch-ready-'));
  await writeFile(join(directory, 'systemd-notify'), `#!/bin/sh\necho "$NOTIFY_SOCKET $*" >> ${directory}/told\n`, { mode: 0o755 });
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const told = () => readFile(join(directory, 'told'), 'utf8').catch(() => '');

it('systemd is told once the program serves, and nobody whom it starts can say so before', async () => {
  const env: NodeJS.ProcessEnv = { PATH: `${directory}:/usr/bin:/bin`, NOTIFY_SOCKET: '/run/systemd/notify' };
  const serving = readiness(env, silentLog);
  expect(env['NOTIFY_SOCKET']).toBeUndefined();
  expect(await told()).toBe('');
  serving();
  await vi.waitFor(async () => expect(await told()).toBe('/run/systemd/notify --ready\n'));
});

it('a program that nobody waits for tells nobody, and one without the means goes on', async () => {
  const warned = vi.fn();
  readiness({ PATH: `${directory}:/usr/bin:/bin` }, silentLog)();
  readiness({ PATH: '/nowhere', NOTIFY_SOCKET: '/run/x' }, { ...silentLog, warn: warned })();
  await vi.waitFor(() => expect(warned).toHaveBeenCalledOnce());
  expect(await told()).toBe('');
});
