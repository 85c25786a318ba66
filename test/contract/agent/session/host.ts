/** A whole agent on fakes, for the tests of its session and streams. */
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { type Agent, type AgentOptions, runAgent } from '../../../../agent/main.ts';
import { FakeImages } from '../../../../agent/images/fake.ts';
import { type FakeKernel, FakePodNetwork } from '../../../../agent/network/fake.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { silentLog } from '../../../../lib/log.ts';
import { CountingRuntime, FakeMounter } from '../../../unit/agent/pods/host.ts';
import type { FakeRuntimeOptions } from '../../../../agent/runtime/fake.ts';

export class AgentHost {
  readonly directory: string;
  readonly kernel: FakeKernel = { pods: new Map(), peers: [], config: undefined };
  readonly images = new FakeImages();
  readonly runtime: CountingRuntime;
  readonly mounter = new FakeMounter();
  #stop = new AbortController();
  #agents: Agent[] = [];

  private constructor(directory: string, behaviour: Omit<FakeRuntimeOptions, 'clock'>) {
    this.directory = directory;
    this.runtime = new CountingRuntime({ clock: systemClock, ...behaviour });
    this.images.add('busybox');
  }

  static async make(behaviour: Omit<FakeRuntimeOptions, 'clock'> = {}): Promise<AgentHost> {
    return new AgentHost(await fs.mkdtemp(path.join(os.tmpdir(), 'tsorch-agent-')), behaviour);
  }

  options(address: string | readonly string[]): AgentOptions {
    return {
      nodeId: 'n1',
      master: { address, credentials: credentials.createInsecure() },
      stateDir: path.join(this.directory, 'state'),
      runDir: path.join(this.directory, 'run'),
      address: '192.0.2.1',
      runtime: this.runtime,
      images: this.images,
      network: new FakePodNetwork(this.kernel),
      mounter: this.mounter,
      log: silentLog,
      clock: systemClock,
      signal: this.#stop.signal,
      version: '1.2.3',
      hostname: 'host-1',
    };
  }

  async start(address: string | readonly string[]): Promise<Agent> {
    this.#stop = new AbortController();
    const agent = await runAgent(this.options(address));
    this.#agents.push(agent);
    return agent;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#agents.splice(0).map((agent) => agent.done));
  }

  async dispose(): Promise<void> {
    await this.stop();
    await fs.rm(this.directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

export async function until(what: () => boolean | Promise<boolean>, ms = 10_000): Promise<void> {
  const end = performance.now() + ms;
  while (!(await what())) {
    if (performance.now() > end) throw new Error(`it did not come to be: ${what.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
