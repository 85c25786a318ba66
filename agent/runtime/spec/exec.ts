/** The OCI process of an exec. It inherits nothing from the container's own process, so everything is said again. */
import { TsorchError } from '../../../model/errors.ts';
import type { ExecRequest } from '../port.ts';
import { processCapabilities } from './capabilities.ts';
import type { OciProcess, OciSpec } from './oci.ts';
import { workingDir } from './process.ts';
import type { Account } from './user.ts';

/**
 * `account` is the one asked for, null for the container's own. Another user gets another home, unless the container's
 * home was set on purpose: `containerHome` is what it would be otherwise.
 */
export function execProcess(spec: OciSpec, request: ExecRequest, account: Account | null, containerHome: string | null): OciProcess {
  if (request.argv[0] === undefined || request.argv[0] === '') throw new TsorchError('invalid', 'there is no command to run');
  const env = new Map(spec.process.env.map((entry) => [entry.slice(0, entry.indexOf('=')), entry] as const));
  if (account && env.get('HOME') === `HOME=${containerHome}`) env.set('HOME', `HOME=${account.home}`);
  if (request.tty && !env.has('TERM')) env.set('TERM', 'TERM=xterm');
  for (const [name, value] of Object.entries(request.env)) env.set(name, `${name}=${value}`);
  return {
    ...spec.process,
    terminal: request.tty,
    args: request.argv,
    env: [...env.values()],
    cwd: request.workingDir === undefined ? spec.process.cwd : workingDir(request.workingDir, spec.process.cwd),
    ...(account ? { user: { uid: account.uid, gid: account.gid, additionalGids: account.additionalGids } } : {}),
    capabilities: processCapabilities(spec.process.capabilities.bounding, (account ?? spec.process.user).uid),
  };
}
