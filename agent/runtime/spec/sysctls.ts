/** Kernel parameters that belong to the container's own namespaces; others would change the host. */
import { TsorchError } from '../../../model/errors.ts';

const ipcNames: ReadonlySet<string> = new Set(['kernel.msgmax', 'kernel.msgmnb', 'kernel.msgmni', 'kernel.sem', 'kernel.shmall', 'kernel.shmmax', 'kernel.shmmni', 'kernel.shm_rmid_forced']);
/** Unprivileged users may ping and listen on low ports, in a network namespace of the pod's own. */
const ownNetwork = { 'net.ipv4.ip_unprivileged_port_start': '0', 'net.ipv4.ping_group_range': '0 2147483647' };

export interface SysctlRequest {
  readonly sysctls: Readonly<Record<string, string>>;
  readonly hostNetwork: boolean;
  /** It joins the host's, whose parameters are not the container's to set. */
  readonly hostIpc: boolean;
  readonly hostUts: boolean;
  readonly domainname: string | undefined;
}

/** Throws `invalid` for one that is not namespaced, or belongs to a namespace that is the host's. */
export function resolveSysctls(request: SysctlRequest): Readonly<Record<string, string>> {
  const result: Record<string, string> = request.hostNetwork ? {} : { ...ownNetwork };
  if (request.domainname !== undefined && request.domainname !== '' && !request.hostUts) result['kernel.domainname'] = request.domainname;
  for (const [given, value] of Object.entries(request.sysctls)) {
    const name = dotted(given);
    const network = name.startsWith('net.');
    if (network && request.hostNetwork) {
      throw new TsorchError('invalid', `sysctl ${name} would change the host: the pod has the host's network`, { hint: 'set it on the host, or give the pod a network of its own' });
    }
    const ipc = ipcNames.has(name) || name.startsWith('fs.mqueue.');
    const uts = name === 'kernel.domainname';
    if (ipc && request.hostIpc) throw new TsorchError('invalid', `sysctl ${name} would change the host: the container has the host's ipc`, { hint: 'set it on the host, or leave `ipc: host` out' });
    if (uts && request.hostUts) throw new TsorchError('invalid', `sysctl ${name} would change the host: the container has the host's uts`, { hint: 'leave `uts: host` out' });
    if (!network && !ipc && !uts) {
      throw new TsorchError('invalid', `sysctl ${name} is not one of a container's own: it would change the whole host`, { hint: 'allowed are net.*, fs.mqueue.* and the kernel.msg*, kernel.sem, kernel.shm* ones' });
    }
    result[name] = value;
  }
  return result;
}

export interface SplitSysctls {
  /** What the container's runtime may set. */
  readonly inside: Readonly<Record<string, string>>;
  /** What only root of the host may: parameters of the network, and the domain name. */
  readonly network: Readonly<Record<string, string>>;
  readonly domainname?: string;
}

/** For a container with a user namespace, whose root is not the host's. */
export function splitSysctls(sysctls: Readonly<Record<string, string>>): SplitSysctls {
  const { 'kernel.domainname': domainname, ...rest } = sysctls;
  const entries = Object.entries(rest);
  const isNetwork = ([name]: readonly [string, string]) => name.startsWith('net.');
  return {
    inside: Object.fromEntries(entries.filter((entry) => !isNetwork(entry))),
    network: Object.fromEntries(entries.filter(isNetwork)),
    ...(domainname === undefined ? {} : { domainname }),
  };
}

/** `net/ipv4/conf/eth0.1/rp_filter` is the other notation: there the dots belong to names. */
function dotted(name: string): string {
  const slash = name.indexOf('/');
  const dot = name.indexOf('.');
  if (slash < 0 || (dot >= 0 && dot < slash)) return name;
  return name.replace(/[./]/g, (c) => (c === '/' ? '.' : '/'));
}
