/** What goes into the loader and what comes out. */
import type { Position } from '../errors.ts';
import type { StackSpec } from '../spec.ts';
import type { ComposeModel } from './gen/compose.ts';
import type { Limits } from './parse/limits.ts';

export interface TextFile {
  readonly path: string;
  readonly content: string;
}

export interface LoadInput {
  /** The stack files, in the order of `-f`: later ones override earlier ones. */
  readonly files: readonly TextFile[];
  /** `-p`; wins over every other source of the name. */
  readonly projectName?: string;
  /** The stack's name when nothing else says one; absent: the directory's. */
  readonly defaultName?: string;
  /** Variables of the calling process; they win over `envFiles`. */
  readonly env: Readonly<Record<string, string>>;
  /** `--env-file`s, or the `.env` beside the first file; later ones win. */
  readonly envFiles?: readonly TextFile[];
  /** `--profile`; absent: the variable COMPOSE_PROFILES. `*` is all. */
  readonly profiles?: readonly string[];
  /** Absolute. Relative paths in `files` start here. */
  readonly workingDir: string;
  /**
   * Reads a file that the stack names (`env_file`, `include`, `extends`, secrets, configs), by absolute path, all at once.
   * Bytes are taken as they are; null says that there is no such file.
   */
  readonly readFile: (path: string) => string | Uint8Array | null;
  /** What a hostile file may cost; see `defaultLimits`. */
  readonly limits?: Partial<Limits>;
}

export type LoadResult =
  | { readonly ok: true; readonly stack: StackSpec; readonly compose: ComposeModel; readonly warnings: readonly Diagnostic[] }
  /** Every error there is, in the order of the files, warnings among them. */
  | { readonly ok: false; readonly errors: readonly Diagnostic[] };

export interface Diagnostic {
  readonly severity: 'error' | 'warning';
  readonly message: string;
  readonly at: Position;
  /** `services.web.ports[1]`; empty for the whole file. */
  readonly path: string;
  /** What the reader can do about it. */
  readonly hint?: string;
  /** The line of the file that `at` points into. */
  readonly excerpt?: string;
}

export type Json = string | number | boolean | null | readonly Json[] | JsonObject;

export interface JsonObject {
  readonly [key: string]: Json;
}

export type { ComposeModel } from './gen/compose.ts';
