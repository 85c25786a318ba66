/** The supervisor's process: `node supervisor.ts RUN_DIR LOG`. SIGHUP reads processes.json again, SIGTERM ends it alone. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../lib/clock.ts';
import { createLog } from '../../lib/log.ts';
import { boundLog } from './log-file.ts';
import { takeLock } from './lock.ts';
import { processOf } from './process.ts';
import { supervise } from './supervise.ts';

const [runDir, logFile] = process.argv.slice(2);
if (!runDir || !logFile) {
  process.stderr.write('usage: supervisor.ts RUN_DIR LOG\n');
  process.exit(2);
}
const stop = new AbortController();
let reload: (() => void) | undefined;
let early = false;
process.on('SIGTERM', () => stop.abort());
process.on('SIGINT', () => stop.abort());
process.on('SIGHUP', () => {
  if (reload) reload();
  else early = true;
});

// Two supervisors would start everything twice.
await takeLock(`supervisor${runDir}`, stop.signal).catch(() => process.exit(0));
mkdirSync(runDir, { recursive: true });
const self = await processOf(process.pid);
writeFileSync(join(runDir, 'supervisor'), JSON.stringify(self), { mode: 0o600 });
const log = createLog('supervisor');
const timer = setInterval(() => boundLog(logFile), 5000);
await supervise({
  runDir,
  clock: systemClock,
  log,
  signal: stop.signal,
  onReload: (ask) => {
    reload = ask;
    if (early) ask();
  },
});
clearInterval(timer);
process.exit(0);
