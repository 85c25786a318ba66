/**
 * The proxy of one host: follows the service table and keeps the kernel and the name server at it.
 *
 * ```
 * master ──► follow ──► table ──┬► merge ──► apply (loop) ──► kernel ──► acknowledge
 * agent ──► local/table.json ───┘     │             └──► names of the name server
 *                                     └──► save (loop) ──► stateDir/table.json
 * ```
 * Updates that arrive while the kernel is being changed are applied together afterwards.
 */
import { applyUpdate, emptyTable } from '../model/table.ts';
import type { ServiceTable } from '../model/table.ts';
import { describeError } from '../model/errors.ts';
import type { Clock } from '../lib/clock.ts';
import { Loop } from '../lib/loop.ts';
import type { Log } from '../lib/log.ts';
import type { DataPlane } from './dataplane.ts';
import { Names } from './dns/names.ts';
import { DnsServer } from './dns/server.ts';
import { LinuxDataPlane } from './linux.ts';
import { LocalTable } from './local.ts';
import { mergeTables } from './rules/merge.ts';
import { loadTable, saveTable } from './saved.ts';
import type { ConnectTables, TableStream } from './stream.ts';

export { grpcTables } from './stream.ts';
export { teardownDataPlane } from './linux.ts';

export interface ProxyOptions {
  readonly nodeId: string;
  /** Opens a stream of the table, see stream.ts; called again, with backoff, whenever one ends. Absent: the host stands alone. */
  readonly connect?: ConnectTables;
  /** Where the host's agent leaves the table of its own manifests; see local.ts. Absent: there is none. */
  readonly localDir?: string;
  /** The cgroup2 directory whose processes are served at connect: the hierarchy's root on a real host. */
  readonly cgroupRoot: string;
  /** Where programs and maps are pinned, a directory of this host's own below /sys/fs/bpf. */
  readonly bpfDir: string;
  /** Where the name server listens: the pods' gateway. */
  readonly dnsAddress: string;
  readonly dnsPort?: number;
  /** The host's name servers, or the resolv.conf that lists them. */
  readonly resolvers: readonly string[] | { readonly file: string };
  readonly mode: 'ebpf' | 'nftables';
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** A random number below 1, for backoff. */
  readonly random?: () => number;
  /** Default: this host's kernel. */
  readonly dataPlane?: DataPlane;
  /** Told whenever the kernel has reached a revision. */
  readonly onApplied?: (revision: number) => void;
}

/** How long to wait for a master's table before the saved one, which is older, is put into the kernel. */
const patienceMs = 1000;
const backoffMs = { first: 50, most: 2000 } as const;
/** A stream that lasted this long was a good one: the next failure is a new one. */
const goodStreamMs = 5000;
/** How often the host's addresses, and that our rules are still there, are looked at. */
const lookAgainMs = 10_000;
/** Where pods come by the dozen, changing the kernel takes at most this part of the time. */
const applyingShare = 0.25;
/** Saving takes at most this part of the time. */
const savingShare = 0.05;
const savingPauseMs = { least: 200, most: 10_000 } as const;

/** Runs until the signal fires. What is in the kernel stays and works on. */
export async function runProxy(options: ProxyOptions): Promise<void> {
  const proxy = new HostProxy(options);
  await proxy.run();
}

class HostProxy {
  readonly #options: ProxyOptions;
  readonly #plane: DataPlane;
  readonly #names = new Names();
  #table: ServiceTable = emptyTable;
  #revision = 0;
  /** Nothing is put into the kernel before a table is known: rules of an earlier run are better than none. */
  #known = false;
  #stream: TableStream | undefined;
  /** Last revision acknowledged on #stream. */
  #acknowledged = 0;
  #saved: ServiceTable | undefined;
  #local: LocalTable | undefined;
  #merged: { readonly of: readonly [ServiceTable, ServiceTable | undefined]; readonly table: ServiceTable } = { of: [emptyTable, undefined], table: emptyTable };
  #refused = '';
  /** A master has had its time to say something newer than what is saved. */
  #waited = false;

  constructor(options: ProxyOptions) {
    this.#options = options;
    this.#plane = options.dataPlane ?? new LinuxDataPlane(options);
  }

