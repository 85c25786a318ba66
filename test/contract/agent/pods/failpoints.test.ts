/**
 * An agent that is killed between any two of its steps: the next one goes on from there. Each pod lives through one death; the agent that
 * takes it up is the one that dies for the next.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cgroupDirectories, readCgroupLayout } from '../../../../agent/runtime/cgroup.ts';
import { listMounts } from '../../../../lib/linux/mount.ts';
import type { Assignment } from '../../../../model/assignment.ts';
import type { PodStatus } from '../../../../model/pod.ts';
import { type OwnNetns, ownNetns } from '../../../own.ts';
import { assignment, containerSpec } from '../../../unit/agent/pods/specs.ts';
import { asStream, busyboxImage, dockerArchive } from '../runtime/busybox.ts';
import { type ContainerdHost, startHost } from '../runtime/containerd-host.ts';
import { until } from '../session/host.ts';
import type { AgentPaths, Seen, Told } from './agent-process.ts';

const image = 'tsorch-test:failpoints';
const root = path.join(import.meta.dirname, '../../../..');
let host: ContainerdHost;
let netns: OwnNetns;
let paths: AgentPaths;
let out: string;
let agent: AgentProcess | undefined;
/** Of the pod, and of the place in the list. */
let number = 0;

class AgentProcess {
  readonly child: ChildProcess;
  readonly armed: string | undefined;
  /** The signal that ended it. */
  readonly over: Promise<string | null>;
  readonly begun: Promise<void>;
  readonly #asked = new Map<number, (pods: readonly PodStatus[]) => void>();
  #looks = 0;
  #ended = false;

