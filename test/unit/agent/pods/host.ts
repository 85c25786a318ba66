/** A host for tests: its disk and kernel outlive its agents. */
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { FakeImages } from '../../../../agent/images/fake.ts';
import { Pulls } from '../../../../agent/images/pulls.ts';
import { LogStore } from '../../../../agent/logs/store.ts';
import { FakePodNetwork, type FakeKernel } from '../../../../agent/network/fake.ts';
import type { HostNetworkConfig } from '../../../../agent/network/port.ts';
import { Pods, type PodSource } from '../../../../agent/pods/pods.ts';
import { FakeRuntime, type FakeRuntimeOptions } from '../../../../agent/runtime/fake.ts';
import type { CreateRequest, Runtime, RuntimeContainer } from '../../../../agent/runtime/port.ts';
import type { MountPlan } from '../../../../agent/volumes/local-mount.ts';
import type { Mounter } from '../../../../agent/volumes/mounter.ts';
import { Plugins } from '../../../../agent/volumes/plugins/plugins.ts';
import { PodFiles } from '../../../../agent/volumes/pod-files.ts';
import { Volumes } from '../../../../agent/volumes/volumes.ts';
import { FakeClock } from '../../../../lib/clock.ts';
import { createLog, silentLog } from '../../../../lib/log.ts';
import type { PodStatus } from '../../../../model/pod.ts';

/** Counts creations of containers that did not exist, and starts. */
export class CountingRuntime extends FakeRuntime {
  readonly births: string[] = [];
  readonly requests = new Map<string, CreateRequest>();
  readonly signals: [string, number][] = [];

  override async create(request: CreateRequest): Promise<RuntimeContainer> {
    const known = (await this.list()).some((c) => c.id === request.id);
    const created = await super.create(request);
    if (!known) this.births.push(request.id);
    this.requests.set(request.id, request);
    return created;
  }

  override async kill(id: string, signal: number): Promise<void> {
    this.signals.push([id, signal]);
    return super.kill(id, signal);
  }
}

export class FakeMounter implements Mounter {
  readonly mounted = new Map<string, string>();
  propagation: 'private' | 'slave' | 'shared' = 'shared';
  mountsBelow(directory: string): readonly string[] {
    return [...this.mounted.keys()].filter((target) => target === directory || target.startsWith(`${directory}/`));
  }
  mountOf(): { readonly target: string; readonly propagation: 'private' | 'slave' | 'shared' } {
    return { target: '/', propagation: this.propagation };
  }
  tmpfs(target: string, size: number | undefined): void {
    this.mounted.set(target, `memory ${size ?? 'half'}`);
  }
  bind(source: string, target: string): void {
    this.mounted.set(target, `bind ${source}`);
  }
  async answers(path: string): Promise<boolean> {
    return await fs.stat(path).then(() => true, () => false);
  }
  isMounted(target: string): boolean {
    return this.mounted.has(target);
  }
  secretTmpfs(target: string): void {
    this.mounted.set(target, 'tmpfs');
  }
  async mount({ type, options, device }: MountPlan, target: string): Promise<void> {
    this.mounted.set(target, `${type} ${options} ${device}`);
  }
  unmount(target: string): void {
    this.mounted.delete(target);
  }
}

export const networkConfig: HostNetworkConfig = { address: '192.0.2.1', subnet: '10.32.1.0/24', podCidr: '10.32.0.0/12', underlay: 'auto', netnsDir: '/run/t' };

export class TestHost {
  readonly directory: string;
  readonly clock = new FakeClock();
  readonly kernel: FakeKernel = { pods: new Map(), peers: [], config: undefined };
  readonly images = new FakeImages();
  readonly mounter = new FakeMounter();
  runtime: CountingRuntime;
  network = new FakePodNetwork(this.kernel);
  bootId = 'boot-1';
  statuses = new Map<string, PodStatus>();
  gone: string[] = [];
  pods!: Pods;
  logs!: LogStore;
  #agent = new AbortController();

  private constructor(directory: string, behaviour: Omit<FakeRuntimeOptions, 'clock'>) {
    this.directory = directory;
    this.runtime = new CountingRuntime({ clock: this.clock, ...behaviour });
    this.images.add('busybox');
  }

