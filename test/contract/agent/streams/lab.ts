/** An agent on a real containerd and a master that asks it for streams. */
import path from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { type Agent, runAgent } from '../../../../agent/main.ts';
import { FakePodNetwork } from '../../../../agent/network/fake.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { silentLog } from '../../../../lib/log.ts';
import type { ContainerSpec } from '../../../../model/spec.ts';
import type { DataFrame } from '../../../../proto/gen/tsorch/node.ts';
import { assignment, containerSpec } from '../../../unit/agent/pods/specs.ts';
import { asStream, busyboxImage, dockerArchive } from '../runtime/busybox.ts';
import { type ContainerdHost, startHost } from '../runtime/containerd-host.ts';
import { until } from '../session/host.ts';
import { collect, type Data, TestMaster } from '../session/master.ts';

export type Kind = NonNullable<DataFrame['kind']>;

export class StreamLab {
  readonly host: ContainerdHost;
  readonly master: TestMaster;
  readonly agent: Agent;
  readonly #image: string;
  readonly #stop: AbortController;

  private constructor(host: ContainerdHost, master: TestMaster, agent: Agent, image: string, stop: AbortController) {
    this.host = host;
    this.master = master;
    this.agent = agent;
    this.#image = image;
    this.#stop = stop;
  }

  static async start(name: string): Promise<StreamLab> {
    const host = await startHost(name);
    const image = `tsorch-test:${name}`;
    await host.images.load(asStream(await dockerArchive(await busyboxImage(), [image])));
    const master = await TestMaster.start();
    const stop = new AbortController();
    const directory = path.join(host.logDir, 'agent');
    const agent = await runAgent({
      nodeId: 'n1', master: { address: `127.0.0.1:${master.port}`, credentials: credentials.createInsecure() }, stateDir: path.join(directory, 'state'), runDir: path.join(directory, 'run'), address: '192.0.2.1',
      runtime: host.runtime, images: host.images, network: new FakePodNetwork({ pods: new Map(), peers: [], config: undefined }), log: silentLog, clock: systemClock, signal: stop.signal,
    });
    await until(() => agent.connected);
    return new StreamLab(host, master, agent, image, stop);
  }

  async close(): Promise<void> {
    await this.agent.teardown();
    this.#stop.abort();
    await this.agent.done;
    this.master.kill();
    await this.host.close();
  }

  /** A pod on the host's network; resolves when it runs. */
  async run(id: string, command: readonly string[], over: Partial<ContainerSpec> = {}, phase = 'running'): Promise<void> {
    const containers = [containerSpec({ image: this.#image, command, ...over })];
    this.master.assign([assignment(id, { template: { networkMode: 'host', stopGraceMs: 1000, containers, restart: { condition: 'none', delayMs: 100, maxAttempts: 0, windowMs: 1000 } } })], { full: false });
    await until(() => this.master.statuses.get(id)?.phase === phase);
  }

  remove(id: string): void {
    this.master.assign([], { remove: [id], full: false });
  }

  /** What a shell prints in the pod. */
  async shell(podId: string, script: string): Promise<string> {
    const frames = await collect(await this.master.open('exec', { podId, argv: ['sh', '-c', script], env: {}, tty: false, stdin: false }));
    const last = frames.at(-1);
    if (last?.$case !== 'done' || last.value !== 0) throw new Error(`${script}: ${JSON.stringify(last)} ${bytesOf(frames, 'stderr').toString()}`);
    return bytesOf(frames, 'stdout').toString();
  }
}

export const write = (stream: Data, kind: Kind) => stream.write({ kind });
export const bytesOf = (frames: readonly Kind[], which: 'stdout' | 'stderr') => Buffer.concat(frames.flatMap((f) => (f.$case === which ? [f.value] : [])));
