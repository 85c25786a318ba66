/**
 * Where clusters are and what proves who we are: `~/.config/tsorch/context.json`, or the file TSORCH_CONFIG names. It holds
 * private keys, so it is readable by its owner alone and replaced in one step.
 */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { TsorchError } from '../../model/errors.ts';

export interface Context {
  /** `https://172.31.240.1:7443`. */
  readonly master: string;
  /** PEM texts. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface ContextFile {
  readonly current: string | null;
  readonly contexts: Readonly<Record<string, Context>>;
}

const empty: ContextFile = { current: null, contexts: {} };

export function contextPath(env: Readonly<Record<string, string | undefined>>): string {
  const named = env['TSORCH_CONFIG'];
  if (named) return named;
  return join(env['XDG_CONFIG_HOME'] || join(env['HOME'] || homedir(), '.config'), 'tsorch', 'context.json');
}

export async function readContexts(path: string): Promise<ContextFile> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return empty;
    throw new TsorchError('invalid', `cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
  try {
    const parsed = JSON.parse(text) as Partial<ContextFile>;
    return { current: parsed.current ?? null, contexts: parsed.contexts ?? {} };
  } catch (error) {
    throw new TsorchError('invalid', `${path} is not JSON`, { cause: error, hint: 'remove it and run `tsorch login` or `tsorch up` again' });
  }
}

/** Adds or replaces one context and makes it the current one. */
export async function saveContext(path: string, name: string, context: Context): Promise<void> {
  const file = await readContexts(path);
  await write(path, { current: name, contexts: { ...file.contexts, [name]: context } });
}

/** Removes one context. Whether there was one. Another never becomes the current one by itself: commands would go elsewhere unasked. */
export async function dropContext(path: string, name: string): Promise<boolean> {
  const file = await readContexts(path);
  if (!file.contexts[name]) return false;
  const contexts = Object.fromEntries(Object.entries(file.contexts).filter(([key]) => key !== name));
  await write(path, { current: file.current === name ? null : file.current, contexts });
  return true;
}

async function write(path: string, file: ContextFile): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await writeFile(temporary, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
