/** Who uses an image: services that name it, and nodes whose pods run it. */
import { isDigest, normaliseReference } from '../../lib/oci/reference.ts';
import type { PodTemplate } from '../../model/spec.ts';
import type { Maps } from '../world.ts';

export interface ImageUse {
  /** Ids of services whose spec in force names it. */
  readonly services: readonly string[];
  /** Ids of nodes that have, or shall have, a pod with it. */
  readonly nodes: ReadonlySet<string>;
}

/** By any of its names (normalised) or digests. */
export function usersOf(maps: Maps, images: ReadonlySet<string>): ImageUse {
  const services = new Set<string>();
  const nodes = new Set<string>();
  const uses = (template: PodTemplate) => imagesOf(template).some((name) => images.has(name));
  for (const { value } of maps.services.values()) if (uses(value.spec.template)) services.add(value.id);
  const byRevision = new Map<string, boolean>();
  for (const { value: pod } of maps.pods.values()) {
    if (pod.node === null || pod.desired === 'stopped') continue;
    const key = `${pod.service}.${pod.revision}`;
    const template = maps.revisions.get(key)?.value.spec.template;
    const used = byRevision.get(key) ?? (template !== undefined && uses(template));
    byRevision.set(key, used);
    const runs = used || maps.podstatus.get(pod.id)?.value.containers.some(({ imageDigest }) => imageDigest !== undefined && images.has(imageDigest)) === true;
    if (runs) nodes.add(pod.node);
  }
  return { services: [...services].toSorted(), nodes };
}

/** What the pod's containers and mounts name, in full, and the digests that are meant by it. */
export function imagesOf(template: PodTemplate): readonly string[] {
  const named = [...template.containers, ...(template.initContainers ?? [])].flatMap(({ image, imageDigest, mounts }) => [
    { image, imageDigest }, ...mounts.flatMap((mount) => (mount.kind === 'image' ? [mount] : [])),
  ]);
  return named.flatMap(({ image, imageDigest }) => [full(image), ...(imageDigest === undefined ? [] : [imageDigest])]);
}

/** What a node could not make sense of is nobody's image. */
function full(reference: string): string {
  if (isDigest(reference)) return reference;
  try {
    return normaliseReference(reference);
  } catch {
    return reference;
  }
}
