/**
 * Limits that tsorch writes into a container's cgroup itself, because the OCI runtimes cannot: block I/O (see spec/blkio.ts) and
 * realtime time, which has to be there in all the cgroups above first. Between a container's creation and its start.
 */
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { hasErrno } from '../../lib/linux/libc.ts';
import { describeError, TsorchError } from '../../model/errors.ts';
import type { BlkioSpec, ContainerLimits, ContainerSpec } from '../../model/spec.ts';
import type { CgroupLayout } from './cgroup.ts';
import { deviceNumbers } from './devices.ts';
import { blkioDevices, blkioFiles, type BlkioLimits, blkioLimits, blkioWrites, noBlkio } from './spec/blkio.ts';

const defaultPeriod = 1_000_000;

/** What could not be had as asked for. Throws `invalid`, or `unsupported` for realtime time that this kernel does not divide. */
export async function writeCgroupLimits(layout: CgroupLayout, cgroup: string, spec: Pick<ContainerSpec, 'blkio' | 'limits'>): Promise<readonly string[]> {
  if (spec.limits.cpuRealtimeRuntime !== undefined) await writeRealtime(layout, cgroup, spec.limits);
  return spec.blkio === undefined ? [] : await writeBlkio(layout, cgroup, await resolveBlkio(spec.blkio));
}

/** For a running container: `undefined` takes back what was set. */
export async function updateBlkio(layout: CgroupLayout, cgroup: string, blkio: BlkioSpec | undefined): Promise<readonly string[]> {
  const directory = controllerDirectory(layout, 'blkio', cgroup);
  if (directory !== null && !(await stat(directory).catch(() => null))) throw new TsorchError('conflict', `cgroup ${cgroup} is gone`);
  return await writeBlkio(layout, cgroup, blkio === undefined ? noBlkio : await resolveBlkio(blkio));
}

async function resolveBlkio(blkio: BlkioSpec): Promise<BlkioLimits> {
  const numbers = await Promise.all(
    blkioDevices(blkio).map(async (path) => {
      const info = await stat(path).catch(() => null);
      if (!info?.isBlockDevice()) throw new TsorchError('invalid', `blkio_config: ${path} is no block device on this host`, { hint: 'name the disk itself, such as /dev/sda' });
      const { major, minor } = deviceNumbers(info.rdev);
      return [path, `${major}:${minor}`] as const;
    }),
  );
  return blkioLimits(blkio, new Map(numbers));
}

async function writeBlkio(layout: CgroupLayout, cgroup: string, limits: BlkioLimits): Promise<readonly string[]> {
  const version = layout.mode === 'v2' ? 'v2' : 'v1';
  const directory = controllerDirectory(layout, 'blkio', cgroup);
  const texts = directory === null ? [] : await Promise.all(blkioFiles(version).map(async (file) => [file, await readFile(join(directory, file), 'utf8').catch(() => null)] as const));
  const files = Object.fromEntries(texts.flatMap(([file, text]) => (text === null ? [] : [[file, text]])));
  const { writes, warnings } = blkioWrites(version, limits, files);
  const unable: string[] = [];
  for (const { file, text } of writes) {
    try {
      await writeFile(join(directory ?? '', file), text);
    } catch (cause) {
      if (hasErrno(cause, 'EOPNOTSUPP', 'ENOTSUP')) {
        unable.push(`the disk's scheduler knows no weights (BFQ does): ${file} ${JSON.stringify(text)} is left out`);
        continue;
      }
      const partition = hasErrno(cause, 'ENODEV', 'EINVAL');
      throw new TsorchError('invalid', `blkio_config: the kernel does not take ${JSON.stringify(text)} for ${file}: ${describeError(cause)}`, { cause, ...(partition ? { hint: 'name the whole disk, not a partition of it' } : {}) });
    }
  }
  return [...warnings, ...unable];
}

/** The cgroups above give what the container gets, from what they have left or are given for it. */
async function writeRealtime(layout: CgroupLayout, cgroup: string, limits: ContainerLimits): Promise<void> {
  const directory = layout.mode === 'v2' ? null : controllerDirectory(layout, 'cpu', cgroup);
  const runtime = limits.cpuRealtimeRuntime ?? 0;
  const period = limits.cpuRealtimePeriod ?? defaultPeriod;
  if (directory === null || (await readAmount(directory, 'cpu.rt_runtime_us')) === null) {
    throw new TsorchError('unsupported', 'cpu_rt_runtime: the kernel of this host gives no realtime time to containers (it needs cgroup v1 and CONFIG_RT_GROUP_SCHED)', { hint: 'take it out, or place the service on a host that can' });
  }
  if (runtime > period) throw new TsorchError('invalid', `cpu_rt_runtime (${runtime}) is more than cpu_rt_period (${period})`);
  const root = controllerDirectory(layout, 'cpu', '') ?? '/';
  try {
    await ensureRealtime(dirname(directory), root, directory, runtime / period);
    await writeFile(join(directory, 'cpu.rt_runtime_us'), '0');
    await writeFile(join(directory, 'cpu.rt_period_us'), String(period));
    await writeFile(join(directory, 'cpu.rt_runtime_us'), String(runtime));
  } catch (cause) {
    if (!hasErrno(cause, 'EINVAL', 'EBUSY')) throw cause;
    throw new TsorchError('exhausted', `cpu_rt_runtime: this host has no ${runtime} µs of realtime time left in every ${period} µs`, { cause, hint: 'lower it, or those of other containers' });
  }
}

/** `directory` gets room for a share of `needed` in its child `next`, beside what its other children have. */
async function ensureRealtime(directory: string, root: string, next: string, needed: number): Promise<void> {
  if (directory === root || directory === '/') return;
  const entries = await readdir(directory, { withFileTypes: true });
  const others = await Promise.all(entries.filter((entry) => entry.isDirectory() && join(directory, entry.name) !== next).map((entry) => share(join(directory, entry.name))));
  const sum = others.reduce((total, other) => total + other, needed);
  await ensureRealtime(dirname(directory), root, directory, sum);
  if ((await share(directory)) >= sum) return;
  const period = (await readAmount(directory, 'cpu.rt_period_us')) ?? defaultPeriod;
  await writeFile(join(directory, 'cpu.rt_runtime_us'), String(Math.ceil(sum * period)));
}

async function share(directory: string): Promise<number> {
  const [runtime, period] = await Promise.all([readAmount(directory, 'cpu.rt_runtime_us'), readAmount(directory, 'cpu.rt_period_us')]);
  return (runtime ?? 0) / (period ?? defaultPeriod);
}

async function readAmount(directory: string, file: string): Promise<number | null> {
  const text = await readFile(join(directory, file), 'utf8').catch(() => null);
  return text === null ? null : Number(text);
}

function controllerDirectory(layout: CgroupLayout, controller: string, cgroup: string): string | null {
  const v1 = layout.v1.find((hierarchy) => hierarchy.controllers.includes(controller));
  if (v1) return join(v1.directory, cgroup);
  return layout.v2 === null ? null : join(layout.v2, cgroup);
}
