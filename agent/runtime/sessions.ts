/** Processes of one session within a container: what an exec started, and what that started in turn. */
import { readFile } from 'node:fs/promises';
import { hasErrno } from '../../lib/linux/libc.ts';
import { cgroupProcesses } from './cgroup.ts';
import type { RuntimeContext } from './context.ts';

/** null when there is no such process any more. */
export async function sessionOf(pid: number): Promise<number | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  if (stat === null) return null;
  // The name, in parentheses, may contain anything; after it: state, parent, group, session.
  const session = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]);
  return session > 0 ? session : null;
}

/** Signals every process of the session that is in the container's cgroup. Returns how many there were. */
export async function signalSession(context: RuntimeContext, cgroup: string, session: number, signal: number): Promise<number> {
  let count = 0;
  for (const pid of await cgroupProcesses(context.layout, cgroup)) {
    if ((await sessionOf(pid)) !== session) continue;
    try {
      process.kill(pid, signal);
      count++;
    } catch (error) {
      if (!hasErrno(error, 'ESRCH')) throw error;
    }
  }
  return count;
}
