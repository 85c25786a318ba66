/**
 * `tsorch up`: makes a cluster on this machine, or makes it whole again. Every step looks first, so it can be run at any time,
 * after any crash, and twice at once.
 */
import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiClient, segment } from '../../cli/client.ts';
import type { Context } from '../../cli/context/file.ts';
import { deadlineOf } from '../../cli/wait/deadline.ts';
import type { NodeListItem, VersionInfo } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import { programFile, type ProgramFile } from '../compiled/program.ts';
import { ensureCgroup } from './cgroups.ts';
import { checkPort, checkPrograms, checkRoot, ensureBpfFs } from './checks.ts';
import { ensureForwarding } from './forwarding.ts';
import { takeLock } from './lock.ts';
import { addressIn, clusterNames, hostNames, type ClusterNames } from './names.ts';
import { ensureNetwork, takenSubnets } from './network.ts';
import { apiPort, ensureHostPlaces, grpcPort, hostProcesses, masterProcess, masterStateDir, masterUrlOf, tokenFile } from './programs.ts';
import { forgetOtherBoot } from './boot.ts';
import { isAlive } from './process.ts';
import { readRecord, readSpecs, writeSpecs, type ProcessSpec } from './run-file.ts';
import { readCluster, runningStateDir, writeCluster, writeStateDir } from './saved.ts';
import { decideCluster, type ClusterSpec, type WantedCluster } from './spec.ts';
import type { Steps } from './steps.ts';
import { ensureSupervisor } from './supervisor-control.ts';

