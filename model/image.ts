/** Images as nodes have them: what agents tell the masters, and what masters tell of it. In memory only: it follows from the hosts. */

/** A blob by its digest (`sha256:<hex>`), with what it is and its size in bytes. */
export interface BlobDescriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** An image that a node has under at least one name. */
export interface HeldImage {
  /** What its names point at: a manifest, or an index of several. */
  readonly target: BlobDescriptor;
  readonly names: readonly ImageName[];
  /** The configuration's digest: the image's id, as Docker has it. */
  readonly config: string;
  /** Of configuration and layers, as they are stored. */
  readonly size: number;
  /** Digests of index, manifest and configuration, as far as they are here. */
  readonly documents: readonly string[];
  readonly layers: readonly HeldLayer[];
}

export interface ImageName {
  /** Normalised; a digest when it has no name. */
  readonly name: string;
  /** When somebody gave it this name: a pull, a load or a push, not a copy from another node. Milliseconds since the epoch. */
  readonly since: number;
  /** How it came by it; absent when nobody took note. */
  readonly from?: 'archive' | 'registry';
}

export interface HeldLayer extends BlobDescriptor {
  /** Digest of the layer unpacked: the same for every compression of it. */
  readonly diffId: string;
  /** The blob itself is here. What is unpacked needs none. */
  readonly here: boolean;
}

/** What the cluster knows by a name. */
export interface NamedImage extends Pick<ImageName, 'since' | 'from'> {
  readonly target: BlobDescriptor;
}
