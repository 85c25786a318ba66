import { hasErrno } from '../../lib/linux/libc.ts';
import { TsorchError } from '../../model/errors.ts';
import type { ErrorCode } from '../../model/errors.ts';

/** Runs kernel work; what the kernel refuses becomes a TsorchError that says what was being done. */
export function translate<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof TsorchError || !(error instanceof Error)) throw error;
    const { code, hint } = classify(error);
    throw new TsorchError(code, `${what}: ${error.message}`, { cause: error, ...(hint && { hint }) });
  }
}

function classify(error: Error): { readonly code: ErrorCode; readonly hint?: string } {
  if (hasErrno(error, 'EPERM', 'EACCES')) return { code: 'forbidden', hint: 'run the agent as root, or give it CAP_NET_ADMIN and CAP_SYS_ADMIN' };
  if (hasErrno(error, 'EOPNOTSUPP', 'EAFNOSUPPORT', 'EPROTONOSUPPORT')) return { code: 'unsupported', hint: 'the kernel needs veth, vxlan and network namespaces (modprobe veth vxlan)' };
  if (hasErrno(error, 'EMFILE', 'ENFILE', 'ENOMEM', 'ENOBUFS', 'ENOSPC')) return { code: 'exhausted' };
  if (hasErrno(error, 'ENETUNREACH', 'EHOSTUNREACH', 'ENETDOWN', 'EINTR', 'EBUSY')) return { code: 'unavailable' };
  // Text that is no address.
  if (error instanceof RangeError) return { code: 'invalid' };
  return { code: 'internal' };
}