export interface UpOptions {
  readonly wanted: WantedCluster;
  readonly stateDir?: string;
  readonly steps: Steps;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

export interface UpResult {
  readonly spec: ClusterSpec;
  readonly context: Context;
  readonly nodes: readonly NodeListItem[];
}

export async function up(options: UpOptions): Promise<UpResult> {
  const { steps, signal, wanted } = options;
  checkRoot(process.getuid?.(), 'tsorch up');
  const running = await runningStateDir(clusterNames(wanted.name).runDir);
  const names = clusterNames(wanted.name, options.stateDir ?? running ?? undefined);
  if (running !== null && running !== names.stateDir) {
    throw new TsorchError('conflict', `cluster ${wanted.name} is on this machine with its state in ${running}`, { hint: `leave --state-dir away, or run \`tsorch down --name ${wanted.name}\` first` });
  }
  const lock = await steps.step('machine', async (say) => {
    await checkPrograms(process.env['PATH'] ?? '');
    return takeLock(`cluster/${names.cluster}`, signal, () => say('waiting for another tsorch up or down'));
  });
  try {
    await forgetOtherBoot(names.runDir);
    const spec = decideCluster(wanted, await readCluster(names.stateDir), await takenSubnets(names.bridge));
    await writeCluster(names.stateDir, spec);
    await writeStateDir(names.runDir, names.stateDir);
    await steps.step('network', () => prepare(names, spec), (done) => `${spec.subnet} on ${names.bridge}${done.length > 0 ? `, made ${done.join(', ')}` : ''}`);

    const program = await programFile();
    const client = await steps.step('master', () => startMaster(options, names, spec, program), () => masterUrlOf(spec));
    try {
      const nodes = await steps.step('hosts', (say) => startHosts(options, names, spec, program, client, say), (ready) => `${ready.map((node) => node.name).join(', ')} ready`);
      return { spec, context: client.context, nodes };
    } finally {
      client.close();
    }
  } finally {
    await lock.release();
  }
}

async function prepare(names: ClusterNames, spec: ClusterSpec): Promise<readonly string[]> {
  await mkdir(names.runDir, { recursive: true, mode: 0o711 });
  await ensureBpfFs();
  const done = await ensureNetwork(names, spec);
  const way = await ensureForwarding(names, spec);
  return way === 'on' ? done : [...done, 'no way out for pods (the machine does not forward)'];
}

/** Puts the master first on the list and waits until it answers. */
async function startMaster(options: UpOptions, names: ClusterNames, spec: ClusterSpec, program: ProgramFile): Promise<ApiClient> {
  const running = await readRecord(names.runDir, 'master');
  if (!running || !(await isAlive(running))) for (const port of [apiPort, grpcPort]) await checkPort(addressIn(spec.subnet, 1), port);
  const others = (await readSpecs(names.runDir)).filter((process) => process.name !== 'master');
  await writeSpecs(names.runDir, [masterProcess(names, spec, await ensureCgroup(`${names.cgroup}/.master`), program), ...others]);
  await ensureSupervisor(names, program);
  const deadline = deadlineOf(options.timeoutMs, options.signal);
  let context: Context | undefined;
  let last: unknown;
  const left = await deadline.until(async () => {
    context = await adminContext(names, spec);
    if (!context) return { done: false, left: 'no credentials yet' };
    const client = new ApiClient(context, options.signal);
    try {
      const version = await client.get<VersionInfo>('/v1/version', undefined, { timeoutMs: 2000 });
      return version.leader ? { done: true } : { done: false, left: 'it does not lead yet' };
    } catch (error) {
      last = error;
      // Credentials of an earlier life are replaced a moment after the master starts.
      if (error instanceof TsorchError && (error.code === 'unavailable' || error.code === 'unauthenticated')) return { done: false, left: error.message };
      throw error;
    } finally {
      client.close();
    }
  });
  if (left !== undefined || !context) {
    throw new TsorchError('timeout', `the master is not ready: ${left}`, { cause: last, hint: await lastWords(`${names.logDir}/master.log`) });
  }
  return new ApiClient(context, options.signal);
}

async function adminContext(names: ClusterNames, spec: ClusterSpec): Promise<Context | undefined> {
  const directory = join(masterStateDir(names), 'admin');
  try {
    const [ca, cert, key] = await Promise.all(['ca.pem', 'cert.pem', 'key.pem'].map((file) => readFile(join(directory, file), 'utf8')));
    return ca && cert && key ? { master: masterUrlOf(spec), ca, cert, key } : undefined;
  } catch {
    return undefined;
  }
}

async function startHosts(options: UpOptions, names: ClusterNames, spec: ClusterSpec, program: ProgramFile, client: ApiClient, say: (detail: string) => void): Promise<readonly NodeListItem[]> {
  // A token is for joining; hosts that have joined keep their certificates and do not need it.
  const { id, token } = await client.json<{ id: string; token: string }>('POST', '/v1/tokens', { body: { role: 'node', ttlMs: Math.max(options.timeoutMs, 600_000) } });
  await writeFile(tokenFile(names), `${token}\n`, { mode: 0o600 });
  const processes = [masterProcess(names, spec, await ensureCgroup(`${names.cgroup}/.master`), program)];
  for (const host of spec.hosts) {
    processes.push(...hostProcesses(names, spec, host, await ensureHostPlaces(names, host), program));
  }
  await writeSpecs(names.runDir, processes);
  await ensureSupervisor(names, program);

  let nodes: NodeListItem[] = [];
  const left = await deadlineOf(options.timeoutMs, options.signal).until(async () => {
    nodes = (await client.get<NodeListItem[]>('/v1/nodes')).filter((node) => spec.hosts.some((host) => host.name === node.name));
    const ready = nodes.filter((node) => node.state === 'ready').map((node) => node.name);
    say(`${ready.length}/${spec.hosts.length} ready`);
    // A master believes in a host that was killed a moment ago; its process is asked too.
    const dead = await deadHosts(names, spec, processes);
    const waiting = spec.hosts.filter((host) => !ready.includes(host.name) || dead.has(host.name)).map((host) => host.name);
    return waiting.length === 0 ? { done: true } : { done: false, left: waiting };
  });
  if (left) throw new TsorchError('timeout', `${left.join(', ')} not ready`, { hint: await lastWords(`${names.logDir}/${left[0]}${spec.split ? '-agent' : ''}.log`) });
  await rm(tokenFile(names), { force: true });
  await client.json('DELETE', `/v1/tokens/${segment(id)}`);
  return Promise.all(nodes.map((node) => relabel(client, node, spec)));
}

async function deadHosts(names: ClusterNames, spec: ClusterSpec, processes: readonly ProcessSpec[]): Promise<ReadonlySet<string>> {
  const dead = new Set<string>();
  for (const host of spec.hosts) {
    const { netnsPath } = hostNames(names, spec.subnet, host.index);
    for (const process of processes.filter((each) => each.netns === netnsPath)) {
      const id = await readRecord(names.runDir, process.name);
      if (!id || !(await isAlive(id))) dead.add(host.name);
    }
  }
  return dead;
}

/** The file's word on labels counts for hosts that joined before it was changed. Labels it does not name are left alone. */
async function relabel(client: ApiClient, node: NodeListItem, spec: ClusterSpec): Promise<NodeListItem> {
  const wanted = spec.hosts.find((host) => host.name === node.name)?.labels ?? {};
  const labels = Object.fromEntries(Object.entries(wanted).filter(([key, value]) => node.labels[key] !== value));
  if (Object.keys(labels).length === 0) return node;
  return client.json<NodeListItem>('PATCH', `/v1/nodes/${segment(node.name)}`, { body: { labels } });
}

/** What a program's log ends with, when that is an error. */
async function lastWords(log: string): Promise<string> {
  const last = (await readFile(log, 'utf8').catch(() => '')).trimEnd().split('\n').at(-1) ?? '';
  return /^error: | error /.test(last) ? `its last words: ${last.slice(0, 300)} (${log})` : `see ${log}`;
}

/** Whether a directory or file is there. */
export async function exists(path: string): Promise<boolean> {
  return access(path).then(() => true, () => false);
}
