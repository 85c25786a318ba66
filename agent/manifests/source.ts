/** Where manifests come from. `directory.ts` and `url.ts` are the real ones, `fake.ts` for tests. */
import type { SourceContent } from './plan/types.ts';

export interface ManifestSource {
  /** `directory`, or the URL; see ManifestOrigin. */
  readonly name: string;
  /** All it holds; undefined until that is known for the first time, or known to be out of reach. */
  readonly content: SourceContent | undefined;
  /** Called back whenever `content` is another. */
  onChange(listener: () => void): void;
  /** Resolves when its signal has fired and nothing is under way. */
  readonly done: Promise<void>;
}
