/** What a fresh volume begins with: content and owner of the image's directory that it covers. */
import fs from 'node:fs/promises';
import type { ImageHandle, Images } from '../runtime/port.ts';

export interface Seed {
  readonly images: Pick<Images, 'copyUp'>;
  readonly image: ImageHandle;
  /** The directory in the image. */
  readonly path: string;
  /** Who the container runs as, `user[:group]`. */
  readonly user: string;
}

export async function fill(directory: string, { images, image, path, user }: Seed): Promise<void> {
  await images.copyUp?.(image, path, directory, user);
}

/** Nothing is in it but what a fresh file system has by itself. */
export async function isEmpty(directory: string): Promise<boolean> {
  const entries = await fs.readdir(directory);
  return entries.every((name) => name === 'lost+found');
}