  async run(): Promise<void> {
    const { clock, log, signal, stateDir, dnsAddress, dnsPort, resolvers, connect, localDir } = this.#options;
    const apply = new Loop({ name: 'apply', clock, log, signal, share: applyingShare, run: () => this.#apply(save) });
    const save = new Loop({ name: 'save', clock, log, signal, share: savingShare, pauseMs: savingPauseMs, run: () => this.#save() });
    const dns = new DnsServer({
      address: dnsAddress, ...(dnsPort === undefined ? {} : { port: dnsPort }), names: this.#names, resolvers, clock, log: log.child('dns'), signal,
    });
    const listening = dns.listen().catch((error: unknown) => {
      if (!signal.aborted) log.error('name server failed', { error });
    });
    if (localDir !== undefined) this.#local = new LocalTable({ directory: localDir, nodeId: this.#options.nodeId, log: log.child('manifests'), signal, changed: () => this.#localChanged(apply) });
    this.#startFromSaved(connect && loadTable(stateDir, log), apply);
    if (connect) await this.#follow(connect, apply);
    await Promise.all([apply.done, save.done, listening]);
    if (connect && this.#known && this.#saved !== this.#table) await this.#save();
    this.#plane.close();
  }

  /** Names are answered from the saved table at once; the kernel waits a moment for something newer. */
  #startFromSaved(saved: { readonly revision: number; readonly table: ServiceTable } | undefined, apply: Loop): void {
    const { clock, log, signal } = this.#options;
    if (saved) {
      this.#table = saved.table;
      this.#revision = saved.revision;
      this.#saved = saved.table;
    }
    if (saved || this.#local?.current) this.#names.update(this.#both());
    clock.sleep(this.#options.connect ? patienceMs : 0, signal).then(() => {
      this.#waited = true;
      if (this.#known || !(saved || this.#local?.current)) return;
      if (saved) log.warn('no table from a master yet, going on with the saved one', { revision: saved.revision });
      this.#known = true;
      apply.mark();
    }, () => {});
  }

  #localChanged(apply: Loop): void {
    if (this.#waited) this.#known = true;
    apply.mark();
  }

  /** The cluster's table and the host's own. */
  #both(): ServiceTable {
    const local = this.#local?.current?.table;
    const { of } = this.#merged;
    if (of[0] === this.#table && of[1] === local) return this.#merged.table;
    const { table, refused } = local ? mergeTables(this.#table, local) : { table: this.#table, refused: [] };
    this.#merged = { of: [this.#table, local], table };
    const text = refused.join(', ');
    if (text !== this.#refused && text !== '') this.#options.log.error('ports of manifests are not published here: the cluster has them', { ports: text });
    this.#refused = text;
    return table;
  }

  async #apply(save: Loop): Promise<number | undefined> {
    if (!this.#known) return undefined;
    // What has arrived by now is read in this turn of the event loop, and applied together.
    await new Promise((resolve) => { setImmediate(resolve); });
    // Where the kernel does not say so (a network file system), it is looked for.
    this.#local?.look();
    const local = this.#local?.current?.revision;
    const table = this.#both();
    const cluster = this.#table;
    const revision = this.#revision;
    const stream = this.#stream;
    try {
      await this.#plane.apply(table);
    } finally {
      // Names lead to addresses that the kernel knows; but should it fail, yesterday's names would help nobody.
      this.#names.update(table);
    }
    if (stream && stream === this.#stream && revision > this.#acknowledged) {
      stream.acknowledge(revision);
      this.#acknowledged = revision;
    }
    if (local !== undefined) await this.#local?.acknowledge(local);
    if (this.#options.connect && cluster !== this.#saved) save.mark();
    this.#options.onApplied?.(revision);
    return lookAgainMs;
  }

  async #save(): Promise<void> {
    const table = this.#table;
    await saveTable(this.#options.stateDir, { revision: this.#revision, table });
    this.#saved = table;
  }

  /** One stream after the other until the signal fires. */
  async #follow(connect: ConnectTables, apply: Loop): Promise<void> {
    const { clock, log, signal, random = Math.random } = this.#options;
    let wait: number = backoffMs.first;
    while (!signal.aborted) {
      const started = clock.monotonic();
      const error = await this.#followOne(connect, apply);
      if (signal.aborted) return;
      if (clock.monotonic() - started > goodStreamMs) wait = backoffMs.first;
      const ms = Math.round(wait * (0.5 + random() / 2));
      log.warn('table stream ended, connecting again', { reason: error ? describeError(error) : 'closed by the master', ms });
      await clock.sleep(ms, signal).catch(() => {});
      wait = Math.min(wait * 2, backoffMs.most);
    }
  }

  /** Resolves to what ended it. */
  async #followOne(connect: ConnectTables, apply: Loop): Promise<unknown> {
    const { signal, log } = this.#options;
    let stream: TableStream;
    try {
      stream = connect();
    } catch (error) {
      return error;
    }
    const close = () => stream.close();
    signal.addEventListener('abort', close, { once: true });
    let whole = false;
    try {
      for await (const update of stream.updates(() => this.#table)) {
        // A change says what differs from the table this stream began with.
        if (update.full) whole = true;
        if (!whole) throw new Error('the stream does not begin with a whole table');
        if (this.#stream !== stream) {
          log.info('following the table', { revision: update.revision });
          this.#stream = stream;
          this.#acknowledged = 0;
        }
        this.#table = applyUpdate(this.#table, update);
        this.#revision = update.revision;
        this.#known = true;
        apply.mark();
      }
      return undefined;
    } catch (error) {
      return error;
    } finally {
      signal.removeEventListener('abort', close);
      stream.close();
      if (this.#stream === stream) this.#stream = undefined;
    }
  }
}
