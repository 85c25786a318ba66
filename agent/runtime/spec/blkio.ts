/**
 * Block I/O limits as the kernel's cgroup files take them. tsorch writes those itself, between a container's creation and its
 * start: the runtimes know only the file names of a scheduler that is gone (crun fails on `blkio.weight`), and cannot take a
 * limit back.
 */
import type { BlkioSpec } from '../../../model/spec.ts';

/** Device paths resolved to `MAJOR:MINOR`. */
export interface BlkioLimits {
  readonly weight?: number;
  readonly weights: readonly DeviceAmount[];
  readonly rates: Readonly<Record<RateKind, readonly DeviceAmount[]>>;
}

export interface DeviceAmount {
  /** `254:0` */
  readonly device: string;
  readonly amount: number;
}

export type RateKind = 'deviceReadBps' | 'deviceWriteBps' | 'deviceReadIops' | 'deviceWriteIops';

export const rateKinds: readonly RateKind[] = ['deviceReadBps', 'deviceWriteBps', 'deviceReadIops', 'deviceWriteIops'];

export interface CgroupWrite {
  readonly file: string;
  readonly text: string;
}

export interface BlkioResult {
  /** In order; the kernel takes one device per write. */
  readonly writes: readonly CgroupWrite[];
  readonly warnings: readonly string[];
}

export const noBlkio: BlkioLimits = { weights: [], rates: { deviceReadBps: [], deviceWriteBps: [], deviceReadIops: [], deviceWriteIops: [] } };

interface WeightFile {
  readonly file: string;
  /** Of weights of one device, where that is another file. */
  readonly deviceFile: string;
  readonly initial: number;
  readonly scale: (weight: number) => number;
}

const asIs = (weight: number) => weight;
/** 10…1000 → 1…10000, as the kernel's documentation maps the old range to the new one. */
const wide = (weight: number) => 1 + Math.floor(((weight - 10) * 9999) / 990);

const weightFiles: Readonly<Record<'v1' | 'v2', readonly WeightFile[]>> = {
  v1: [
    { file: 'blkio.weight', deviceFile: 'blkio.weight_device', initial: 500, scale: asIs },
    { file: 'blkio.bfq.weight', deviceFile: 'blkio.bfq.weight_device', initial: 100, scale: asIs },
  ],
  v2: [
    { file: 'io.bfq.weight', deviceFile: 'io.bfq.weight', initial: 100, scale: asIs },
    { file: 'io.weight', deviceFile: 'io.weight', initial: 100, scale: wide },
  ],
};

const rateFiles: Readonly<Record<RateKind, { readonly v1: string; readonly v2: string }>> = {
  deviceReadBps: { v1: 'blkio.throttle.read_bps_device', v2: 'rbps' },
  deviceWriteBps: { v1: 'blkio.throttle.write_bps_device', v2: 'wbps' },
  deviceReadIops: { v1: 'blkio.throttle.read_iops_device', v2: 'riops' },
  deviceWriteIops: { v1: 'blkio.throttle.write_iops_device', v2: 'wiops' },
};

/** Every file that `blkioWrites` may want to see. */
export function blkioFiles(version: 'v1' | 'v2'): readonly string[] {
  const weights = weightFiles[version].flatMap(({ file, deviceFile }) => [file, deviceFile]);
  return [...new Set([...weights, ...(version === 'v1' ? rateKinds.map((kind) => rateFiles[kind].v1) : ['io.max'])])];
}

/**
 * What brings the files to the limits, from `files`: their texts by name, of those that there are. What is set there and not
 * asked for is taken back. A file that this kernel does not have is a warning.
 */
export function blkioWrites(version: 'v1' | 'v2', limits: BlkioLimits, files: Readonly<Record<string, string>>): BlkioResult {
  const weights = weightWrites(version, limits, files);
  const rates = version === 'v1' ? rateWrites(limits, files) : maxWrites(limits, files);
  return { writes: [...weights.writes, ...rates.writes], warnings: [...weights.warnings, ...rates.warnings] };
}

