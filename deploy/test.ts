/**
 * `npm test`: every test there is. Ports on the real thing are tested beside the units and the clusters of real hosts: they wait more than
 * they compute, and in each lane one file follows the other. What keeps all cores busy by itself comes last, alone: where hosts have to
 * wait for the processor they count as down. Arguments go to vitest, which then runs what they say (`npm test -- --project unit`). The
 * last line is `N passed, N failed`; the exit code says the same.
 */
import { countTests, type TestCount } from './test-count.ts';
import { runVitest } from './test-run.ts';

const busy = 'test/cluster/keys.test.ts';
/** Of runs of vitest, by their arguments, one after the other; `name` stands before each line, where there are several lanes. */
interface Lane {
  readonly name: string | null;
  readonly runs: readonly (readonly string[])[];
}

const given = process.argv.slice(2);
const turns: readonly (readonly Lane[])[] = given.length > 0 ? [[{ name: null, runs: [given] }]] : [
  [{ name: 'contract', runs: [['--project', 'contract']] }, { name: 'unit+cluster', runs: [['--project', 'unit'], ['--project', 'cluster', '--exclude', busy]] }],
  [{ name: null, runs: [['--project', 'cluster', busy]] }],
];
const counts: TestCount[] = [];
for (const turn of turns) {
  await Promise.all(turn.map(async ({ name, runs }) => {
    for (const args of runs) {
      const { report, code } = await runVitest(args, name);
      counts.push(countTests(report, code));
    }
  }));
}
const sum = (what: keyof TestCount) => counts.reduce((total, count) => total + count[what], 0);
if (sum('skipped') > 0) process.stdout.write(`${sum('skipped')} skipped\n`);
process.stdout.write(`${sum('passed')} passed, ${sum('failed')} failed\n`);
process.exit(sum('failed') > 0 ? 1 : 0);