  constructor(armed?: string) {
    this.armed = armed;
    const { TSORCH_FAILPOINT: _none, ...env } = process.env;
    this.child = spawn('nsenter', [`--net=${netns.path}`, process.execPath, path.join(root, 'test/contract/agent/pods/agent-process.ts'), JSON.stringify(paths)], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...env, ...(armed === undefined ? {} : { TSORCH_FAILPOINT: armed }) },
    });
    this.over = new Promise((resolve) => this.child.once('exit', (_code, signal) => (this.#end(), resolve(signal))));
    this.begun = new Promise((resolve) => this.#asked.set(-1, () => resolve()));
    this.child.on('message', ({ look, pods }: Seen) => this.#asked.get(look)?.(pods));
    this.child.on('error', () => {});
  }

  assign(pods: readonly Assignment[]): void {
    this.#send({ assign: pods });
  }

  /** Empty once it is dead. */
  async look(): Promise<readonly PodStatus[]> {
    const look = ++this.#looks;
    return await new Promise((resolve) => {
      if (this.#ended) return resolve([]);
      this.#asked.set(look, (pods) => (this.#asked.delete(look), resolve(pods)));
      this.#send({ look });
    });
  }

  async status(id: string): Promise<PodStatus | undefined> {
    return (await this.look()).find((status) => status.id === id);
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.over;
  }

  #send(told: Told): void {
    if (!this.#ended) this.child.send(told, () => {});
  }

  #end(): void {
    this.#ended = true;
    for (const answer of this.#asked.values()) answer([]);
  }
}

beforeAll(async () => {
  netns = ownNetns('t-failpoints');
  // What the host stands on.
  for (const words of ['link add underlay type veth peer name beyond', 'link set beyond up', 'addr add 192.0.2.1/24 dev underlay', 'link set underlay up']) execFileSync('ip', ['-n', netns.name, ...words.split(' ')]);
  host = await startHost('failpoints');
  await host.images.load(asStream(await dockerArchive(await busyboxImage(), [image])));
  out = path.join(host.logDir, 'out');
  paths = { socket: host.daemon.socket, runtimeDir: host.runDir, cgroupPrefix: host.cgroupPrefix, stateDir: path.join(host.logDir, 'agent'), runDir: path.join(host.runDir, 'agent') };
  await fs.mkdir(out, { recursive: true });
  await fs.mkdir(paths.stateDir, { recursive: true });
  const config = { subnet: '10.93.1.0/24', podCidr: '10.93.0.0/16', underlay: 'route' };
  await fs.writeFile(path.join(paths.stateDir, 'network.json'), JSON.stringify({ nodeName: 'host-1', vtepMac: '', config, peers: [] }));
});
afterAll(async () => {
  await agent?.kill();
  await host?.close();
  netns?.[Symbol.dispose]();
});

/** Writes down each of its runs, exits with 3 when told to; has a secret (a mount of its own) and an init container. */
function pod(id: string): Assignment {
  const write = (what: string) => `echo ${what} >> /out/${id}`;
  const mounts = [{ kind: 'bind' as const, source: out, target: '/out', readOnly: false, createHostPath: false, propagation: 'rprivate' as const }];
  const main = containerSpec({ image, mounts, command: ['sh', '-c', `trap "exit 3" USR1; trap "exit 0" TERM; ${write('main')}; while :; do sleep 0.02; done`] });
  const init = containerSpec({ name: 'init', image, mounts, command: ['sh', '-c', write('init')] });
  const files = [{ reference: { source: 'key', target: 'key', uid: 0, gid: 0, mode: 0o400 }, kind: 'secret' as const, container: 'main', content: Buffer.from('s').toString('base64') }];
  const restart = { condition: 'any' as const, delayMs: 20, maxAttempts: 0, windowMs: 10_000 };
  return assignment(id, { pod: { ip: `10.93.1.${number + 1}`, slot: number }, template: { containers: [main], initContainers: [init], restart, stopGraceMs: 5000 }, files });
}

const runs = async (id: string) => (await fs.readFile(path.join(out, id), 'utf8').catch(() => '')).split('\n').filter(Boolean);
const ready = (id: string, attempt: number) => async () => {
  const status = await agent?.status(id);
  return status?.ready === true && status.containers[0]?.attempt === attempt;
};

/** The place, what it is about (`%` is the pod), and when in the pod's life it is passed. */
const places = [
  ['save.done', '%', 'start'],
  ['prepare.done', '%', 'start'],
  ['attach.done', '%', 'start'],
  ['create.layer', '%.init.1', 'start'],
  ['create.record', '%.main.1', 'start'],
  ['create.task', '%.main.1', 'start'],
  ['create.done', '%', 'start'],
  ['start', '%', 'start'],
  ['start.done', '%', 'start'],
  ['remove.task', '%.main.1', 'crash'],
  ['remove.layer', '%.main.1', 'crash'],
  ['create.task', '%.main.2', 'crash'],
  ['signal.done', '%', 'stop'],
  ['remove.record', '%.main.1', 'stop'],
  ['detach.done', '%', 'stop'],
  ['release.files', '%', 'stop'],
  ['release.done', '%', 'stop'],
  ['forget', '%', 'stop'],
] as const;

describe('the agent is killed', () => {
  const armedFor = (index: number): string | undefined => {
    const [place, subject] = places[index] ?? [];
    return place && subject && `${place}@${subject.replace('%', `fp${index + 1}`)}`;
  };

  test.each(places.map(([place, subject, stage], index) => [place, subject, stage, index] as const))('at %s of %s, while its pods %s', async (_place, _subject, stage, index) => {
    number = index + 1;
    const id = `fp${number}`;
    // As a rule it is the one that took up the pod before.
    if (!agent || agent.armed !== armedFor(index)) {
      await agent?.kill();
      agent = new AgentProcess(armedFor(index));
    }
    await agent.begun;
    const asked = [pod(id)];
    agent.assign(asked);
    if (stage !== 'start') {
      await until(ready(id, 1), 30_000);
      if (stage === 'crash') process.kill((await agent.status(id))?.containers[0]?.pid ?? 0, 'SIGUSR1');
      else agent.assign([]);
    }
    expect(await agent.over).toBe('SIGKILL');

    agent = new AgentProcess(armedFor(index + 1));
    await agent.begun;
    if (stage !== 'stop') {
      agent.assign(asked);
      const attempts = stage === 'crash' ? 2 : 1;
      await until(ready(id, attempts), 30_000);
      // One run per attempt, and one container that runs.
      await until(async () => (await runs(id)).length >= attempts + 1);
      expect(await runs(id)).toEqual(['init', ...Array.from({ length: attempts }, () => 'main')]);
      await until(async () => (await host.runtime.list()).filter(({ podId }) => podId === id).length === 1);
      expect((await host.runtime.list()).filter(({ podId }) => podId === id)).toMatchObject([{ id: `${id}.main.${attempts}`, state: 'running' }]);
      const { ended } = (await agent.status(id))?.containers[0] ?? {};
      if (stage === 'crash') expect(ended).toMatchObject([{ attempt: 1, exitCode: 3, message: 'exit code 3' }]);
      else expect(ended).toBeUndefined();
    }
    agent.assign([]);
    await until(async () => (await agent?.look())?.length === 0, 30_000);
    await nothingLeft(id);
  });
});

/** Containers, layers, cgroups, namespaces, devices, mounts, files. */
async function nothingLeft(id: string): Promise<void> {
  expect((await host.runtime.list()).filter(({ podId }) => podId === id)).toEqual([]);
  const layout = await readCgroupLayout();
  expect(cgroupDirectories(layout, `/${host.cgroupPrefix}/${id}`).filter((directory) => existsSync(directory))).toEqual([]);
  expect(existsSync(path.join(paths.runDir, 'netns', id))).toBe(false);
  expect(execFileSync('ip', ['-n', netns.name, '-o', 'route', 'show', 'table', 'main']).toString()).not.toContain(`10.93.1.${number + 1} `);
  expect(listMounts().filter(({ target }) => target.split('/').includes(id))).toEqual([]);
  for (const [base, file] of [[paths.runDir, id], [paths.stateDir, id], [paths.stateDir, `${id}.json`]] as const) expect(existsSync(path.join(base, 'pods', file))).toBe(false);
}
