/** What all stages of one load share. */
import type { Diagnostics } from '../diagnostics.ts';
import type { Variables } from '../interpolate/tree.ts';
import type { Limits } from '../parse/limits.ts';
import { Source } from '../parse/source.ts';
import type { Mark } from '../parse/tree.ts';
import type { Path } from '../path.ts';

export interface Session {
  readonly sink: Diagnostics;
  readonly limits: Limits;
  readonly workingDir: string;
  readonly home: string | undefined;
  readonly readFile: (path: string) => string | Uint8Array | null;
  /** Shared by all merges, so that many cheap ones are not free. */
  readonly budget: { left: number };
  readonly filesRead: { count: number };
  /** Whether any file has tags for merging: without them there is nothing to settle. */
  readonly marks: { tags: boolean };
  /** Files that were read with variables of their own, by `include`. */
  readonly lookups: Map<Source, (name: string) => string | undefined>;
}

/** The variables and directory that a file is read with. */
export interface FileContext {
  readonly session: Session;
  readonly variables: Variables;
  readonly baseDir: string;
  /** Absolute paths of the files whose `include` led here, outermost first. */
  readonly chain: readonly string[];
}

/** The variable as the file that it stands in sees it. */
export function lookupAt({ lookups }: Session, { source }: Mark, outer: (name: string) => string | undefined): (name: string) => string | undefined {
  return lookups.get(source) ?? outer;
}

/** A file that the stack names; null when it is absent or cannot be read, and then the sink knows (unless `optional`). */
export function readText(session: Session, path: string, at: Mark, where: Path | null, optional = false): Source | null {
  const content = readBytes(session, path, at, where, optional);
  if (content === null) return null;
  if (typeof content === 'string') return new Source(displayPath(session, path), content);
  try {
    return new Source(displayPath(session, path), new TextDecoder('utf-8', { fatal: true }).decode(content));
  } catch {
    session.sink.error(at, where, `${displayPath(session, path)} is not UTF-8 text`);
    return null;
  }
}

export function readBytes(session: Session, path: string, at: Mark, where: Path | null, optional = false): string | Uint8Array | null {
  let content: string | Uint8Array | null;
  try {
    content = session.readFile(path);
  } catch (error) {
    session.sink.error(at, where, error instanceof Error ? error.message : `cannot read ${path}`);
    return null;
  }
  if (content === null && !optional) session.sink.error(at, where, `there is no file ${displayPath(session, path)}`);
  return content;
}

/** As people would type it: relative to the working directory when it is below. */
export function displayPath(session: Session, path: string): string {
  return path.startsWith(`${session.workingDir}/`) ? path.slice(session.workingDir.length + 1) : path;
}
