/**
 * What the local driver's options mount, as Docker's does: `type`, `o` and `device` go to mount(2), and a host name in `addr=` is
 * looked up before, because the kernel takes addresses only.
 */
import { isIP } from 'node:net';
import { TsorchError } from '../../model/errors.ts';
import { localOptionsProblem } from '../../model/volumes.ts';

export interface MountPlan {
  readonly type: string;
  readonly options: string;
  readonly device: string;
}

/** Null when the volume is a plain directory. Throws `invalid` for options that make no sense. */
export function mountPlan(volume: string, driverOpts: Readonly<Record<string, string>>): MountPlan | null {
  const problem = localOptionsProblem(driverOpts);
  if (problem) throw new TsorchError('invalid', `volume ${volume}: ${problem.message}`, { hint: problem.hint });
  const { type = '', o = '', device = '' } = driverOpts;
  if (type === '' && device === '') return null;
  return { type: type || 'none', options: o, device: device || type };
}

/** Looks up `addr=NAME`; without one, the host that an NFS or CIFS device begins with. */
export async function withAddress(plan: MountPlan, lookup: (host: string) => Promise<string>): Promise<MountPlan> {
  const nfs = /^nfs4?$/.test(plan.type);
  if (!nfs && plan.type !== 'cifs' && plan.type !== 'smb3') return plan;
  const options = plan.options.split(',').filter((option) => option !== '');
  const at = options.findIndex((option) => option.startsWith('addr='));
  const named = at >= 0 ? (options[at] ?? '').slice('addr='.length) : hostOf(plan.device, nfs);
  if (named === '') {
    if (nfs) throw new TsorchError('invalid', `the server of ${plan.device} is not said`, { hint: 'add addr=SERVER to o, or write device as SERVER:/PATH' });
    return plan;
  }
  const address = isIP(named) > 0 ? named : await lookup(named);
  const added = `addr=${address}`;
  return { ...plan, options: (at >= 0 ? options.with(at, added) : [...options, added]).join(',') };
}

/** `server:/export`, `[fe80::1]:/export`, `//server/share`. */
function hostOf(device: string, nfs: boolean): string {
  const found = nfs ? /^(?:\[([^\]]+)\]|([^:/]+)):/.exec(device) : /^(?:\/\/|\\\\)([^/\\]+)/.exec(device);
  return found?.[1] ?? found?.[2] ?? '';
}

export interface Failure {
  /** What mount(8) printed. */
  readonly said: string;
  readonly timedOut: boolean;
  /** The device is on this host, or is none of the host's paths. */
  readonly device: boolean;
  /** The kernel has a file system of this type. */
  readonly type: boolean;
}

/** The failure of a mount in words that say what is missing, and where. Passwords among the options are not repeated. */
export function explainMount(plan: MountPlan, failure: Failure): TsorchError {
  const { type, device } = plan;
  const said = lastLine(failure.said).replaceAll(/(pass(?:word)?\d?=)[^,\s]*/g, '$1…');
  const what = `mounting ${device} (${type}) failed`;
  const fail = (code: 'unavailable' | 'timeout', why: string, hint?: string) => new TsorchError(code, `${what}: ${why}`, hint === undefined ? {} : { hint });
  if (failure.timedOut) return fail('timeout', 'it took longer than a minute', 'check that the server answers from this node');
  if (!failure.type || /unknown filesystem type/i.test(said)) return fail('unavailable', `this node's kernel has no file system type ${type}`, type.startsWith('nfs') || type === 'cifs' ? `load it there: modprobe ${type === 'nfs4' ? 'nfs' : type}` : `check type, or load it there: modprobe ${type}`);
  if (!failure.device) return fail('unavailable', type === 'none' ? `${device} is not on this node` : `there is no device ${device} on this node`, type === 'none' ? 'create it there, or change device' : 'attach it there, or bind the volume to the node that has it: tsorch volume create --node');
  if (/requested NFS version|Protocol not supported/i.test(said)) return fail('unavailable', said, 'say the version in o: vers=4, or vers=3,nolock');
  if (/bad option|bad superblock|wrong fs type|Invalid argument/i.test(said)) {
    const hint = type.startsWith('nfs') ? 'see dmesg on that node for which option it was; the kernel needs addr=, and for version 3 without rpc.statd nolock' : `the device holds no ${type}, or the kernel knows an option in o not: dmesg on that node says which`;
    return fail('unavailable', `the kernel refused it${said === '' ? '' : ` (${said})`}`, hint);
  }
  if (/permission denied|Operation not permitted/i.test(said)) return fail('unavailable', said, 'check the export\'s access list, or the credentials in o');
  return fail('unavailable', said === '' ? 'mount said nothing' : said);
}

/** `mount: /path: what happened.` and its advice about dmesg. */
function lastLine(text: string): string {
  const lines = text.split('\n').map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('dmesg(1)'));
  return (lines[0] ?? '').replace(/^mount: (?:[^:]*: )?/, '').replace(/\.$/, '');
}
