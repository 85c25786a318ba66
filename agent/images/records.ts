/** Records of images as containerd keeps them: names that point at manifests, with labels that say how and when each came. Pure. */
import type { ImageRecord } from '../runtime/port.ts';

interface NamedImage {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly target?: { readonly digest: string } | undefined;
}

const fromLabel = 'tsorch.from';
const sinceLabel = 'tsorch.since';

/** Labels of a record: how and when somebody gave the image this name. */
export function arrival(from: NonNullable<ImageRecord['from']>, since: number): Record<string, string> {
  return { [fromLabel]: from, [sinceLabel]: String(since) };
}

/**
 * Labels of the tag of a pull: `known` is when another node got it. That a digest has this tag, as a reference with both says, may be long
 * ago: then the tag is as old as can be, and none that was given since gives way to it.
 */
export function arrivalOfTag(known: Partial<Pick<ImageRecord, 'from' | 'since'>> | undefined, digest: string | undefined, now: number): Record<string, string> {
  return arrival(known?.from ?? 'registry', known?.since ?? (digest === undefined ? now : 1));
}

export function arrivalOf(labels: Readonly<Record<string, string>>): Pick<ImageRecord, 'from' | 'since'> {
  const from = labels[fromLabel];
  const since = Number(labels[sinceLabel]);
  return { ...(from === 'archive' || from === 'registry' ? { from } : {}), ...(since > 0 ? { since } : {}) };
}

/** One record for all names of the same content, sorted by the first of them. */
export async function collectRecords<I extends NamedImage>(images: readonly I[], sizeOf: (image: I) => Promise<number>): Promise<readonly ImageRecord[]> {
  const byDigest = new Map<string, { references: string[]; digest: string; size: number; from?: NonNullable<ImageRecord['from']>; since?: number }>();
  for (const image of images) {
    const digest = image.target?.digest ?? '';
    const entry = byDigest.get(digest) ?? { references: [], digest, size: await sizeOf(image) };
    entry.references.push(image.name);
    const { from, since = 0 } = arrivalOf(image.labels);
    if (from !== undefined && since >= (entry.since ?? 0)) Object.assign(entry, { from, since });
    byDigest.set(digest, entry);
  }
  return [...byDigest.values()].map((entry) => ({ ...entry, references: entry.references.sort() })).sort((a, b) => ((a.references[0] ?? '') < (b.references[0] ?? '') ? -1 : 1));
}

/**
 * Which of an image's names go when one of them is removed; null is all of them. With its last tag in a repository the name by digest goes
 * too, which a pull gave it and nobody thinks of.
 */
export function namesToRemove(name: string | null, all: readonly string[]): readonly string[] {
  if (name === null) return all;
  const repository = repositoryOf(name);
  const beside = all.filter((other) => other !== name && repositoryOf(other) === repository);
  return [name, ...(beside.some((other) => !other.includes('@')) ? [] : beside)];
}

function repositoryOf(name: string): string {
  return name.replace(/(:[^/@]*)?(@.*)?$/, '');
}
