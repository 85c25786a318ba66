/**
 * Runtime and images in memory, for tests and hollow agents. Containers do what `behaviour` says or what the test tells
 * them; nothing runs. Passes the same contract as the real ones (test/contract/agent).
 */
import { appendFile } from 'node:fs/promises';
import { PassThrough, Writable } from 'node:stream';
import type { Clock } from '../../lib/clock.ts';
import { TsorchError } from '../../model/errors.ts';
import type { ContainerSpec } from '../../model/spec.ts';
import type { CreateRequest, ExecProcess, ExecRequest, ExitStatus, Runtime, RuntimeContainer } from './port.ts';
import { containerArgs } from './spec/process.ts';
import { SIGKILL } from './spec/signal.ts';
import type { CgroupUsage } from '../stats/parse.ts';
import type { WatchHandlers } from './watch.ts';

export interface FakeBehaviour {
  /** Exits by itself so long after its start; absent: runs until told or killed. */
  readonly exit?: { readonly code: number; readonly afterMs?: number };
  /** Signals that it survives. SIGKILL ends everything. */
  readonly ignores?: readonly number[];
  /** Appended to its stdout file at start. */
  readonly output?: string;
  /** What `create` could not give as asked for. */
  readonly warnings?: readonly string[];
  /** Thrown by `create`. */
  readonly createError?: TsorchError;
}

export interface FakeExec {
  readonly code: number;
  readonly stdout?: Uint8Array | string;
  readonly stderr?: Uint8Array | string;
}

export interface FakeRuntimeOptions {
  readonly clock: Clock;
  readonly behaviour?: (request: CreateRequest) => FakeBehaviour;
  /** What an exec answers; `stdin` is all its input. Absent: success without output. */
  readonly exec?: (id: string, request: ExecRequest, stdin: Buffer) => FakeExec | Promise<FakeExec>;
  /** Why an exec cannot be run at all. */
  readonly refuseExec?: (id: string, request: ExecRequest) => TsorchError | undefined;
}

interface FakeContainer {
  readonly request: CreateRequest;
  readonly behaviour: FakeBehaviour;
  readonly pid: number;
  state: RuntimeContainer['state'];
  exit?: ExitStatus;
  limits: ContainerSpec['limits'];
  readonly timer: AbortController;
  readonly written: Buffer[];
  size: readonly [number, number] | null;
}

export class FakeRuntime implements Runtime {
  /** Thrown by `update`, once. */
  updateError: TsorchError | null = null;
  /** Pods that `release` was called for. */
  readonly released: string[] = [];
  /** How often anybody asked what a container uses. */
  usageReads = 0;
  readonly #options: FakeRuntimeOptions;
  readonly #containers = new Map<string, FakeContainer>();
  readonly #watchers = new Set<WatchHandlers>();
  readonly #waiters = new Map<string, Set<() => void>>();
  readonly #usage = new Map<string, CgroupUsage>();
  #nextPid = 1000;

  constructor(options: FakeRuntimeOptions) {
    this.#options = options;
  }

  // The test's side.

