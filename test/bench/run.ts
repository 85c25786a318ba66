/**
 * Runs the benchmarks one after another: all of them, or those that are named; what follows `--` goes to each.
 *
 *     npm run bench [name…] [-- argument…]
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';

const known = readdirSync(import.meta.dirname).filter((file) => file.endsWith('.ts') && file !== basename(import.meta.filename)).map((file) => file.slice(0, -'.ts'.length)).toSorted();
const given = process.argv.slice(2);
const end = given.findIndex((arg) => arg.startsWith('-'));
const named = end < 0 ? given : given.slice(0, end);
const rest = end < 0 ? [] : given.slice(given[end] === '--' ? end + 1 : end);
const unknown = named.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`there is no bench ${unknown.join(', ')}; known: ${known.join(', ')}\n`);
  process.exit(2);
}
if (process.getuid?.() !== 0) process.stderr.write('not root: the benches that need the kernel will fail\n');

const failed: string[] = [];
for (const name of named.length > 0 ? named : known) {
  process.stdout.write(`\n# ${name}\n`);
  const { status } = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, `${name}.ts`), ...rest], { stdio: 'inherit' });
  if (status !== 0) failed.push(name);
}
if (failed.length > 0) {
  process.stderr.write(`failed: ${failed.join(', ')}\n`);
  process.exit(1);
}
