/** The example's images, built once per machine. */
import { buildImages } from '../../../deploy/images/build.ts';

const cache = '/var/cache/tsorch/images';

/** Paths of the archives. */
export async function buildExampleImages(): Promise<string[]> {
  const built = await buildImages({ out: `${cache}/archives`, cache, names: [], say: () => {} });
  return built.map((image) => image.path);
}
