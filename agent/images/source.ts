/**
 * Where a pull gets an image from: a registry, its mirrors, or other nodes that have it. A pull asks one source after the other, for
 * every document and blob anew, so one may have the manifest and another the layers. What it gets is checked against its digest by the
 * pull; a source need not be trusted.
 */
import type { RegistryCredentials } from '../../lib/oci/credentials.ts';
import type { Descriptor } from '../../lib/oci/manifest.ts';
import type { ImageReference } from '../../lib/oci/reference.ts';
import type { ImageName } from '../../model/image.ts';

export interface BlobSource {
  /** For people: `registry.example.com`, `node-2`. */
  readonly name: string;
  /** The registry itself: when it has not got something, there is no such thing. */
  readonly decides: boolean;
  /**
   * The manifest or index that the reference names: that of its digest where it has one, else of its tag. A source that cannot tell what
   * a tag means says `not-found` to it. `forbidden` and `unauthenticated` when it would with other credentials, `unavailable` when it
   * cannot be reached now.
   */
  manifest(reference: ImageReference, signal: AbortSignal): Promise<SourceDocument>;
  /** The blob's bytes from `offset` on (0 to its size), and no more of them than asked for. Errors as above, also in the middle of it. */
  blob(reference: ImageReference, descriptor: Descriptor, offset: number, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
}

export interface SourceDocument {
  readonly mediaType: string;
  /** Its bytes as they are, at most 4 MiB of them: they are what the digest is of. */
  readonly data: Buffer;
  /** When and how it got the tag that it was asked by, where the source knows: a copy keeps it. */
  readonly arrival?: Pick<ImageName, 'since' | 'from'>;
}

/** Who knows sources. Asked at the beginning of each pull; all answers together are tried in the order given. */
export interface BlobSources {
  /** Empty when there is none for this image. Takes no time to speak of: a source that must be looked for is looked for when it is asked. */
  for(reference: ImageReference, context: PullContext): Promise<readonly BlobSource[]>;
}

export interface PullContext {
  /** For the image's registry; null is anonymous. */
  readonly credentials: RegistryCredentials | null;
  /** The registry is to say what the tag means, and nobody else. */
  readonly fresh: boolean;
  /** Fires when the pull is over, one way or the other. */
  readonly over: AbortSignal;
}
