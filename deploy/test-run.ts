/** Runs vitest, alone or beside another, and reads what it reports. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { VitestReport } from './test-count.ts';

const root = resolve(import.meta.dirname, '..');

/** `beside`: the word before each line of its output when another runs at the same time; null for a run that has the terminal. */
export async function runVitest(args: readonly string[], beside: string | null): Promise<{ readonly report: VitestReport | null; readonly code: number }> {
  const directory = mkdtempSync(join(tmpdir(), 'tsorch-test-'));
  const file = join(directory, 'report.json');
  try {
    const code = await run([join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${file}`, ...args], beside);
    return { report: read(file), code };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function run(argv: readonly string[], beside: string | null): Promise<number> {
  // The tests run the pinned Node too: it comes first on the path.
  const path = `${join(root, 'node_modules/.bin')}:${process.env['PATH'] ?? ''}`;
  const colours = beside !== null && process.stdout.isTTY ? { FORCE_COLOR: '1' } : {};
  const child = spawn(process.execPath, argv, { cwd: root, stdio: beside === null ? 'inherit' : ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...colours, PATH: path } });
  if (child.stdout) forward(child.stdout, process.stdout, `${beside} | `);
  if (child.stderr) forward(child.stderr, process.stderr, `${beside} | `);
  const pass = (signal: NodeJS.Signals) => void child.kill(signal);
  process.on('SIGINT', pass).on('SIGTERM', pass);
  return new Promise<number>((done) => {
    child.once('error', () => done(1));
    child.once('close', (status) => done(status ?? 1));
  }).finally(() => process.off('SIGINT', pass).off('SIGTERM', pass));
}

/** Whole lines, so that those of two runs do not meet in one. */
function forward(from: Readable, to: NodeJS.WritableStream, prefix: string): void {
  createInterface({ input: from }).on('line', (line) => to.write(`${prefix}${line}\n`));
}

function read(path: string): VitestReport | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as VitestReport;
  } catch {
    return null;
  }
}
