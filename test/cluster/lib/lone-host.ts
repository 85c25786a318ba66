/** A host that stands alone: a network namespace as a local cluster's host has, the host's programs in it, and no master anywhere. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { nodeEnv, nodeFlags, programFile, type ProgramFile } from '../../../deploy/compiled/program.ts';
import { clusterNames, hostNames, type ClusterNames } from '../../../deploy/local/names.ts';
import { ensureNetwork, takenSubnets } from '../../../deploy/local/network.ts';
import { ensureHostPlaces } from '../../../deploy/local/programs.ts';
import { writeCluster, writeStateDir } from '../../../deploy/local/saved.ts';
import { decideCluster, type ClusterSpec } from '../../../deploy/local/spec.ts';
import { own } from '../../own.ts';
import { directoryOf, remove, removeAbandoned } from './remains.ts';
import { until } from './tsorch.ts';

/** What a record in `<state>/pods` says of a pod, as far as tests look. */
export interface SeenPod {
  readonly id: string;
  readonly service: string;
  readonly slot: number;
  readonly ip: string | null;
  readonly desired: string;
  readonly phase: string;
  readonly ready: boolean;
}

export class LoneHost {
  readonly name: string;
  readonly dir: string;
  readonly #names: ClusterNames;
  readonly #spec: ClusterSpec;
  readonly #program: ProgramFile;
  #child: ChildProcess | undefined;

  private constructor(name: string, dir: string, names: ClusterNames, spec: ClusterSpec, program: ProgramFile) {
    this.name = name;
    this.dir = dir;
    this.#names = names;
    this.#spec = spec;
    this.#program = program;
  }

  /** This run's own, called after `base`; what killed runs left of theirs is removed first. */
  static async make(base: string): Promise<LoneHost> {
    await removeAbandoned(base);
    const name = own(base);
    const dir = directoryOf(name);
    const names = clusterNames(name, join(dir, 'state'));
    await mkdir(dir, { recursive: true });
    const spec = decideCluster({ name, hosts: [{ name: 'lone', labels: { type: 'edge' } }] }, null, await takenSubnets(names.bridge));
    mkdirSync(names.runDir, { recursive: true, mode: 0o711 });
    mkdirSync(names.logDir, { recursive: true });
    // So that `down` finds it like any local cluster.
    await writeCluster(names.stateDir, spec);
    await writeStateDir(names.runDir, names.stateDir);
    await ensureNetwork(names, spec);
    const host = new LoneHost(name, dir, names, spec, await programFile());
    mkdirSync(host.manifests, { recursive: true });
    return host;
  }

  get manifests(): string {
    return join(this.dir, 'manifests');
  }

  get address(): string {
    return hostNames(this.#names, this.#spec.subnet, 1).address;
  }

  get netns(): string {
    return hostNames(this.#names, this.#spec.subnet, 1).netnsPath;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get stateDir(): string {
    return join(this.#names.stateDir, 'lone');
  }

  get runDir(): string {
    return join(this.#names.runDir, 'lone');
  }

  /** Begins `tsorch host`; pods that are there are adopted. */
  async start(flags: readonly string[] = ['--manifests', this.manifests, '--manifest-interval', '2s']): Promise<void> {
    const [host] = this.#spec.hosts;
    if (!host) throw new Error('no host');
    const { cgroupRoot } = await ensureHostPlaces(this.#names, host);
    const log = openSync(this.#log, 'a');
    this.#child = spawn('nsenter', [
      `--net=${this.netns}`, '--', process.execPath, ...nodeFlags('host'), this.#program.main, 'host', '--name', 'lone', '--label', 'type=edge', '--address', this.address,
      '--state-dir', this.stateDir, '--run-dir', this.runDir, '--cgroup-root', cgroupRoot, '--bpf-dir', `${this.#names.bpfDir}/lone`, ...flags,
    ], { stdio: ['ignore', log, log], env: { ...process.env, ...nodeEnv } });
    closeSync(log);
  }

  /** SIGKILL to the program; what it runs goes on. */
  async kill(): Promise<void> {
    if (!this.#child || this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  /** Written beside and put in place, as careful programs do. */
  async put(name: string, content: string): Promise<void> {
    await writeFile(join(this.manifests, `.${name}.new`), content);
    await rename(join(this.manifests, `.${name}.new`), join(this.manifests, name));
  }

  async pods(): Promise<readonly SeenPod[]> {
    const directory = join(this.stateDir, 'pods');
    const files = (await readdir(directory).catch(() => [])).filter((name) => name.endsWith('.json'));
    const records = await Promise.all(files.map((file) => readFile(join(directory, file), 'utf8').then((text) => JSON.parse(text) as Record_, () => null)));
    return records.flatMap((record) => (record?.assignment && record.local ? [{
      id: record.assignment.pod.id, service: record.assignment.pod.service, slot: record.assignment.pod.slot, ip: record.assignment.pod.ip, desired: record.assignment.pod.desired,
      phase: record.local.phase, ready: record.local.ready,
    }] : [])).sort((a, b) => (`${a.service}.${a.slot}` < `${b.service}.${b.slot}` ? -1 : 1));
  }

  /** Waits until exactly these services run and are ready, `name` for each pod. */
  async running(services: readonly string[], timeoutMs = 30_000): Promise<readonly SeenPod[]> {
    let seen: readonly SeenPod[] = [];
    const wanted = [...services].sort().join();
    await until(`${wanted} to run`, async () => {
      seen = await this.pods();
      return seen.map(({ service }) => service).join() === wanted && seen.every(({ ready }) => ready) ? true : Promise.reject(new Error(JSON.stringify(seen)));
    }, timeoutMs).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${this.log()}`);
    });
    return seen;
  }

  /** Pids of the pods' processes, by cgroup: what a restart of anything of ours must not change. */
  async processes(): Promise<ReadonlyMap<string, readonly number[]>> {
    const found = new Map<string, number[]>();
    for (const entry of await readdir('/proc')) {
      if (!/^\d+$/.test(entry)) continue;
      const cgroup = await readFile(`/proc/${entry}/cgroup`, 'utf8').catch(() => '');
      const pod = new RegExp(`/tsorch/${this.name}/lone/([^/\\n]+)/`).exec(cgroup)?.[1];
      if (pod !== undefined) found.set(pod, [...(found.get(pod) ?? []), Number(entry)]);
    }
    return found;
  }

  log(): string {
    return readFileSync(this.#log, 'utf8').split('\n').slice(-60).join('\n');
  }

  async destroy(): Promise<void> {
    await this.kill();
    await remove(this.name);
  }

  get #log(): string {
    return join(this.#names.logDir, 'lone.log');
  }
}

interface Record_ {
  readonly assignment: { readonly pod: SeenPod } | null;
  readonly local: { readonly phase: string; readonly ready: boolean } | null;
}
