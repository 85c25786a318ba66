/**
 * `npm test`: every test there is, unit first, then ports on the real thing, then clusters of real hosts. Arguments go to vitest
 * (`npm test -- --project unit`). The last line is `N passed, N failed`; the exit code says the same.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { countTests, type VitestReport } from './test-count.ts';

const root = resolve(import.meta.dirname, '..');
const directory = mkdtempSync(join(tmpdir(), 'tsorch-test-'));
const report = join(directory, 'report.json');
const given = process.argv.slice(2);
const projects = given.some((word) => word.startsWith('--project')) ? [] : ['unit', 'contract', 'cluster'].flatMap((project) => ['--project', project]);
const argv = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...projects, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...given];

const code = await new Promise<number>((done) => {
  // The tests run the pinned Node too: it comes first on the path.
  const path = `${join(root, 'node_modules/.bin')}:${process.env['PATH'] ?? ''}`;
  const child = spawn(process.execPath, argv, { cwd: root, stdio: 'inherit', env: { ...process.env, PATH: path } });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  child.once('error', () => done(1));
  child.once('exit', (status) => done(status ?? 1));
});
const { passed, failed, skipped } = countTests(read(report), code);
rmSync(directory, { recursive: true, force: true });
if (skipped > 0) process.stdout.write(`${skipped} skipped\n`);
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exit(failed > 0 || code !== 0 ? 1 : 0);

function read(path: string): VitestReport | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as VitestReport;
  } catch {
    return null;
  }
}
