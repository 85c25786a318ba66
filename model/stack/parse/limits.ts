/** What one load may cost. Errors name the limit, so that whoever needs more knows what to raise. */
export interface Limits {
  /** Of one file. More than `maxFileBytes` cannot be asked for. */
  readonly fileBytes: number;
  /** Of one secret's or config's content; a pod carries it whole. */
  readonly objectBytes: number;
  /** Mappings and lists inside one another. */
  readonly depth: number;
  /** `*alias` in one file. */
  readonly aliases: number;
  /** Values in one file, every alias counted as what it stands for. */
  readonly nodes: number;
  /** Values in a file that needs the full YAML parser (anchors, tags, mistakes): it takes more than a kilobyte for each. */
  readonly parsed: number;
  /** YAML documents in one file. */
  readonly documents: number;
  /** Characters that interpolation may make, in all. */
  readonly interpolated: number;
  /** Files read by `include` and `extends`, in all. */
  readonly files: number;
  /** Errors and warnings that are kept. */
  readonly diagnostics: number;
}

export const maxFileBytes = 10 * 1024 * 1024;

export const defaultLimits: Limits = {
  fileBytes: 1024 * 1024,
  objectBytes: 500 * 1024,
  depth: 64,
  aliases: 1000,
  nodes: 500_000,
  parsed: 100_000,
  documents: 100,
  interpolated: 10 * 1024 * 1024,
  files: 100,
  diagnostics: 200,
};
