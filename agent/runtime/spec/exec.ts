/** The OCI process of an exec. It inherits nothing from the container's own process, so everything is said again. */
import { TsorchError } from '../../../model/errors.ts';
import type { ExecRequest } from '../port.ts';
import { processCapabilities } from './capabilities.ts';
import type { OciProcess, OciSpec } from './oci.ts';
import { workingDir } from './process.ts';
import type { Account } from './user.ts';

export function execProcess(spec: OciSpec, request: ExecRequest, account: Account): OciProcess {
  if (request.argv[0] === undefined || request.argv[0] === '') throw new TsorchError('invalid', 'there is no command to run');
  const env = new Map(spec.process.env.map((entry) => [entry.slice(0, entry.indexOf('=')), entry] as const));
  if (request.tty && !env.has('TERM')) env.set('TERM', 'TERM=xterm');
  for (const [name, value] of Object.entries(request.env)) env.set(name, `${name}=${value}`);
  return {
    ...spec.process,
    terminal: request.tty,
    args: request.argv,
    env: [...env.values()],
    cwd: request.workingDir === undefined ? spec.process.cwd : workingDir(request.workingDir, spec.process.cwd),
    user: account,
    capabilities: processCapabilities(spec.process.capabilities.bounding, account.uid),
  };
}
