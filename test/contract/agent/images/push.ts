/** Test images pushed to a real registry, by our own client. */
import { gzipSync } from 'node:zlib';
import { systemClock } from '../../../../lib/clock.ts';
import type { RegistryCredentials } from '../../../../lib/oci/credentials.ts';
import { type Descriptor, mediaTypes, sha256 } from '../../../../lib/oci/manifest.ts';
import { openEndpoints } from '../../../../lib/oci/open.ts';
import type { Registries } from '../../../../lib/oci/registries.ts';
import { pushBlob, pushManifest } from '../../../../lib/oci/upload.ts';
import { asStream, type BuiltImage } from '../runtime/busybox.ts';

export interface PushOptions {
  readonly host: string;
  readonly registries: Registries;
  readonly credentials: RegistryCredentials | null;
  readonly repository: string;
  readonly tag: string;
  readonly image: BuiltImage;
}

/** Resolves to the manifest's digest. */
export async function pushImage({ host, registries, credentials, repository, tag, image }: PushOptions): Promise<string> {
  const signal = new AbortController().signal;
  const [endpoint] = openEndpoints(host, { registries, credentials, env: {}, clock: systemClock, random: () => 0 });
  if (!endpoint) throw new Error('no endpoint');
  const push = async (data: Buffer, mediaType: string): Promise<Descriptor> => {
    const descriptor = { mediaType, digest: sha256(data), size: data.length };
    await pushBlob(endpoint, repository, { descriptor, open: () => asStream(data) }, signal);
    return descriptor;
  };
  try {
    const layers = await Promise.all(image.layers.map((layer) => push(gzipSync(layer), `${mediaTypes.layer}+gzip`)));
    const config = await push(image.config, mediaTypes.config);
    const data = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.manifest, config, layers }));
    await pushManifest(endpoint, repository, tag, { mediaType: mediaTypes.manifest, data }, signal);
    return sha256(data);
  } finally {
    endpoint.close();
  }
}
