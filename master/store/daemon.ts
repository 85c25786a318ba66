/**
 * An etcd of the master's own: one member, on loopback, mutual TLS. It is a detached process: a master that is killed leaves
 * it running and the next one adopts it, so the store is not away while a master restarts. When it dies it is started again
 * at once. It ends with a master that ends in good order.
 */
import { mkdir, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { credentialFiles, readCredentials, writeCredentials } from '../../lib/pki/credentials.ts';
import { TsorchError } from '../../model/errors.ts';
import { diagnose, isLocked } from './daemon/diagnosis.ts';
import { choosePorts, loadPorts } from './daemon/ports.ts';
import type { Ports } from './daemon/ports.ts';
import { endProcess, findRecorded, forget, isAlive, sendSignal, startDetached } from './daemon/process.ts';
import type { ProcessRecord } from './daemon/process.ts';
import { EtcdConnection } from './etcd/connection.ts';
import type { EtcdTls } from './etcd/connection.ts';

export interface DaemonOptions {
  /** Everything that lasts: `data/`, `tls/`, `log`, `ports.json`. */
  readonly dataDir: string;
  /** Where the running process is noted; gone after a reboot. */
  readonly runDir: string;
  /** For etcd and for its clients alike: good as a server for localhost and 127.0.0.1, and as a client. */
  readonly tls: EtcdTls;
  readonly log: Log;
  readonly clock: Clock;
  /** Ends the supervision. etcd itself ends by `stop`, or when this process exits after the signal has fired. */
  readonly signal: AbortSignal;
  readonly program?: string;
}

export interface EtcdDaemon {
  /** `https://127.0.0.1:PORT`. */
  readonly endpoints: readonly string[];
  /** Of the process now running. */
  pid(): number;
  /** etcd takes the new certificate for new connections. */
  rotate(tls: EtcdTls): Promise<void>;
  /** Ends etcd: after the store was closed, since giving back leases needs it. */
  stop(): Promise<void>;
}

/** Longest wait for the first sign of life; replaying a large log takes its time. */
const startMs = 60_000;
/** etcd waits for ever for a directory that another one holds, and says so after 10 s. */
const lockedMs = 10_500;
/** A process that dies sooner than this has not run at all. */
const livedMs = 10_000;
const firstBackoff = 100;
const maxBackoff = 5000;
const stopGraceMs = 10_000;

/** Starts or adopts it; resolves when it answers. Throws what is wrong with its directory, with what to do about it. */
export async function startEtcd(options: DaemonOptions): Promise<EtcdDaemon> {
  const daemon = new Daemon(options);
  await daemon.start();
  return daemon;
}

class Daemon implements EtcdDaemon {
  readonly #options: DaemonOptions;
  readonly #logFile: string;
  readonly #recordFile: string;
  readonly #stopping = new AbortController();
  #ports: Ports | undefined;
  #process: ProcessRecord | undefined;
  /** Of the process; long ago for an adopted one. */
  #startedAt = Number.NEGATIVE_INFINITY;
  #supervision: Promise<void> = Promise.resolve();
  /** Size of the log when the process was started: what follows is its own. */
  #logStart = 0;
  readonly #onExit = () => {
    if (this.#process && this.#options.signal.aborted) sendSignal(this.#process, 'SIGTERM');
  };

  constructor(options: DaemonOptions) {
    this.#options = options;
    this.#logFile = join(options.dataDir, 'log');
    this.#recordFile = join(options.runDir, 'etcd.json');
  }

  get endpoints(): readonly string[] {
    return [`https://127.0.0.1:${this.#ports!.client}`];
  }

  pid(): number {
    return this.#process!.pid;
  }

  async rotate(tls: EtcdTls): Promise<void> {
    await writeCredentials(join(this.#options.dataDir, 'tls'), tls);
  }

  async start(): Promise<void> {
    const { dataDir, tls, log, clock } = this.#options;
    await this.#directory();
    const before = await readCredentials(join(dataDir, 'tls'));
    await this.rotate(tls);
    if (!(await this.#adopt(before?.ca === tls.ca))) {
      this.#ports = await choosePorts(join(dataDir, 'ports.json'));
      await this.#spawn();
      await this.#untilHealthy().catch(async (error: unknown) => {
        await endProcess(this.#process!, clock, stopGraceMs);
        throw error;
      });
      log.info('etcd is running', { pid: this.pid(), endpoint: this.endpoints[0] });
    }
    process.once('exit', this.#onExit);
    this.#supervision = this.#supervise();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#supervision;
    process.removeListener('exit', this.#onExit);
    if (this.#process) await endProcess(this.#process, this.#options.clock, stopGraceMs);
    await forget(this.#recordFile);
  }

  async #directory(): Promise<void> {
    const { dataDir } = this.#options;
    try {
      await mkdir(join(dataDir, 'data'), { recursive: true, mode: 0o700 });
    } catch (error) {
      throw diagnose(String(error), dataDir, this.#logFile);
    }
  }

  /** The etcd of an earlier master, if it is alive, as we would start it, and answers. etcd reads its authority only once. */
  async #adopt(sameAuthority: boolean): Promise<boolean> {
    const { dataDir, log, clock } = this.#options;
    const found = await findRecorded(this.#recordFile);
    if (!found) return false;
    const ports = await loadPorts(join(dataDir, 'ports.json'));
    if (sameAuthority && ports && JSON.stringify(found.command) === JSON.stringify(this.#command(ports))) {
      this.#ports = ports;
      this.#process = found;
      if (await this.#untilHealthy().then(() => true, () => false)) {
        log.info('adopted the running etcd', { pid: found.pid, endpoint: this.endpoints[0] });
        return true;
      }
    }
    log.warn('the running etcd is not usable, starting another', { pid: found.pid });
    await endProcess(found, clock, stopGraceMs);
    return false;
  }

  async #spawn(): Promise<void> {
    this.#startedAt = this.#options.clock.monotonic();
    this.#logStart = await stat(this.#logFile).then((found) => found.size, () => 0);
    // Variables named ETCD_… would contradict the flags.
    const env: NodeJS.ProcessEnv = { PATH: process.env['PATH'], HOME: '/root', ...(process.arch === 'arm64' ? { ETCD_UNSUPPORTED_ARCH: 'arm64' } : {}) };
    this.#process = await startDetached(this.#command(this.#ports!), env, this.#logFile, this.#recordFile);
  }

  #command(ports: Ports): readonly string[] {
    const { dataDir, program } = this.#options;
    const tls = credentialFiles(join(dataDir, 'tls'));
    const client = `https://127.0.0.1:${ports.client}`;
    const peer = `https://127.0.0.1:${ports.peer}`;
    const flags: Readonly<Record<string, string>> = {
      name: 'tsorch',
      'data-dir': join(dataDir, 'data'),
      'listen-client-urls': client,
      'advertise-client-urls': client,
      'listen-peer-urls': peer,
      'initial-advertise-peer-urls': peer,
      'initial-cluster': `tsorch=${peer}`,
      'cert-file': tls.cert,
      'key-file': tls.key,
      'trusted-ca-file': tls.ca,
      'client-cert-auth': 'true',
      // Hosts and people have certificates of the same authority; only a master's is made out to a name.
      'client-cert-allowed-hostname': 'localhost',
      'peer-cert-file': tls.cert,
      'peer-key-file': tls.key,
      'peer-trusted-ca-file': tls.ca,
      'peer-client-cert-auth': 'true',
      'peer-cert-allowed-hostname': 'localhost',
      // One member wins its election at once; the usual second would only delay a restart.
      'heartbeat-interval': '50',
      'election-timeout': '500',
      'auto-compaction-mode': 'periodic',
      'auto-compaction-retention': '1h',
      'quota-backend-bytes': String(8 * 2 ** 30),
      'snapshot-count': '20000',
      'experimental-watch-progress-notify-interval': '5s',
      logger: 'zap',
      'log-outputs': 'stderr',
    };
    return [program ?? 'etcd', ...Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`)];
  }

  /** Resolves when it serves a read; throws why it does not. */
  async #untilHealthy(): Promise<void> {
    const { clock, signal, dataDir, tls } = this.#options;
    const connection = new EtcdConnection({ endpoints: this.endpoints, tls, deadlineMs: 1000 });
    const end = clock.monotonic() + startMs;
    const lockedAfter = clock.monotonic() + lockedMs;
    try {
      for (;;) {
        const healthy = await connection.kv.range({ key: Buffer.from('/tsorch/health') }).then(() => true, () => false);
        if (healthy) return;
        const locked = clock.monotonic() > lockedAfter && isLocked(await this.#logTail());
        if (locked || !isAlive(this.#process!) || clock.monotonic() > end) throw diagnose(await this.#logTail(), dataDir, this.#logFile);
        await clock.sleep(30, signal);
      }
    } catch (error) {
      if (signal.aborted) throw new TsorchError('aborted', 'stopped while etcd was starting');
      throw error;
    } finally {
      connection.close();
    }
  }

  /** Starts it again whenever it is gone. */
  async #supervise(): Promise<void> {
    const { clock, log, dataDir } = this.#options;
    const end = AbortSignal.any([this.#options.signal, this.#stopping.signal]);
    let backoff = firstBackoff;
    while (!end.aborted) {
      if (isAlive(this.#process!)) {
        await clock.sleep(100, end).catch(() => {});
        continue;
      }
      if (clock.monotonic() - this.#startedAt < livedMs) {
        const error = diagnose(await this.#logTail(), dataDir, this.#logFile);
        log.error('etcd keeps dying', { error, hint: error.hint, ms: backoff });
        await clock.sleep(backoff, end).catch(() => {});
        backoff = Math.min(backoff * 2, maxBackoff);
        if (end.aborted) return;
      } else {
        backoff = firstBackoff;
        log.warn('etcd died, starting it again', { pid: this.#process!.pid });
      }
      await this.#spawn().catch((error: unknown) => log.error('could not start etcd', { error }));
    }
  }

  async #logTail(): Promise<string> {
    const file = await open(this.#logFile, 'r').catch(() => null);
    if (!file) return '';
    try {
      const { size } = await file.stat();
      const from = Math.max(Math.min(this.#logStart, size), size - 16_384);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(size - from), 0, size - from, from);
      return buffer.subarray(0, bytesRead).toString();
    } finally {
      await file.close();
    }
  }
}

