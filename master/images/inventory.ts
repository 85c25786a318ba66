/**
 * Which nodes have which images, as their agents tell, and who is about to get which blobs: so that a node fetches from other nodes
 * what they have, and of many that want the same one alone brings it from outside. In memory: it follows from the hosts, and comes
 * again with their sessions. Times are arguments, monotonic, in milliseconds.
 */
import type { BlobDescriptor, HeldImage, ImageName, NamedImage } from '../../model/image.ts';

/** A node's image of some name. */
export interface HeldName extends Pick<ImageName, 'since' | 'from'> {
  readonly node: string;
  readonly digest: string;
}

export interface Places {
  /** Nodes that have the blob. */
  readonly holders: readonly string[];
  /** Nodes that asked for it lately. */
  readonly seekers: readonly string[];
  /** Of all that seek it, whoever asks now was the first. */
  readonly first: boolean;
}

/** Who asked so long ago has it, or has given up. */
const seekingMs = 60_000;
/** More would not be asked anyway. */
const mostPlaces = 24;

export class ImageInventory {
  /** By node, then by the digest of what the names point at. */
  readonly #held = new Map<string, Map<string, HeldImage>>();
  /** Nodes by the digests of blobs they have, counted by the images they have it for. */
  readonly #holders = new Map<string, Map<string, number>>();
  /** Blobs by the digest they have unpacked: the same layer may be stored in several compressions. */
  readonly #layers = new Map<string, Map<string, BlobDescriptor>>();
  readonly #diffOf = new Map<string, string>();
  /** When each node asked, by blob; the first one first. */
  readonly #seekers = new Map<string, Map<string, number>>();
  /** Nodes that have looked for a name in vain, by name. */
  readonly #missed = new Map<string, Set<string>>();
  readonly #found: (node: string, names: readonly string[]) => void;

  /** `found` hears of names that a node has looked for in vain, when there is something by them. */
  constructor(found: (node: string, names: readonly string[]) => void = () => {}) {
    this.#found = found;
  }

