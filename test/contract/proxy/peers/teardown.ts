/** Removes what a proxy left in this namespace. Usage: teardown.ts <bpfDir>. */
import { teardownDataPlane } from '../../../../proxy/main.ts';

teardownDataPlane({ bpfDir: process.argv[2] ?? '' });
process.stdout.write('done\n');
