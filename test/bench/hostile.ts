/**
 * What hostile stack files cost: each case of test/unit/model/stack/hostile/inputs.ts in a process with a heap of 256 MB, against the
 * limit of a second. `node test/bench/hostile.ts`; nothing else should run meanwhile.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const limitMs = 1000;

const child = spawnSync(process.execPath, ['--max-old-space-size=256', '--max-semi-space-size=8', join(import.meta.dirname, '../unit/model/stack/hostile/child.ts')], { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
if (child.status !== 0) throw new Error(child.stderr);
const lines = child.stdout.split('\n').filter(Boolean).map((text) => JSON.parse(text) as { readonly name: string; readonly ms: number }).sort((a, b) => b.ms - a.ms);
process.stdout.write(`${lines.length} hostile files, limit ${limitMs} ms each\n`);
for (const { name, ms } of lines.slice(0, 8)) process.stdout.write(`${name.padEnd(36)} ${String(ms).padStart(5)} ms of processor time, ${(ms / limitMs).toFixed(2)} of the limit\n`);
