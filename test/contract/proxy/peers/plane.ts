/**
 * A data plane by lines of JSON: `{"apply": …}` or `{"balancers": true}` in, `{"result"}` or `{"error"}` out.
 * Usage: plane.ts ebpf|nftables <cgroup> <bpfDir>.
 */
import { createInterface } from 'node:readline';
import { systemClock } from '../../../../lib/clock.ts';
import { silentLog } from '../../../../lib/log.ts';
import type { ServiceTable } from '../../../../model/table.ts';
import { LinuxDataPlane } from '../../../../proxy/linux.ts';

type TableText = Readonly<Record<keyof ServiceTable, readonly (readonly [string, unknown])[]>>;

export function tableText(table: ServiceTable): TableText {
  return { services: [...table.services], pods: [...table.pods], nodes: [...table.nodes], networks: [...table.networks] };
}

function readTable(text: TableText): ServiceTable {
  return { services: new Map(text.services), pods: new Map(text.pods), nodes: new Map(text.nodes), networks: new Map(text.networks) } as ServiceTable;
}

if (process.argv[1] === import.meta.filename) {
  const [mode, cgroupRoot = '', bpfDir = ''] = process.argv.slice(2);
  const plane = new LinuxDataPlane({ nodeId: 'n1', mode: mode === 'nftables' ? 'nftables' : 'ebpf', cgroupRoot, bpfDir, dnsAddress: '169.254.1.1', clock: systemClock, log: silentLog });
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line) as { readonly apply?: TableText };
    let reply: unknown;
    try {
      if (request.apply) await plane.apply(readTable(request.apply));
      if (plane.mode !== mode) throw new Error(`it runs by ${plane.mode}`);
      reply = { result: request.apply ? null : [...plane.balancers()] };
    } catch (error) {
      reply = { error: String(error) };
    }
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  }
}
