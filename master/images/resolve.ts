/**
 * Looks up what images are now: at their registries, all at once and within a bounded time; or, where they came in archives or no
 * registry answers, on the nodes. Says what it could not find out.
 */
import { normaliseReference, readableName } from '../../lib/oci/reference.ts';
import { describeError } from '../../model/errors.ts';
import type { NeededImage, RegistryAuth } from '../../model/registry.ts';
import type { Resolved } from '../apply/pin.ts';
import type { HeldName } from './inventory.ts';

/** What a registry says of a tag. */
export interface DigestResolver {
  /** `sha256:…` of the manifest or index. Throws `unavailable`, `not-found`, `unauthenticated` and the like. */
  resolve(reference: string, auth: RegistryAuth | null, signal: AbortSignal): Promise<string>;
}

export interface ResolveContext {
  /** null: no registry is asked. */
  readonly resolver: DigestResolver | null;
  /** What the nodes have by that name. */
  readonly held: (name: string) => readonly HeldName[];
  readonly authFor: (image: string) => RegistryAuth | null;
  /** Ask the registry even for what came in archives. */
  readonly always: boolean;
  readonly signal: AbortSignal;
  readonly nodeName: (id: string) => string;
}

export interface ResolveOutcome {
  readonly resolved: Resolved;
  readonly warnings: readonly string[];
}

/** Everything takes this long at most. */
const mostMs = 15_000;

export async function resolveImages(wishes: readonly NeededImage[], context: ResolveContext): Promise<ResolveOutcome> {
  const signal = AbortSignal.any([context.signal, AbortSignal.timeout(mostMs)]);
  const answers = await Promise.all(wishes.map(async (wish) => [wish.image, await resolveOne(wish, { ...context, signal })] as const));
  context.signal.throwIfAborted();
  return { resolved: new Map(answers.map(([image, { digest }]) => [image, digest])), warnings: answers.flatMap(([, { warning }]) => (warning === undefined ? [] : [warning])) };
}

interface Answer {
  readonly digest: string | null;
  readonly warning?: string;
}

async function resolveOne({ image, pullPolicy }: NeededImage, { resolver, held, authFor, always, signal, nodeName }: ResolveContext): Promise<Answer> {
  const name = normaliseReference(image);
  const { here, agreed } = onNodes(held(name));
  const archived = here.length > 0 && here.every(({ from }) => from !== 'registry');
  const local = pullPolicy === 'never' || (archived && pullPolicy !== 'always' && !always);
  if (local || resolver === null) {
    if (agreed !== null || here.length === 0) return { digest: agreed };
    const differ = `${readableName(image)} is not the same on all nodes: ${differing(here, nodeName)}`;
    // What was given to a node goes from there to the others. What a registry has moved does not, and may not be pulled here.
    if (!archived) return { digest: null, warning: `${differ}; each takes its own` };
    return { digest: newest(here), warning: `${differ}; the newest is taken` };
  }
  try {
    return { digest: await resolver.resolve(name, authFor(image), signal) };
  } catch (error) {
    // A node may have been given it meanwhile.
    const { here: now, agreed: by } = onNodes(held(name));
    const why = `${readableName(image)} could not be looked up: ${signal.aborted ? 'its registry takes too long' : describeError(error)}`;
    if (by !== null) return { digest: by, warning: `${why}; what the nodes have is taken` };
    if (now.length > 0) return { digest: null, warning: `${why}; nodes have different ones (${differing(now, nodeName)}), each takes its own` };
    return { digest: null, warning: `${why}; no node has it, each will pull it by its tag` };
  }
}

function onNodes(here: readonly HeldName[]): { readonly here: readonly HeldName[]; readonly agreed: string | null } {
  return { here, agreed: new Set(here.map(({ digest }) => digest)).size === 1 ? (here[0]?.digest ?? null) : null };
}

function newest(here: readonly HeldName[]): string | null {
  return here.toSorted((a, b) => b.since - a.since || (a.digest < b.digest ? -1 : 1))[0]?.digest ?? null;
}

function differing(here: readonly HeldName[], nodeName: (id: string) => string): string {
  const shown = here.slice(0, 4).map(({ node, digest }) => `${nodeName(node)} ${digest.slice(0, 'sha256:'.length + 12)}`);
  return `${shown.join(', ')}${here.length > shown.length ? ` and ${here.length - shown.length} more` : ''}`;
}