function weightWrites(version: 'v1' | 'v2', limits: BlkioLimits, files: Readonly<Record<string, string>>): BlkioResult {
  const here = weightFiles[version].find(({ file }) => file in files);
  const asked = limits.weight !== undefined || limits.weights.length > 0;
  if (!here) return { writes: [], warnings: asked ? ['the kernel has no block I/O weights (they need the BFQ scheduler): blkio weights are left out'] : [] };
  const { file, deviceFile, scale } = here;
  const weight = limits.weight === undefined ? here.initial : scale(limits.weight);
  const now = Number(/^(?:default )?(\d+)$/m.exec(files[file] ?? '')?.[1]);
  const devices = changes(devicesIn(files[deviceFile]), limits.weights, (amount) => String(scale(amount)), 'default');
  return { writes: [...(now === weight ? [] : [{ file, text: String(weight) }]), ...devices.map((text) => ({ file: deviceFile, text }))], warnings: [] };
}

function rateWrites(limits: BlkioLimits, files: Readonly<Record<string, string>>): BlkioResult {
  const results = rateKinds.map((kind): BlkioResult => {
    const file = rateFiles[kind].v1;
    const wanted = limits.rates[kind];
    if (!(file in files)) return missingRates(wanted.length > 0, file);
    return { writes: changes(devicesIn(files[file]), wanted, String, '0').map((text) => ({ file, text })), warnings: [] };
  });
  return { writes: results.flatMap((result) => result.writes), warnings: results.flatMap((result) => result.warnings) };
}

/** cgroup v2 has one line per device with all four rates in it. */
function maxWrites(limits: BlkioLimits, files: Readonly<Record<string, string>>): BlkioResult {
  const devices = new Set(rateKinds.flatMap((kind) => limits.rates[kind].map(({ device }) => device)));
  const text = files['io.max'];
  if (text === undefined) return missingRates(devices.size > 0, 'io.max');
  const all = new Set([...devices, ...devicesIn(text)]);
  const rate = (kind: RateKind, device: string) => limits.rates[kind].findLast((item) => item.device === device)?.amount ?? 'max';
  return { writes: [...all].map((device) => ({ file: 'io.max', text: `${device} ${rateKinds.map((kind) => `${rateFiles[kind].v2}=${rate(kind, device)}`).join(' ')}` })), warnings: [] };
}

function missingRates(asked: boolean, file: string): BlkioResult {
  return { writes: [], warnings: asked ? [`the kernel cannot limit block I/O (no ${file}): blkio rates are left out`] : [] };
}

/** Lines `DEVICE VALUE` that set what is wanted and put back what is not. */
function changes(present: readonly string[], wanted: readonly DeviceAmount[], say: (amount: number) => string, back: string): readonly string[] {
  const gone = present.filter((device) => !wanted.some((item) => item.device === device));
  return [...gone.map((device) => `${device} ${back}`), ...wanted.map(({ device, amount }) => `${device} ${say(amount)}`)];
}

function devicesIn(text: string | undefined): readonly string[] {
  return (text ?? '').split('\n').flatMap((line) => /^(\d+:\d+) /.exec(line)?.[1] ?? []);
}

/** The device paths that the spec names. */
export function blkioDevices(blkio: BlkioSpec): readonly string[] {
  return [...new Set([...blkio.weightDevice, ...rateKinds.flatMap((kind) => blkio[kind])].map(({ path }) => path))];
}

/** With the devices' numbers by path in place of the paths. */
export function blkioLimits(blkio: BlkioSpec, numbers: ReadonlyMap<string, string>): BlkioLimits {
  const device = (path: string) => numbers.get(path) ?? '';
  const rates = (kind: RateKind) => blkio[kind].map(({ path, rate }) => ({ device: device(path), amount: rate }));
  return {
    ...(blkio.weight === undefined ? {} : { weight: blkio.weight }),
    weights: blkio.weightDevice.map(({ path, weight }) => ({ device: device(path), amount: weight })),
    rates: { deviceReadBps: rates('deviceReadBps'), deviceWriteBps: rates('deviceWriteBps'), deviceReadIops: rates('deviceReadIops'), deviceWriteIops: rates('deviceWriteIops') },
  };
}
