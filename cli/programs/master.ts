/** `tsorch master`: flags to options. */
import { systemClock } from '../../lib/clock.ts';
import { createLog } from '../../lib/log.ts';
import { TsorchError } from '../../model/errors.ts';
import { runMaster } from '../../master/main.ts';
import { UsageError } from '../exit.ts';
import { parseUnderlay } from '../output/values.ts';
import { ownVersion } from '../version.ts';
import type { MasterArguments } from './arguments.ts';
import { readiness } from './ready.ts';
import { settle } from './settle.ts';

/** Runs until the signal fires. */
export async function runMasterProgram(flags: MasterArguments, signal: AbortSignal): Promise<void> {
  const { stateDir, runDir, listen, grpc, etcdEndpoints, name, podCidr, serviceCidr, registryConfig } = flags;
  const log = createLog('master');
  const serving = readiness(process.env, log);
  const underlay = flags.underlay === undefined ? undefined : parseUnderlay(flags.underlay);
  try {
    void settle(systemClock, signal);
    await runMaster({
      stateDir,
      runDir,
      listen: parseListen('--listen', listen),
      grpc: parseListen('--grpc', grpc),
      version: ownVersion(),
      serving,
      log,
      ...(etcdEndpoints === undefined ? {} : { etcdEndpoints: etcdEndpoints.split(',').map((url) => url.trim()).filter(Boolean) }),
      ...(name === undefined ? {} : { name }),
      ...(podCidr === undefined ? {} : { podCidr }),
      ...(serviceCidr === undefined ? {} : { serviceCidr }),
      ...(underlay === undefined ? {} : { underlay }),
      ...(registryConfig === undefined ? {} : { registryConfig }),
    }, signal);
  } catch (error) {
    // Being told to stop while starting is no failure.
    if (!(signal.aborted && (error === signal.reason || (error instanceof TsorchError && error.code === 'aborted')))) throw error;
  }
}

function parseListen(flag: string, text: string): string {
  if (!/^(\d+\.\d+\.\d+\.\d+|\[[0-9a-f:]+\]|[\w.-]+):\d{1,5}$/i.test(text)) throw new UsageError(`${flag} ${text}: write ADDRESS:PORT`);
  return text;
}
