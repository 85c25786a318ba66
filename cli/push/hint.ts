/** Says what to do about images that a stack names, that no node has, and that lie in the Docker of this machine. */
import { isDigest, normaliseReference } from '../../lib/oci/reference.ts';
import type { StackSpec } from '../../model/spec.ts';
import type { ApiClient } from '../client.ts';
import { note, type Io } from '../io.ts';
import { plain } from '../output/color.ts';
import { type Docker, openDocker } from './docker.ts';

/** Nobody waits for a hint. */
const mostMs = 2000;

/** Never rejects: what it cannot find out it does not say. */
export async function hintAtPushes(io: Io, client: Pick<ApiClient, 'get'>, stack: StackSpec): Promise<void> {
  const names = imagesOf(stack);
  if (names.length === 0) return;
  try {
    const missing = new Set(await client.get<string[]>('/v1/images/missing', { name: names }));
    if (missing.size === 0) return;
    const docker = openDocker(io.env);
    const signal = AbortSignal.any([io.signal, AbortSignal.timeout(mostMs)]);
    for (const name of names) {
      if (!missing.has(name) || !(await isOnlyHere(docker, name, signal))) continue;
      note(io, `warning: image ${plain(name)} is on no node, but in Docker on this machine; bring it there: tsorch image push ${plain(name)}`);
    }
  } catch {
    // There is no Docker here, or an older master.
  }
}

/** Built here, and not put into a registry, where the nodes would get it from. */
async function isOnlyHere(docker: Docker, name: string, signal: AbortSignal): Promise<boolean> {
  const found = await docker.find(name, signal);
  return found !== null && !found.published;
}

function imagesOf(stack: StackSpec): readonly string[] {
  const containers = Object.values(stack.services).flatMap(({ template }) => [...template.containers, ...(template.initContainers ?? [])]);
  return [...new Set(containers.map(({ image }) => image))].filter(isName);
}

function isName(image: string): boolean {
  try {
    return !isDigest(normaliseReference(image));
  } catch {
    return false;
  }
}
