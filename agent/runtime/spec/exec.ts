/** The OCI process of an exec. It inherits nothing from the container's own process, so everything is said again. */
import { TsorchError } from '../../../model/errors.ts';
import type { ExecRequest } from '../port.ts';
import { processCapabilities, resolveCapabilities } from './capabilities.ts';
import type { OciProcess, OciSpec } from './oci.ts';
import { workingDir } from './process.ts';
import type { Account } from './user.ts';

export interface ExecFacts {
  /** The user asked for; null for the container's own. */
  readonly account: Account | null;
  /** The home that passwd gives the container's own user. */
  readonly containerHome: string | null;
  /** Capabilities that the agent itself has, a bit each. */
  readonly hostCapabilities: bigint;
}

/** Another user gets another home, unless the container's home was set on purpose. */
export function execProcess(spec: OciSpec, request: ExecRequest, { account, containerHome, hostCapabilities }: ExecFacts): OciProcess {
  if (request.argv[0] === undefined || request.argv[0] === '') throw new TsorchError('invalid', 'there is no command to run');
  const env = new Map(spec.process.env.map((entry) => [entry.slice(0, entry.indexOf('=')), entry] as const));
  if (account && env.get('HOME') === `HOME=${containerHome}`) env.set('HOME', `HOME=${account.home}`);
  if (request.tty && !env.has('TERM')) env.set('TERM', 'TERM=xterm');
  for (const [name, value] of Object.entries(request.env)) {
    if (value === null) env.delete(name);
    else env.set(name, `${name}=${value}`);
  }
  const { apparmorProfile, ...rest } = spec.process;
  const granted = request.privileged ? resolveCapabilities({ privileged: true, add: [], drop: [] }, hostCapabilities).granted : spec.process.capabilities.bounding;
  return {
    ...rest,
    ...(apparmorProfile === undefined || request.privileged ? {} : { apparmorProfile }),
    terminal: request.tty,
    args: request.argv,
    env: [...env.values()],
    cwd: request.workingDir === undefined ? spec.process.cwd : workingDir(request.workingDir, spec.process.cwd),
    ...(account ? { user: { uid: account.uid, gid: account.gid, additionalGids: account.additionalGids } } : {}),
    capabilities: processCapabilities(granted, (account ?? spec.process.user).uid),
  };
}
