/** The machine's side of a local cluster, for real: namespaces, bridge, cgroups, mounts. Needs root. */
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ensureCgroup } from '../../../deploy/local/cgroups.ts';
import { clusterNames, hostNames, type ClusterNames } from '../../../deploy/local/names.ts';
import { clusterNamespaces, ensureNetwork, removeNetwork, takenSubnets } from '../../../deploy/local/network.ts';
import { isAlive, mustRun, processOf, runCommand, type ProcessId } from '../../../deploy/local/process.ts';
import { decideCluster, type ClusterSpec } from '../../../deploy/local/spec.ts';
import { sweep } from '../../../deploy/local/sweep.ts';
import { abandoned, own } from '../../own.ts';

const base = 't-deploy';

const asRoot = process.getuid?.() === 0 && (await runCommand(['ip', 'netns', 'list']).catch(() => ({ code: 1 }))).code === 0;

describe.skipIf(!asRoot)('a local cluster on the machine', () => {
  let directory: string;
  let names: ClusterNames;
  let spec: ClusterSpec;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'ts-machine-'));
    names = clusterNames(own(base), join(directory, 'state'), join(directory, 'run'));
    // Earlier runs may have been killed.
    for (const index of [1, 2]) {
      for (const left of abandoned('/run/netns', base, 'ts-', `-${index}`)) {
        const earlier = clusterNames(left, names.stateDir, join(directory, 'run'));
        await sweep(earlier);
        await removeNetwork(earlier);
      }
    }
    spec = decideCluster({ name: own(base), nodes: 2 }, null, await takenSubnets());
  });

  afterEach(async () => {
    await sweep(names);
    await removeNetwork(names);
    await rm(directory, { recursive: true, force: true });
  });

  test('hosts reach one another and the machine; a second time there is nothing to do', async () => {
    expect(await ensureNetwork(names, spec)).toEqual([`bridge ${names.bridge}`, 'host node-1', 'host node-2']);
    expect(await ensureNetwork(names, spec)).toEqual([]);
    const [one, two] = [hostNames(names, spec.subnet, 1), hostNames(names, spec.subnet, 2)];
    for (const target of [two.address, spec.subnet.replace('0/24', '1')]) {
      const route = await mustRun(['ip', '-n', one.netns, 'route', 'get', target]);
      expect(route).toContain(`dev eth0 src ${one.address}`);
      // A neighbour entry that resolves proves that frames travel.
      await runCommand(['ip', 'netns', 'exec', one.netns, 'bash', '-c', `exec 3<>/dev/tcp/${target}/9`]);
      expect(await mustRun(['ip', '-n', one.netns, 'neighbour', 'show', target])).toMatch(/lladdr .* (REACHABLE|DELAY|STALE)/);
    }
  });

  test('what was torn out is put back, the rest is left alone', async () => {
    await ensureNetwork(names, spec);
    const namespace = await mustRun(['stat', '-L', '-c', '%i', `/run/netns/ts-${own(base)}-1`]);
    await mustRun(['ip', 'link', 'delete', hostNames(names, spec.subnet, 1).veth]);
    await mustRun(['ip', 'netns', 'delete', `ts-${own(base)}-2`]);
    // What a reboot leaves on a machine whose /run is a disk: a name without a namespace.
    await writeFile(`/run/netns/ts-${own(base)}-2`, '');
    expect(await ensureNetwork(names, spec)).toEqual(['host node-1', 'host node-2']);
    expect(await mustRun(['stat', '-L', '-c', '%i', `/run/netns/ts-${own(base)}-1`])).toBe(namespace);
    await mustRun(['ip', 'link', 'delete', names.bridge]);
    await ensureNetwork(names, spec);
    expect(await mustRun(['ip', 'link', 'show', 'master', names.bridge])).toContain(hostNames(names, spec.subnet, 2).veth);
  });

  test('a subnet that the machine uses is refused', async () => {
    const [taken] = (await takenSubnets(names.bridge)).filter((prefix) => prefix.endsWith('/24'));
    if (taken) await expect(ensureNetwork(names, { ...spec, subnet: taken })).rejects.toThrow('overlaps');
  });

  test('removing it leaves no process, mount, cgroup, namespace or link', async () => {
    await ensureNetwork(names, spec);
    const cgroup = await ensureCgroup(`${names.cgroup}/node-1`);
    await mkdir(join(names.stateDir, 'mnt'), { recursive: true });
    await mustRun(['mount', '-t', 'tmpfs', 'none', join(names.stateDir, 'mnt')]);
    await mkdir(join(names.runDir, 'netns'), { recursive: true });
    await writeFile(join(names.runDir, 'netns', 'pod'), '');
    const inHost = await start(['nsenter', `--net=/run/netns/ts-${own(base)}-1`, 'sleep', '600']);
    // A pod's process: in a namespace of its own that is pinned below the run directory.
    const inPod = await start(['unshare', '--net', 'sh', '-c', `mount --bind /proc/self/ns/net ${names.runDir}/netns/pod; exec sleep 600`]);
    const inCgroup = await start(['sh', '-c', `mkdir -p ${cgroup}/pod; echo $$ >${cgroup}/pod/cgroup.procs; exec sleep 600`]);
    const bystander = await start(['sleep', '600']);
    await expect.poll(() => readFile(`${cgroup}/pod/cgroup.procs`, 'utf8').catch(() => '')).toContain(String(inCgroup.pid));
    await expect.poll(async () => (await mustRun(['findmnt', '-rn', '-t', 'nsfs'])).includes(names.runDir)).toBe(true);

    expect(await sweep(names)).toEqual({ processes: 3, mounts: 2 });
    await removeNetwork(names);

    for (const id of [inHost, inPod, inCgroup]) expect(await isAlive(id)).toBe(false);
    expect(await isAlive(bystander)).toBe(true);
    process.kill(bystander.pid, 'SIGKILL');
    expect(await readFile('/proc/self/mountinfo', 'utf8')).not.toContain(directory);
    await expect(readdir(cgroup)).rejects.toThrow('ENOENT');
    expect(await clusterNamespaces(names)).toEqual([]);
    expect(await mustRun(['ip', '-br', 'link'])).not.toContain(names.bridge);
  });
});

async function start(argv: readonly string[]): Promise<ProcessId> {
  const [file = '', ...args] = argv;
  const child = spawn(file, args, { stdio: 'ignore', detached: true });
  child.unref();
  const id = await processOf(child.pid ?? 0);
  if (!id) throw new Error(`${argv.join(' ')} did not start`);
  return id;
}
