/** A proxy in a process of its own. Usage: proxy.ts <JSON of Settings>. Prints `applied <revision>` lines. */
import { credentials } from '@grpc/grpc-js';
import { systemClock } from '../../../../lib/clock.ts';
import { createLog } from '../../../../lib/log.ts';
import { grpcTables, runProxy } from '../../../../proxy/main.ts';

export interface Settings {
  readonly nodeId: string;
  /** `unix:/…` */
  readonly master: string;
  readonly cgroupRoot: string;
  readonly bpfDir: string;
  readonly stateDir: string;
  readonly resolvers: readonly string[];
  readonly mode: 'ebpf' | 'nftables';
}

const { master, ...settings } = JSON.parse(process.argv[2] ?? '{}') as Settings;
const stop = new AbortController();
process.on('SIGTERM', () => stop.abort());
await runProxy({
  ...settings,
  connect: () => grpcTables({ address: master, credentials: credentials.createInsecure() }),
  dnsAddress: '169.254.1.1',
  clock: systemClock,
  log: createLog(`proxy ${settings.nodeId}`, 'debug'),
  signal: stop.signal,
  onApplied: (revision) => process.stdout.write(`applied ${revision}\n`),
});
