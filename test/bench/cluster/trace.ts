/**
 * What happens inside a cluster, seen from outside: every change of etcd as it is told, and every event of a host's containerd. Times are
 * milliseconds since the epoch, with fractions.
 */
import { join } from 'node:path';
import { ContainerdClient } from '../../../agent/runtime/client.ts';
import { readCredentials } from '../../../lib/pki/credentials.ts';
import { loadPorts } from '../../../master/store/daemon/ports.ts';
import { EtcdStore } from '../../../master/store/etcd.ts';
import type { Change } from '../../../master/store/port.ts';
import { type Envelope, EventsService } from '../../../proto/gen/containerd/events.ts';

export function now(): number {
  return performance.timeOrigin + performance.now();
}

export type Traced = Change & { readonly at: number };

export class StoreTrace {
  readonly store: EtcdStore;
  changes: Traced[] = [];

  private constructor(store: EtcdStore) {
    this.store = store;
  }

  static async open(stateDir: string, signal: AbortSignal): Promise<StoreTrace> {
    const etcd = join(stateDir, 'master/etcd');
    const [ports, tls] = await Promise.all([loadPorts(join(etcd, 'ports.json')), readCredentials(join(etcd, 'tls'))]);
    if (!ports || !tls) throw new Error(`no etcd in ${etcd}`);
    const trace = new StoreTrace(new EtcdStore({ endpoints: [`https://127.0.0.1:${ports.client}`], tls }));
    await new Promise<void>((resolve) => trace.store.watch(['stacks', 'services', 'pods', 'podstatus'], {
      changes: (changes) => {
        const at = now();
        for (const change of changes) trace.changes.push({ ...change, at });
        resolve();
      },
    }, signal));
    return trace;
  }

  clear(): void {
    this.changes = [];
  }

  /** Time of the first change that fits; NaN when there was none. */
  first(fits: (change: Traced) => boolean): number {
    return this.changes.find(fits)?.at ?? Number.NaN;
  }
}

export interface ContainerdEvent {
  readonly topic: string;
  /** By containerd's clock, which is ours. */
  readonly at: number;
}

/** Events of one host's containerd until the signal fires. */
export function traceContainerd(socket: string, signal: AbortSignal): ContainerdEvent[] {
  const events: ContainerdEvent[] = [];
  const client = new ContainerdClient({ socket });
  const stream = client.stream(EventsService.subscribe, { filters: [] });
  stream.on('error', () => {});
  stream.on('data', ({ topic, timestamp }: Envelope) => {
    if (timestamp) events.push({ topic, at: Number(timestamp.seconds) * 1000 + timestamp.nanos / 1e6 });
  });
  signal.addEventListener('abort', () => {
    stream.cancel();
    client.close();
  }, { once: true });
  return events;
}
