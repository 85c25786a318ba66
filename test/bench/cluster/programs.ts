/** The programs of a local cluster, by what they are. */
import { readFileSync } from 'node:fs';
import { processesOf } from '../../cluster/lib/processes.ts';
import type { Lab } from './lab.ts';

export function programs(lab: Lab): Map<string, readonly number[]> {
  const all = processesOf(lab.cluster, 'all');
  const result = new Map<string, readonly number[]>([
    ['master', processesOf(lab.cluster, 'master')], ['etcd', processesOf(lab.cluster, 'etcd')], ['supervisor', processesOf(lab.cluster, 'supervisor')],
  ]);
  for (const index of [1, 2, 3]) {
    result.set(`host-${index}`, all.filter((pid) => new RegExp(`/cli/main\\.[jt]s host .*--name node-${index} `).test(commandOf(pid))));
    result.set(`containerd-${index}`, processesOf(lab.cluster, `containerd-${index}`));
  }
  result.set('shims of node-1', processesOf(lab.cluster, 'host-1').filter((pid) => commandOf(pid).includes('containerd-shim')));
  return result;
}

/** Empty when it has gone. */
function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}
