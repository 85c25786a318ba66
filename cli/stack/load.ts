/** Stack files from disk through the loader: what apply, plan and config have in common. */
import { readFileSync } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { TsorchError } from '../../model/errors.ts';
import { formatDiagnostic } from '../../model/stack/format.ts';
import type { ComposeModel, Diagnostic, TextFile } from '../../model/stack/types.ts';
import type { StackSpec } from '../../model/spec.ts';
import { collect } from '../commands/command.ts';
import { exitCode, ExitError } from '../exit.ts';
import { note, wantsColor, type Io } from '../io.ts';
import { painter, plain } from '../output/color.ts';

export interface StackOptions {
  readonly file?: readonly string[];
  readonly projectName?: string;
  readonly profile?: readonly string[];
  readonly envFile?: readonly string[];
}

export interface LoadedStack {
  readonly stack: StackSpec;
  readonly compose: ComposeModel;
}

export function addStackOptions(to: Command): Command {
  return to
    .option('-f, --file <file>', 'a stack file, later ones override earlier ones; - reads standard input (default compose.yaml, stack.yml, …)', collect)
    .option('-p, --project-name <name>', 'the stack\'s name')
    .option('--profile <profile>', 'switch a profile on; may be repeated', collect)
    .option('--env-file <file>', 'variables for the stack file (default .env beside it); may be repeated', collect);
}

/** Loads and prints warnings; errors, every one with its place, end the command with 3. */
export async function loadStackFiles(io: Io, options: StackOptions): Promise<LoadedStack> {
  const paths = options.file ?? (await defaultFiles(io));
  const files: TextFile[] = [];
  for (const path of paths) files.push(path === '-' ? { path: '<stdin>', content: await readAll(io) } : await readText(io, path));
  const first = paths[0] ?? '-';
  const workingDir = first === '-' ? io.cwd : dirname(resolve(io.cwd, first));
  // Only commands that read stacks pay for the loader.
  const { loadStack } = await import('../../model/stack/load.ts');
  const result = loadStack({
    files,
    env: Object.fromEntries(Object.entries(io.env).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]]))),
    envFiles: await envFiles(io, options, workingDir),
    workingDir,
    readFile: readReferenced,
    ...(options.projectName === undefined ? {} : { projectName: options.projectName }),
    ...(options.profile === undefined ? {} : { profiles: options.profile }),
  });
  const diagnostics = result.ok ? result.warnings : result.errors;
  for (const diagnostic of diagnostics) note(io, describeDiagnostic(io, diagnostic));
  if (!result.ok) throw new ExitError(exitCode.invalid);
  return result;
}

/** `file:line:column: error: path: message; hint`, which editors understand; on a terminal with the line and a caret. */
function describeDiagnostic(io: Io, diagnostic: Diagnostic): string {
  const paint = painter(wantsColor(io, io.stderr));
  const oneLine = (text: string) => plain(text).replace(/\s*\n\s*/g, '; ');
  const { severity, message, hint } = diagnostic;
  const [head = '', ...excerpt] = formatDiagnostic({ ...diagnostic, message: oneLine(message), ...(hint === undefined ? {} : { hint: oneLine(hint) }) }).split('\n');
  const painted = head.replace(/^(.*?:\d+:\d+:) (?:error|warning):/, (_, place: string) => `${paint('bold', place)} ${paint(severity === 'error' ? 'red' : 'yellow', `${severity}:`)}`);
  return [painted, ...(io.stderr.isTTY === true ? excerpt : [])].join('\n');
}

async function readText(io: Io, path: string): Promise<TextFile> {
  try {
    return { path, content: await readFile(resolve(io.cwd, path), 'utf8') };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new TsorchError('not-found', `no file ${path}`, { cause: error });
    throw new TsorchError('invalid', code === 'EISDIR' ? `${path} is a directory` : `cannot read ${path}: ${message}`, { cause: error });
  }
}

async function readAll(io: Io): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of io.stdin) chunks.push(Buffer.from(chunk as Buffer | string));
  return Buffer.concat(chunks).toString('utf8');
}

/** COMPOSE_FILE, or the first of the usual names, with its override file. */
async function defaultFiles(io: Io): Promise<readonly string[]> {
  const named = io.env['COMPOSE_FILE'];
  if (named) return named.split(io.env['COMPOSE_PATH_SEPARATOR'] || ':').filter(Boolean);
  const usual = ['compose.yaml', 'compose.yml', 'docker-compose.yaml', 'docker-compose.yml', 'stack.yaml', 'stack.yml'];
  for (const file of usual) {
    if (!(await exists(join(io.cwd, file)))) continue;
    const override = file.replace(/\.(ya?ml)$/, '.override.$1');
    return (await exists(join(io.cwd, override))) ? [file, override] : [file];
  }
  throw new TsorchError('not-found', 'no stack file here', { hint: `name one with -f; looked for ${usual.join(', ')}` });
}

async function envFiles(io: Io, options: StackOptions, workingDir: string): Promise<readonly TextFile[]> {
  if (options.envFile) return Promise.all(options.envFile.map((path) => readText(io, path)));
  const path = join(workingDir, '.env');
  return (await exists(path)) ? [await readText(io, path)] : [];
}

/** Files that a stack names. One that is there but cannot be read is an error, not an absence. */
function readReferenced(path: string): Uint8Array | null {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw new TsorchError('invalid', code === 'EISDIR' ? `${path} is a directory` : `cannot read ${path}: ${message}`, { cause: error });
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(() => true, () => false);
}
