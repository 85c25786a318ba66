/** Which file the long-lived programs are run from, and how. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The command line as Node is to be given it. */
export interface ProgramFile {
  /** Of the whole of tsorch. */
  readonly main: string;
  /** Of a local cluster's supervisor. */
  readonly supervisor: string;
}

const here = fileURLToPath(import.meta.url);
const sources: ProgramFile = { main: join(here, '../../../cli/main.ts'), supervisor: join(here, '../../local/supervisor.ts') };

/**
 * The compiled copy, made now when the sources have changed; the sources themselves when TSORCH_SOURCE is set or no copy can be
 * made, which is slower and nothing else. A program keeps the file it was started from, also when it is started again.
 */
export async function programFile(env: NodeJS.ProcessEnv = process.env): Promise<ProgramFile> {
  if (!here.endsWith('.ts')) return compiled(dirname(here));
  if (env['TSORCH_SOURCE']) return sources;
  try {
    const { build } = await import('./build.ts');
    const { directory } = await build();
    return compiled(join(directory, 'cli'));
  } catch {
    return sources;
  }
}

function compiled(directory: string): ProgramFile {
  return { main: join(directory, 'main.js'), supervisor: join(directory, 'supervisor.js') };
}

const semiSpaceMiB = { master: 8, host: 4, supervisor: 1 } as const;

/**
 * Flags for Node in programs that run for months on hosts which belong to others. The space for new objects grows to 3 × 16 MiB
 * otherwise. With 1 MiB a burst of fifty pods costs a host an eighth of its time in collecting garbage, with 8 a thirteenth; what it
 * grows to is given back when it is quiet again (`cli/programs/settle.ts`). `bin/tsorch` says the same.
 */
export function nodeFlags(program: keyof typeof semiSpaceMiB): readonly string[] {
  return ['--disable-warning=ExperimentalWarning', '--expose-gc', `--max-semi-space-size=${semiSpaceMiB[program]}`];
}

/** The C library's: otherwise each of Node's threads keeps a heap of its own. */
export const nodeEnv: Readonly<Record<string, string>> = { MALLOC_ARENA_MAX: '2' };
