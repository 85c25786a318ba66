/** Whether this host can run an image's programs at all. */
import { distance } from '../../../lib/oci/platform.ts';
import { TsorchError } from '../../../model/errors.ts';
import type { ImageHandle } from '../port.ts';
import type { HostFacts } from './facts.ts';

/** Throws `unsupported` for an image of another processor or system; one that an emulator runs is a warning. */
export function platformWarnings(image: Pick<ImageHandle, 'reference' | 'config'>, host: Pick<HostFacts, 'arch' | 'emulated'>): readonly string[] {
  const { architecture, os } = image.config;
  // Images made by hand may leave it out.
  if (os !== '' && os !== 'linux') throw cannot(image, `${os}/${architecture}`, host);
  if (architecture === '' || distance({ os: 'linux', architecture: host.arch }, { os: 'linux', architecture }) !== null) return [];
  if (host.emulated.includes(architecture)) return [`the image is for ${architecture}, this host is ${host.arch}: an emulator runs it, slowly`];
  throw cannot(image, `linux/${architecture}`, host);
}

function cannot(image: Pick<ImageHandle, 'reference'>, platform: string, host: Pick<HostFacts, 'arch'>): TsorchError {
  return new TsorchError('unsupported', `image ${image.reference} is for ${platform}, this host is linux/${host.arch}`, {
    hint: 'use an image for several platforms, or place the service with `platform:` or a constraint on node.platform.arch',
  });
}
