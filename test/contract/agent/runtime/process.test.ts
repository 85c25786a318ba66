/** The first process of a container and what its image says of it: arguments, signals, zombies, users, directories. */
import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { CreateRequest, ImageHandle } from '../../../../agent/runtime/port.ts';
import { parseSignal, stopSignal } from '../../../../agent/runtime/spec/signal.ts';
import type { ContainerSpec } from '../../../../model/spec.ts';
import { asStream, busyboxImage, ociArchive } from './busybox.ts';
import { type ContainerdHost, startHost } from './containerd-host.ts';
import { type OwnNetns, ownNetns } from '../../../own.ts';
import { Shell } from './shell.ts';

const forever = new AbortController().signal;

describe.each(['crun', 'runc'])('processes of %s', (oci) => {
  let host: ContainerdHost;
  let netns: OwnNetns;
  let shell: Shell;

  beforeAll(async () => {
    netns = ownNetns('t-rt-process');
    host = await startHost(`p-${oci}`, { runtime: oci });
    shell = new Shell(host, await imageWith({}), 'p', netns.path);
  });
  afterAll(async () => {
    await host?.close();
    netns?.[Symbol.dispose]();
  });
  afterEach(async () => {
    for (const { id } of await host.runtime.list()) await host.runtime.remove(id);
  });

  const images = new Map<string, ImageHandle>();
  /** An image whose configuration has these fields. */
  const imageWith = async (config: object): Promise<ImageHandle> => {
    const key = JSON.stringify(config);
    const known = images.get(`${oci}${key}`);
    if (known) return known;
    const name = `tsorch-test:process${images.size}`;
    await host.images.load(asStream(await ociArchive(await busyboxImage({ config }), name)));
    const image = await host.images.get(name);
    images.set(`${oci}${key}`, image);
    return image;
  };
  const command = async (pid: number) => (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').slice(0, -1);
  const said = (asked: CreateRequest, text: string) => vi.waitFor(async () => expect(await readFile(asked.stdout, 'utf8')).toContain(text), { timeout: 10_000 });

  test('the exec form is the first process itself, the shell form a shell', async () => {
    const exec = await shell.start({ command: ['sleep', '1001'] });
    // The runtime's own first steps may not be over when the start is.
    await vi.waitFor(async () => expect(await command(exec.pid)).toEqual(['sleep', '1001']), { timeout: 10_000 });
    const form = await shell.start({ command: ['/bin/sh', '-c', 'sleep 1002; true'] });
    await vi.waitFor(async () => expect(await command(form.pid)).toEqual(['/bin/sh', '-c', 'sleep 1002; true']), { timeout: 10_000 });
  });

  test.each<[string, object, Partial<ContainerSpec>, readonly string[]]>([
    ["the image's own", { Entrypoint: ['echo', 'e'], Cmd: ['c'] }, {}, ['e', 'c']],
    ['a command keeps the entrypoint', { Entrypoint: ['echo', 'e'], Cmd: ['c'] }, { command: ['x'] }, ['e', 'x']],
    ['an entrypoint drops the command', { Entrypoint: ['echo', 'e'], Cmd: ['c'] }, { entrypoint: ['echo', 'n'] }, ['n']],
    ['an empty entrypoint', { Entrypoint: ['no-such'], Cmd: ['c'] }, { entrypoint: [], command: ['echo', 'x'] }, ['x']],
    ['an empty command', { Entrypoint: ['echo', 'e'], Cmd: ['c'] }, { command: [] }, ['e']],
    ['a shell form of old, as a string', { Entrypoint: 'echo $0 shell', Cmd: null }, {}, ['/bin/sh', 'shell']],
  ])('%s', async (_, config, spec, words) => {
    const { out } = await shell.sh('', { ...spec, ...('command' in spec ? {} : { command: undefined as never }) }, { image: await imageWith(config) });
    expect(out).toBe(`${words.join(' ')}\n`);
  });

  test('without an init orphans stay as zombies, with one they are reaped', async () => {
    // The middle shell ends at once, and leaves its child to the first process.
    const script = '(sh -c "sleep 0.1" & exit) ; exec sleep 1003';
    const states = async (id: string) => (await shell.exec(id, 'cat /proc/[0-9]*/stat')).split('\n').map((line) => /\) (\w)/.exec(line)?.[1]);
    const plain = await shell.start({ command: ['sh', '-c', script] });
    await vi.waitFor(async () => expect(await states(plain.id)).toContain('Z'), { timeout: 10_000 });
    const reaped = await shell.start({ command: ['sh', '-c', script], init: true });
    const children = async () => (await shell.exec(reaped.id, 'for f in /proc/[0-9]*/cmdline; do head -c 30 $f; echo; done')).includes('0.1');
    await vi.waitFor(async () => expect(await children()).toBe(false), { timeout: 10_000 });
    expect(await states(reaped.id)).not.toContain('Z');
  });

  test('the first process is deaf to what it does not handle; an init passes it on', async () => {
    const deaf = await shell.start({ command: ['sleep', '1004'] });
    await host.runtime.kill(deaf.id, parseSignal('SIGTERM'));
    await host.runtime.kill(deaf.id, parseSignal('SIGUSR1'));
    expect(await shell.exec(deaf.id, 'echo alive')).toBe('alive\n');
    const init = await shell.start({ command: ['sleep', '1005'], init: true });
    await vi.waitFor(async () => expect(await shell.exec(init.id, 'cat /proc/[0-9]*/cmdline')).toContain('1005'), { timeout: 10_000 });
    await host.runtime.kill(init.id, parseSignal('SIGTERM'));
    expect((await host.runtime.wait(init.id, forever)).code).toBe(143);
  });

  test.each([['SIGTERM', 'TERM'], ['SIGINT', 'INT'], ['SIGQUIT', 'QUIT'], ['USR2', 'USR2'], ['SIGRTMIN+3', '37']])('%s reaches the process, with and without an init', async (name, trap) => {
    for (const init of [false, true]) {
      const asked = await shell.start({ init, command: ['sh', '-c', `trap "echo got; exit 42" ${trap}; echo ready; while true; do sleep 0.05; done`] });
      await said(asked, 'ready');
      await host.runtime.kill(asked.id, stopSignal({ stopSignal: name }, { stopSignal: 'SIGKILL' }));
      expect((await host.runtime.wait(asked.id, forever)).code).toBe(42);
      await said(asked, 'got');
    }
  });

  test('user, directory, environment and stop signal of the image', async () => {
    const image = await imageWith({ User: 'web', WorkingDir: '/made/for/it', Env: ['PATH=/bin', 'A=image', 'B=image', 'EMPTY='], StopSignal: 'SIGUSR1', ExposedPorts: { '80/tcp': {} } });
    const { out } = await shell.sh('id; pwd; echo "$A $B ${EMPTY-unset} ${C-unset}"; echo $HOME', { env: { B: 'stack', C: null } }, { image });
    expect(out).toBe('uid=1234(web) gid=2345(web) groups=2345(web),3456(extra)\n/made/for/it\nimage stack  unset\n/srv\n');
    expect(image.config).toMatchObject({ exposedPorts: ['80/tcp'], stopSignal: 'SIGUSR1' });
    const group = await shell.sh('id -u; id -g; id -G', {}, { image: await imageWith({ User: 'web:more' }) });
    expect(group.out).toBe('1234\n4567\n4567\n');
    const number = await shell.sh('id -u; id -g; echo $HOME', {}, { image: await imageWith({ User: '1234' }) });
    expect(number.out).toBe('1234\n2345\n/srv\n');
    const stack = await shell.sh('id -u; id -g', { user: '0:extra' }, { image });
    expect(stack.out).toBe('0\n3456\n');
  });

  test('what nobody handles ends with 128 and the signal', async () => {
    const asked = await shell.start({ command: ['sh', '-c', 'kill -SEGV $$; sleep 5'], init: true });
    expect((await host.runtime.wait(asked.id, forever)).code).toBe(139);
  });
});
