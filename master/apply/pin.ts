/**
 * Which images of a stack are pinned to what: pure. A tag is looked up once, when it comes into a service, and again only when somebody
 * asks for it: so the same stack applied again changes nothing, wherever its tags have moved meanwhile.
 */
import { serviceId, type ServiceSpec, type StackSpec } from '../../model/spec.ts';
import { imagesOf, type NeededImage, withImageDigests } from '../../model/registry.ts';
import type { ResolveMode } from '../../model/api.ts';
import type { Maps } from '../world.ts';

export interface PinContext {
  readonly maps: Maps;
  readonly mode: ResolveMode;
  /** When the last node was given the image by that name, milliseconds since the epoch; null when none has it. */
  readonly fetchedAt: (image: string) => number | null;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** What became of an image that was looked up; null is nothing, and then it stays unpinned. */
export type Resolved = ReadonlyMap<string, string | null>;

/** Images to be looked up, each once, with what their containers say of pulling. */
export function imagesToResolve(context: PinContext, spec: StackSpec): readonly NeededImage[] {
  const wanted = new Map<string, NeededImage>();
  for (const service of Object.values(spec.services)) {
    for (const needed of imagesOf(service)) {
      if (!isWanted(context, service, needed)) continue;
      // `always` of one container is reason enough to ask the registry.
      if (!wanted.has(needed.image) || needed.pullPolicy === 'always') wanted.set(needed.image, needed);
    }
  }
  return [...wanted.values()];
}

/** The service with its images pinned: to what was looked up, or as it is pinned already. */
export function pinService(context: PinContext, service: ServiceSpec, resolved: Resolved): ServiceSpec {
  const known = knownDigests(context.maps, service);
  const needed = new Map(imagesOf(service).map((image) => [image.image, image]));
  return withImageDigests(service, (image) => {
    const wish = needed.get(image);
    const found = wish && isWanted(context, service, wish) ? resolved.get(image) : undefined;
    return found ?? known.get(image);
  });
}

function isWanted({ maps, mode, fetchedAt, now }: PinContext, service: ServiceSpec, { image, pullPolicy, pullRefreshMs }: NeededImage): boolean {
  if (image.includes('@')) return false;
  if (mode !== 'changed') return mode === 'always';
  if (pullPolicy === 'always' || !knownDigests(maps, service).has(image)) return true;
  const at = pullRefreshMs === undefined ? null : fetchedAt(image);
  return at !== null && pullRefreshMs !== undefined && now - at > pullRefreshMs;
}

/** Digests by image, as the service has them now; undefined for one that is there and unpinned. */
function knownDigests(maps: Maps, service: ServiceSpec): ReadonlyMap<string, string | undefined> {
  const known = maps.services.get(serviceId(service.stack, service.name))?.value.spec;
  return new Map(known ? imagesOf(known).map(({ image, imageDigest }) => [image, imageDigest]) : []);
}