  /** The container's process ends. */
  exit(id: string, code: number): void {
    const container = this.#get(id);
    if (container.state !== 'running' && container.state !== 'created') return;
    container.timer.abort();
    container.state = 'stopped';
    container.exit = { code, at: this.#options.clock.now() };
    for (const wake of this.#waiters.get(id) ?? []) wake();
    for (const watcher of this.#watchers) watcher.exit(id, container.exit);
  }

  /** The kernel kills it for want of memory. */
  oom(id: string): void {
    for (const watcher of this.#watchers) watcher.oom(id);
    this.exit(id, 128 + SIGKILL);
  }

  /** What was written to its standard input, and the last size of its terminal. */
  inputOf(id: string): { readonly written: Buffer; readonly size: readonly [number, number] | null } {
    const { written, size } = this.#get(id);
    return { written: Buffer.concat(written), size };
  }

  /** As after a gap in the event stream. */
  resync(): void {
    for (const watcher of this.#watchers) watcher.resync();
  }

  /** It has used so much by now. */
  use(id: string, usage: Partial<CgroupUsage>): void {
    this.#usage.set(id, { ...(this.#usage.get(id) ?? nothingUsed), ...usage });
  }

  limitsOf(id: string): ContainerSpec['limits'] {
    return this.#get(id).limits;
  }

  requestOf(id: string): CreateRequest {
    return this.#get(id).request;
  }

  // The port.

  async list(): Promise<readonly RuntimeContainer[]> {
    return [...this.#containers.values()].map(view);
  }

  async create(request: CreateRequest): Promise<RuntimeContainer> {
    const found = this.#containers.get(request.id);
    if (found) return view(found);
    containerArgs(request.spec, request.image.config);
    const behaviour = this.#options.behaviour?.(request) ?? {};
    if (behaviour.createError) throw behaviour.createError;
    const container: FakeContainer = { request, behaviour, pid: this.#nextPid++, state: 'created', limits: request.spec.limits, timer: new AbortController(), written: [], size: null };
    this.#containers.set(request.id, container);
    return { ...view(container), ...(behaviour.warnings ? { warnings: behaviour.warnings } : {}) };
  }

  async start(id: string): Promise<void> {
    const container = this.#get(id);
    if (container.state !== 'created') return;
    container.state = 'running';
    const { exit, output } = container.behaviour;
    if (output !== undefined) await appendFile(container.request.stdout, output);
    if (!exit) return;
    const over = this.#options.clock.sleep(exit.afterMs ?? 0, container.timer.signal);
    over.then(() => this.exit(id, exit.code)).catch(() => {});
  }

  async kill(id: string, signal: number): Promise<void> {
    const container = this.#containers.get(id);
    if (!container || container.state === 'stopped') return;
    if (signal === SIGKILL || container.behaviour.ignores?.includes(signal) !== true) this.exit(id, 128 + signal);
  }

  async remove(id: string): Promise<void> {
    await this.kill(id, SIGKILL);
    this.#containers.delete(id);
  }

  async wait(id: string, signal: AbortSignal): Promise<ExitStatus> {
    const container = this.#get(id);
    if (container.exit) return container.exit;
    return await new Promise((resolve, reject) => {
      const waiters = this.#waiters.get(id) ?? new Set();
      this.#waiters.set(id, waiters);
      const finish = () => {
        waiters.delete(finish);
        signal.removeEventListener('abort', finish);
        if (container.exit) resolve(container.exit);
        else reject(new TsorchError('aborted', `waiting for ${id} was aborted`));
      };
      waiters.add(finish);
      signal.addEventListener('abort', finish, { once: true });
      if (signal.aborted) finish();
    });
  }

  async exec(id: string, request: ExecRequest): Promise<ExecProcess> {
    const container = this.#get(id);
    if (container.state !== 'running') throw new TsorchError('conflict', `container ${id} is not running`);
    const refused = this.#options.refuseExec?.(id, request);
    if (refused) throw refused;
    const [stdout, stderr] = [new PassThrough(), request.tty ? null : new PassThrough()];
    const input: Buffer[] = [];
    const ended = Promise.withResolvers<void>();
    const killed = Promise.withResolvers<FakeExec>();
    const stdin = request.stdin
      ? new Writable({
          write(chunk: Buffer, _encoding, done) {
            input.push(chunk);
            done();
          },
          final(done) {
            ended.resolve();
            done();
          },
        })
      : null;
    if (!stdin) ended.resolve();
    const script = async (): Promise<FakeExec> => {
      await ended.promise;
      return (await this.#options.exec?.(id, request, Buffer.concat(input))) ?? { code: 0 };
    };
    const run = async (): Promise<ExitStatus> => {
      const result = await Promise.race([script(), killed.promise]);
      stdout.write(result.stdout ?? '');
      // A terminal has one output.
      (stderr ?? stdout).write(result.stderr ?? '');
      stdout.end();
      stderr?.end();
      await Promise.all([finished(stdout), stderr ? finished(stderr) : undefined]);
      return { code: result.code, at: this.#options.clock.now() };
    };
    const exit = run();
    exit.catch(() => {});
    return {
      stdin,
      stdout,
      stderr,
      resize: async () => {},
      kill: async (signal) => killed.resolve({ code: 128 + signal }),
      release: async () => {
        stdout.resume();
        stderr?.resume();
      },
      exit,
    };
  }

  async input(id: string): Promise<NodeJS.WritableStream | null> {
    const { request, written } = this.#get(id);
    if (!request.spec.stdinOpen) return null;
    return new Writable({
      write(chunk: Buffer, _encoding, done) {
        written.push(chunk);
        done();
      },
    });
  }

  async resize(id: string, width: number, height: number): Promise<void> {
    this.#get(id).size = [width, height];
  }

  watch(handlers: WatchHandlers, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.#watchers.add(handlers);
    signal.addEventListener('abort', () => this.#watchers.delete(handlers), { once: true });
    queueMicrotask(() => {
      if (!signal.aborted) handlers.resync();
    });
  }

  async update(id: string, limits: ContainerSpec['limits']): Promise<readonly string[]> {
    const container = this.#containers.get(id);
    if (container?.state !== 'running' && container?.state !== 'created') throw new TsorchError('conflict', `container ${id} is not running`);
    const refused = this.updateError;
    this.updateError = null;
    if (refused) throw refused;
    container.limits = limits;
    return [];
  }

  async usage(id: string): Promise<CgroupUsage | null> {
    this.usageReads++;
    const container = this.#containers.get(id);
    if (container?.state !== 'running') return null;
    const { memory = null, pids = null } = container.limits;
    return { ...(this.#usage.get(id) ?? nothingUsed), memory: { used: this.#usage.get(id)?.memory.used ?? 0, limit: memory }, pids: { current: 1, limit: pids } };
  }

  async users(podId: string): Promise<string> {
    return `/run/fake/userns/${podId}`;
  }

  async release(podId: string): Promise<void> {
    this.released.push(podId);
  }

  #get(id: string): FakeContainer {
    const container = this.#containers.get(id);
    if (!container) throw new TsorchError('not-found', `there is no container ${id}`);
    return container;
  }
}

const nothingUsed: CgroupUsage = { cpuNs: 0, memory: { used: 0, limit: null }, pids: { current: 0, limit: null }, block: { read: 0, written: 0 } };

function view(container: FakeContainer): RuntimeContainer {
  const { request, state, pid, exit } = container;
  return { id: request.id, podId: request.podId, labels: request.labels, state, pid, ...(exit ? { exit } : {}) };
}

function finished(stream: PassThrough): Promise<void> {
  return new Promise((resolve) => {
    stream.once('end', resolve);
    stream.once('close', resolve);
  });
}
