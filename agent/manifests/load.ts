/** Stack files from disk → specs, and which files that took: they are loaded again when one of these has changed. */
import fs from 'node:fs';
import { TsorchError } from '../../model/errors.ts';
import type { StackSpec } from '../../model/spec.ts';
import type { LoadInput, TextFile } from '../../model/stack/types.ts';
import { splitStacks } from './plan/documents.ts';
import type { ManifestEntry } from './plan/types.ts';
import type { Unit } from './plan/units.ts';

/** A larger one is no stack file, and is not read. */
const mostBytes = 10 * 1024 * 1024;

/** What a path was when it was read; null when there was nothing. */
export type Fingerprint = string | null;

export interface LoadedUnit {
  readonly entry: ManifestEntry;
  /** By path: all that was read, and what was looked for in vain. */
  readonly read: ReadonlyMap<string, Fingerprint>;
}

/** `env`: variables that the files may use besides those of their `.env`. */
export async function loadUnit(unit: Unit, env: Readonly<Record<string, string>>): Promise<LoadedUnit> {
  const read = new Map<string, Fingerprint>();
  const text = (path: string): TextFile | null => {
    const content = readNoting(path, read);
    return content && { path, content: new TextDecoder().decode(content) };
  };
  try {
    const files = unit.files.flatMap((path) => text(path) ?? []);
    const dotenv = text(`${unit.directory}/.env`);
    const common = {
      env, workingDir: unit.directory, defaultName: unit.defaultName, readFile: (path: string) => readNoting(path, read), ...(dotenv ? { envFiles: [dotenv] } : {}),
    };
    return { entry: await loadTexts(unit.origin, files, common), read };
  } catch (error) {
    return { entry: { origin: unit.origin, problem: `${unit.origin}: ${error instanceof Error ? error.message : String(error)}` }, read };
  }
}

/** The stacks of one file with its override, or of one answer. */
export async function loadTexts(origin: string, files: readonly TextFile[], common: Omit<LoadInput, 'files'>): Promise<ManifestEntry> {
  // Hosts without manifests never pay for the loader.
  const { loadStack, formatDiagnostic } = await import('../../model/stack/load.ts');
  const [main, ...overrides] = files;
  if (!main) return { origin, problem: `${origin}: there is no such file` };
  const parts = splitStacks(main.content);
  if (parts.length > 1 && overrides.length > 0) return { origin, problem: `${overrides[0]?.path ?? origin}: it cannot override ${origin}, which holds ${parts.length} stacks` };
  const specs: StackSpec[] = [];
  const lines: string[] = [];
  let failed = false;
  for (const content of parts) {
    const result = loadStack({ ...common, files: [{ path: main.path, content }, ...overrides] });
    // The first line of each says where and what; logs have no room for excerpts.
    lines.push(...(result.ok ? result.warnings : result.errors).map((diagnostic) => formatDiagnostic(diagnostic).split('\n')[0] ?? ''));
    if (result.ok) specs.push(result.stack);
    else failed = true;
  }
  return failed ? { origin, problem: lines.filter((line) => / error: /.test(line)).join('\n') } : { origin, specs, warnings: lines };
}

export function fingerprintOf(path: string): Fingerprint {
  try {
    const found = fs.statSync(path, { bigint: true, throwIfNoEntry: false });
    return found ? `${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}` : null;
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

/** Looked at before it is read: what changes meanwhile is read again. */
function readNoting(path: string, read: Map<string, Fingerprint>): Uint8Array | null {
  try {
    read.set(path, fingerprintOf(path));
    const size = fs.statSync(path, { throwIfNoEntry: false })?.size;
    if (size === undefined) return null;
    if (size > mostBytes) throw new TsorchError('invalid', `${path} has ${size} bytes, more than ${mostBytes}, the limit`);
    return fs.readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    if (error instanceof TsorchError) throw error;
    throw new TsorchError('invalid', code === 'EISDIR' ? `${path} is a directory` : `cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
}
