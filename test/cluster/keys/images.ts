/** The images of the rows: busybox, one whose configuration says everything, and one that is only content. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { busyboxImage, digestOf, dockerArchive, tar, type BuiltImage } from '../../contract/agent/runtime/busybox.ts';
import type { Cluster } from '../lib/cluster.ts';
import { image } from './compose.ts';

export const speaking = 't-keys-speaking:1';
export const content = 't-keys-content:1';
/** Of a registry that nobody answers for: here by its archive, and only by that. */
export const orphan = '127.0.0.1:9/t-keys:1';

/** With one more layer on top. */
async function withLayer(base: BuiltImage, layer: Buffer): Promise<BuiltImage> {
  const config = JSON.parse(base.config.toString()) as { rootfs: { diff_ids: string[] } };
  const made = { ...config, rootfs: { ...config.rootfs, diff_ids: [...config.rootfs.diff_ids, `sha256:${digestOf(layer)}`] } };
  return { config: Buffer.from(JSON.stringify(made)), layers: [...base.layers, layer] };
}

const speakingConfig = {
  Entrypoint: ['sh', '-c', 'echo "$@"; exec sleep 100000', 'entry'],
  Cmd: ['from', 'the', 'image'],
  Env: ['PATH=/bin:/sbin', 'FROM_IMAGE=yes'],
  WorkingDir: '/srv/app',
  User: 'web',
  ExposedPorts: { '8080/tcp': {} },
  Volumes: { '/srv/data': {} },
  StopSignal: 'SIGUSR1',
  Labels: { 'image.label': 'mine' },
  Healthcheck: { Test: ['CMD-SHELL', 'test -e /tmp/well'], Interval: 1_000_000_000, Timeout: 5_000_000_000, Retries: 2 },
};

export async function loadImages(cluster: Cluster): Promise<void> {
  const owned = await tar([
    { name: 'srv', directory: true }, { name: 'srv/app', directory: true }, { name: 'srv/data', directory: true, uid: 1234, gid: 2345, mode: 0o750 },
    { name: 'srv/data/first', data: 'from the image\n', uid: 1234, gid: 2345 },
  ]);
  const parts = await tar([{ name: 'parts', directory: true }, { name: 'parts/one', data: 'one\n' }]);
  const built: readonly (readonly [string, BuiltImage])[] = [
    [image, await withLayer(await busyboxImage(), owned)],
    [orphan, await busyboxImage({ variant: 'orphan' })],
    [speaking, await withLayer(await busyboxImage({ config: speakingConfig }), owned)],
    [content, await withLayer(await busyboxImage(), parts)],
  ];
  for (const [reference, made] of built) {
    const file = join(cluster.dir, `${digestOf(reference)}.tar`);
    writeFileSync(file, await dockerArchive(made, [reference]));
    await cluster.ok(['image', 'load', file]);
  }
}
