/** Linux capabilities of a container: Docker's default set, changed by cap_add and cap_drop. */
import { TsorchError } from '../../../model/errors.ts';
import type { OciCapabilities } from './oci.ts';

/** In the kernel's order: the index is the bit. */
const all = (
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE ' +
  'NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN ' +
  'SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE ' +
  'MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE'
)
  .split(' ')
  .map((name) => `CAP_${name}`);

const defaults: ReadonlySet<string> = new Set(
  ['CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID', 'SETFCAP', 'SETPCAP', 'NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL', 'AUDIT_WRITE'].map(
    (name) => `CAP_${name}`,
  ),
);

export interface CapabilityRequest {
  readonly privileged: boolean;
  readonly add: readonly string[];
  readonly drop: readonly string[];
}

export interface CapabilityResult {
  /** In the kernel's order. */
  readonly granted: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * `hostMask` is the agent's own bounding set: what it lacks it cannot give. `ALL` and privileged then give the rest with
 * a warning; a capability asked for by name that is missing is `unsupported`. Unknown names are `invalid`.
 */
export function resolveCapabilities(request: CapabilityRequest, hostMask: bigint): CapabilityResult {
  const add = request.add.map(capabilityName);
  const drop = request.drop.map(capabilityName);
  const has = (name: string) => (hostMask & (1n << BigInt(all.indexOf(name)))) !== 0n;
  const missing = add.find((name) => name !== 'ALL' && !has(name));
  if (missing !== undefined) {
    throw new TsorchError('unsupported', `this host cannot give ${missing}: the agent itself does not have it`, { hint: 'run the agent with that capability, or take it out of cap_add' });
  }
  const everything = request.privileged || add.includes('ALL');
  const granted = all.filter((name) => {
    if (request.privileged) return has(name);
    const base = add.includes('ALL') || (defaults.has(name) && !drop.includes('ALL'));
    return has(name) && (add.includes(name) || (base && !drop.includes(name)));
  });
  const lost = everything ? all.filter((name) => !has(name) && !drop.includes(name)) : [];
  const warnings = lost.length > 0 ? [`the agent lacks ${lost.join(', ')}: a container with all capabilities goes without`] : [];
  return { granted, warnings };
}

/** An unprivileged user starts with none in effect, as after execve; the bounding set is what set-uid programs may gain. */
export function processCapabilities(granted: readonly string[], uid: number): OciCapabilities {
  return uid === 0 ? { bounding: granted, effective: granted, permitted: granted } : { bounding: granted, effective: [], permitted: [] };
}

/** `net_admin`, `CAP_NET_ADMIN` → `CAP_NET_ADMIN`; `ALL` stays. */
function capabilityName(text: string): string {
  const upper = text.toUpperCase();
  if (upper === 'ALL' || upper === 'CAP_ALL') return 'ALL';
  const name = upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
  if (!all.includes(name)) throw new TsorchError('invalid', `${JSON.stringify(text)} is not a capability`, { hint: 'names are those of capabilities(7), such as NET_ADMIN, or ALL' });
  return name;
}
