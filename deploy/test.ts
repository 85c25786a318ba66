/**
 * `npm test`: every test there is. Ports on the real thing are tested beside the units: they wait more than they compute. Clusters of real hosts
 * come last, alone, one file after the other: where hosts have to wait for the processor they count as down. Arguments go to vitest, which then
 * runs what they say (`npm test -- --project unit`). The last line is `N passed, N failed`; the exit code says the same.
 */
import { countTests, type TestCount } from './test-count.ts';
import { runVitest } from './test-run.ts';

/** A run of vitest by its arguments; `name` stands before each line, where several run side by side. */
interface Lane {
  readonly name: string | null;
  readonly args: readonly string[];
}

const given = process.argv.slice(2);
const turns: readonly (readonly Lane[])[] = given.length > 0 ? [[{ name: null, args: given }]] : [
  [{ name: 'contract', args: ['--project', 'contract'] }, { name: 'unit', args: ['--project', 'unit'] }],
  [{ name: null, args: ['--project', 'cluster'] }],
];
const counts: TestCount[] = [];
// What runs is told by `runVitest`; nothing new begins.
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    interrupted = true;
  });
}
for (const turn of turns) {
  if (interrupted) break;
  await Promise.all(turn.map(async ({ name, args }) => {
    const { report, code } = await runVitest(args, name);
    counts.push(countTests(report, code));
  }));
}
const sum = (what: keyof TestCount) => counts.reduce((total, count) => total + count[what], 0);
if (sum('skipped') > 0) process.stdout.write(`${sum('skipped')} skipped\n`);
process.stdout.write(`${sum('passed')} passed, ${sum('failed')} failed\n`);
process.exit(sum('failed') > 0 || interrupted ? 1 : 0);