  static async make(behaviour: Omit<FakeRuntimeOptions, 'clock'> = {}): Promise<TestHost> {
    return new TestHost(await fs.mkdtemp(path.join(os.tmpdir(), 'tsorch-pods-')), behaviour);
  }

  get stateDir(): string {
    return path.join(this.directory, 'state');
  }

  get runDir(): string {
    return path.join(this.directory, 'run');
  }

  /** A new agent. `wrap` stands between it and the runtime. */
  async start(options: { readonly wrap?: (runtime: Runtime) => Runtime; readonly networkReady?: boolean; readonly sources?: readonly PodSource[]; readonly changed?: () => void } = {}): Promise<Pods> {
    this.#agent = new AbortController();
    const { signal } = this.#agent;
    const { clock } = this;
    const log = process.env['TSORCH_TEST_LOG'] ? createLog('test', 'debug') : silentLog;
    this.network = new FakePodNetwork(this.kernel);
    await this.network.prepareHost(networkConfig);
    this.logs = new LogStore({ directory: path.join(this.stateDir, 'logs'), clock, log, signal });
    await fs.mkdir(this.runDir, { recursive: true });
    this.pods = await Pods.open({
      ports: {
        runtime: options.wrap?.(this.runtime) ?? this.runtime,
        pulls: new Pulls({ images: this.images, clock, log, signal, random: () => 0.5, changed: (id) => this.pods?.get(id)?.poke() }),
        network: this.network,
        volumes: new Volumes({ stateDir: this.stateDir, runDir: this.runDir, images: this.images, mounter: this.mounter, plugins: new Plugins(), bootId: this.bootId, clock }),
        files: new PodFiles({ runDir: this.runDir, mounter: this.mounter }),
        logs: this.logs,
        hostname: 'host-1',
      },
      clock,
      log,
      signal,
      stateDir: this.stateDir,
      runDir: this.runDir,
      node: 'n1',
      bootId: this.bootId,
      ...(options.sources ? { sources: options.sources } : {}),
      report: (status) => {
        this.statuses.set(status.id, status);
        options.changed?.();
      },
      gone: (id) => {
        this.gone.push(id);
        options.changed?.();
      },
    });
    if (options.networkReady !== false) this.pods.setNetworkReady();
    return this.pods;
  }

  /** The agent is gone from one moment to the next. */
  kill(): void {
    this.#agent.abort();
  }

  async dispose(): Promise<void> {
    this.kill();
    await this.pods?.done();
    await fs.rm(this.directory, { recursive: true, force: true, maxRetries: 3 });
  }

  /** Lets real work go on, the clock standing still, until it is so. */
  async until(what: () => boolean | Promise<boolean>): Promise<void> {
    const end = performance.now() + 4000;
    while (!(await what())) {
      if (performance.now() > end) throw new Error(`it did not come to be: ${what.toString()}; ${JSON.stringify([...this.statuses.values()])}`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Turns the clock in small steps until it is so. Whoever was woken gets the time to do real work before the clock goes on. */
  async turnUntil(what: () => boolean | Promise<boolean>, stepMs = 10): Promise<number> {
    const last = performance.now() + 10_000;
    for (let passed = 0; ; passed += stepMs) {
      if (await what()) return passed;
      if (performance.now() > last) throw new Error(`it did not come to be in ${passed} ms: ${what.toString()}; ${JSON.stringify([...this.statuses.values()])}`);
      const asleep = this.clock.sleeping;
      await this.clock.advance(stepMs);
      const end = performance.now() + 1000;
      do await new Promise((resolve) => setTimeout(resolve, 1));
      while (this.clock.sleeping < asleep && !(await what()) && performance.now() < end);
    }
  }

  /** Until the pod's worker (the only one) and the runtime's list have gone to sleep. */
  asleep(): Promise<void> {
    return this.until(() => this.clock.sleeping >= 2);
  }

  running(): Promise<string[]> {
    return this.runtime.list().then((all) => all.filter((c) => c.state === 'running').map((c) => c.id).sort());
  }
}
