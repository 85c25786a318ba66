import { FakeImages } from '../../../../agent/images/fake.ts';
import { FakeRuntime } from '../../../../agent/runtime/fake.ts';
import { TsorchError } from '../../../../model/errors.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { asStream, busyboxImage, dockerArchive } from './busybox.ts';
import { startHost } from './containerd-host.ts';
import { commands, runtimeContract } from './suite.ts';

const is = (command: readonly string[] | undefined, other: readonly string[]) => JSON.stringify(command) === JSON.stringify(other);

runtimeContract('fake', async () => {
  const images = new FakeImages();
  images.add('tsorch-test:busybox');
  const runtime = new FakeRuntime({
    clock: systemClock,
    behaviour: ({ spec }) => (is(spec.command, commands.exit3) ? { exit: { code: 3 } } : {}),
    exec: (_id, { argv }, stdin) => (is(argv, commands.both) ? { code: 5, stdout: 'to stdout\n', stderr: 'to stderr\n' } : { code: 0, stdout: stdin }),
    refuseExec: (_id, { argv }) => (is(argv, commands.missing) ? new TsorchError('invalid', 'executable file `no-such-program` not found in $PATH') : undefined),
  });
  return { runtime, image: await images.get('tsorch-test:busybox'), close: async () => {} };
});

for (const oci of ['crun', 'runc']) {
  runtimeContract(`containerd with ${oci}`, async () => {
    const host = await startHost(`c-${oci}`, { runtime: oci });
    await host.images.load(asStream(await dockerArchive(await busyboxImage(), ['tsorch-test:busybox'])));
    return { runtime: host.runtime, image: await host.images.get('tsorch-test:busybox'), close: () => host.close() };
  });
}
