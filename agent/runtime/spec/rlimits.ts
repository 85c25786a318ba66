/** Resource limits of a container's processes (ulimits). */
import { TsorchError } from '../../../model/errors.ts';
import type { OciRlimit } from './oci.ts';

/** ulimit name → its label in /proc/<pid>/limits. */
const labels: Readonly<Record<string, string>> = {
  as: 'Max address space',
  core: 'Max core file size',
  cpu: 'Max cpu time',
  data: 'Max data size',
  fsize: 'Max file size',
  locks: 'Max file locks',
  memlock: 'Max locked memory',
  msgqueue: 'Max msgqueue size',
  nice: 'Max nice priority',
  nofile: 'Max open files',
  nproc: 'Max processes',
  rss: 'Max resident set',
  rtprio: 'Max realtime priority',
  rttime: 'Max realtime timeout',
  sigpending: 'Max pending signals',
  stack: 'Max stack size',
};
const unlimited = 2n ** 64n - 1n;

/** Hard limits by ulimit name; Infinity is unlimited. */
export type HardLimits = Readonly<Record<string, number>>;

/** The hard limits in the text of /proc/<pid>/limits. */
export function parseHardLimits(text: string): HardLimits {
  const limits: Record<string, number> = {};
  for (const [name, label] of Object.entries(labels)) {
    const line = text.split('\n').find((l) => l.startsWith(label));
    const hard = line?.slice(label.length).trim().split(/\s+/)[1];
    if (hard !== undefined) limits[name] = hard === 'unlimited' ? Infinity : Number(hard);
  }
  return limits;
}

/**
 * Limits from `ulimits:` (-1 is unlimited), and a number of open files in any case, because the shim's own would be
 * inherited otherwise. What is above the host's hard limit is clamped to it, with a warning, unless the agent may raise
 * limits (CAP_SYS_RESOURCE). Open files never exceed fs.nr_open, given as `nrOpen`.
 */
export function resolveRlimits(
  ulimits: Readonly<Record<string, { readonly soft: number; readonly hard: number }>>,
  host: { readonly hardLimits: HardLimits; readonly mayRaise: boolean; readonly nrOpen: number },
): { readonly rlimits: readonly OciRlimit[]; readonly warnings: readonly string[] } {
  const warnings: string[] = [];
  const entries = Object.entries(ulimits).map(([given, { soft, hard }]) => {
    const name = given.toLowerCase().replace(/^rlimit_/, '');
    if (!(name in labels)) throw new TsorchError('invalid', `${JSON.stringify(given)} is not a ulimit`, { hint: `known are ${Object.keys(labels).join(', ')}` });
    const [wantSoft, wantHard] = [amount(soft, given), amount(hard, given)];
    if (wantSoft > wantHard) throw new TsorchError('invalid', `ulimit ${name}: the soft limit ${soft} is above the hard limit ${hard}`);
    const most = host.mayRaise ? (name === 'nofile' ? host.nrOpen : Infinity) : (host.hardLimits[name] ?? Infinity);
    if (wantHard > most) warnings.push(`ulimit ${name} is ${most} instead of ${hard === -1 ? 'unlimited' : hard}: this host allows the agent no more`);
    return rlimit(name, Math.min(wantSoft, most), Math.min(wantHard, most));
  });
  if (!entries.some((entry) => entry.type === 'RLIMIT_NOFILE')) {
    const hard = Math.min(host.hardLimits['nofile'] ?? 1024, 1 << 20);
    // Soft far below hard: some programs close every possible descriptor one by one before they start others.
    entries.push(rlimit('nofile', Math.min(hard, 1 << 16), hard));
  }
  return { rlimits: entries.sort((a, b) => (a.type < b.type ? -1 : 1)), warnings };
}

function amount(value: number, name: string): number {
  if (value === -1 || value === Infinity) return Infinity;
  if (!Number.isSafeInteger(value) || value < 0) throw new TsorchError('invalid', `ulimit ${name}: ${value} is not a whole number, or -1 for unlimited`);
  return value;
}

function rlimit(name: string, soft: number, hard: number): OciRlimit {
  const wire = (value: number) => (value === Infinity ? unlimited : value);
  return { type: `RLIMIT_${name.toUpperCase()}`, soft: wire(soft), hard: wire(hard) };
}