  /** What the node has, all of it. */
  replace(node: string, images: readonly HeldImage[]): void {
    const wanted = new Set(images.map(({ target }) => target.digest));
    this.change(node, images, [...(this.#held.get(node)?.keys() ?? [])].filter((digest) => !wanted.has(digest)));
  }

  change(node: string, upsert: readonly HeldImage[], remove: readonly string[]): void {
    const own = this.#held.get(node) ?? new Map<string, HeldImage>();
    this.#held.set(node, own);
    for (const digest of [...remove, ...upsert.map(({ target }) => target.digest)]) {
      const old = own.get(digest);
      if (old) for (const blob of blobsOf(old)) this.#count(blob, node, -1);
      own.delete(digest);
    }
    for (const image of upsert) {
      own.set(image.target.digest, image);
      for (const blob of blobsOf(image)) this.#count(blob, node, 1);
      for (const layer of image.layers) if (layer.here) this.#know(layer.diffId, layer);
    }
    this.#tellOf(upsert.flatMap(({ names }) => names.map(({ name }) => name)));
  }

  /** As `named`, for a node that is told when there is none now and one comes. */
  seek(node: string, name: string): NamedImage | null {
    const found = this.named(name);
    if (!found) this.#missed.set(name, (this.#missed.get(name) ?? new Set()).add(node));
    return found;
  }

  #tellOf(names: readonly string[]): void {
    const news = new Map<string, string[]>();
    for (const name of names) {
      for (const node of this.#missed.get(name) ?? []) news.set(node, [...(news.get(node) ?? []), name]);
      this.#missed.delete(name);
    }
    for (const [node, found] of news) this.#found(node, found);
  }

  /** The node has gone: what it has cannot be had, and what it sought it does not get. */
  drop(node: string): void {
    this.replace(node, []);
    this.#held.delete(node);
    for (const [digest, seekers] of this.#seekers) if (seekers.delete(node) && seekers.size === 0) this.#seekers.delete(digest);
    for (const [name, nodes] of this.#missed) if (nodes.delete(node) && nodes.size === 0) this.#missed.delete(name);
  }

  /** Of a node; empty when it has none or is not there. */
  images(node: string): readonly HeldImage[] {
    return [...(this.#held.get(node)?.values() ?? [])];
  }

  /** Digests of all blobs that a node has. */
  blobsOf(node: string): ReadonlySet<string> {
    return new Set(this.images(node).flatMap((image) => [...blobsOf(image)]));
  }

  /** What was called so last; nodes may still have what was called so before. */
  named(name: string): NamedImage | null {
    let best: NamedImage | null = null;
    for (const images of this.#held.values()) {
      for (const { target, names } of images.values()) {
        const found = names.find((each) => each.name === name);
        if (!found) continue;
        const { since, from } = found;
        if (best && (since < best.since || (since === best.since && target.digest <= best.target.digest))) continue;
        best = { target, since, ...(from === undefined ? {} : { from }) };
      }
    }
    return best;
  }

  /** What each node that has something by this name has. */
  byName(name: string): readonly HeldName[] {
    return [...this.#held].flatMap(([node, images]) => [...images.values()].flatMap(({ target, names }) =>
      names.flatMap(({ name: each, since, from }): HeldName[] => (each === name ? [{ node, digest: target.digest, since, ...(from === undefined ? {} : { from }) }] : []))));
  }

  /** Nodes that have the image, whole. */
  nodesWith(digest: string): readonly string[] {
    return [...this.#held].filter(([, images]) => images.has(digest)).map(([node]) => node);
  }

  /** A blob of this layer that some node has, the smallest of them; null when none has any. */
  layer(diffId: string): BlobDescriptor | null {
    return [...(this.#layers.get(diffId)?.values() ?? [])].toSorted((a, b) => a.size - b.size || (a.digest < b.digest ? -1 : 1))[0] ?? null;
  }

  has(digest: string): boolean {
    return this.#holders.has(digest);
  }

  /** For a node that is about to get the blob. `random` in [0, 1): of many places each asker is told some. */
  locate(node: string, digest: string, now: number, random: () => number): Places {
    const seekers = this.#seekers.get(digest) ?? new Map<string, number>();
    this.#seekers.set(digest, seekers.set(node, now));
    for (const [seeker, at] of seekers) if (now - at > seekingMs) seekers.delete(seeker);
    const holders = this.#holders.get(digest);
    return {
      holders: some([...(holders?.keys() ?? [])].filter((each) => each !== node), random),
      seekers: some([...seekers.keys()].filter((each) => each !== node && holders?.has(each) !== true), random),
      first: seekers.keys().next().value === node,
    };
  }

  #count(digest: string, node: string, by: 1 | -1): void {
    const nodes = this.#holders.get(digest) ?? new Map<string, number>();
    const count = (nodes.get(node) ?? 0) + by;
    if (count > 0) nodes.set(node, count);
    else nodes.delete(node);
    if (nodes.size > 0) this.#holders.set(digest, nodes);
    else {
      this.#holders.delete(digest);
      this.#forget(digest);
    }
    if (count > 0) this.#arrived(digest, node);
  }

  /** Who has it seeks it no more. */
  #arrived(digest: string, node: string): void {
    const seekers = this.#seekers.get(digest);
    if (seekers?.delete(node) && seekers.size === 0) this.#seekers.delete(digest);
  }

  #know(diffId: string, { mediaType, digest, size }: BlobDescriptor): void {
    const known = this.#layers.get(diffId) ?? new Map<string, BlobDescriptor>();
    this.#layers.set(diffId, known.set(digest, { mediaType, digest, size }));
    this.#diffOf.set(digest, diffId);
  }

  #forget(digest: string): void {
    const diffId = this.#diffOf.get(digest);
    if (diffId === undefined) return;
    const known = this.#layers.get(diffId);
    this.#diffOf.delete(digest);
    if (known?.delete(digest) && known.size === 0) this.#layers.delete(diffId);
  }
}

/** Each once: an image may have the same layer twice. */
function blobsOf(image: HeldImage): ReadonlySet<string> {
  return new Set([...image.documents, ...image.layers.filter(({ here }) => here).map(({ digest }) => digest)]);
}

/** A random part of it in random order. */
function some(nodes: string[], random: () => number): readonly string[] {
  for (let at = nodes.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    [nodes[at], nodes[other]] = [nodes[other] as string, nodes[at] as string];
  }
  return nodes.slice(0, mostPlaces);
}
