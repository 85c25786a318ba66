/** `version`: ours and the master's. Works without a master too. */
import type { Command } from 'commander';
import type { VersionInfo } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import { print, type Io } from '../io.ts';
import { showValue } from '../output/format.ts';
import { ownVersion } from '../version.ts';
import { command, formatOption, withClient, type FormatOptions } from './command.ts';

export function versionCommand(io: Io): Command {
  return command('version', 'show the versions of this program and of the master', ['tsorch version'])
    .addOption(formatOption())
    .action(async (options: FormatOptions) => {
      const client = ownVersion();
      const master = await withClient(io, options, (api) => api.get<VersionInfo>('/v1/version')).catch((error: unknown) => {
        if (error instanceof TsorchError && error.code === 'unavailable') return null;
        throw error;
      });
      if (options.format !== 'table') return showValue(io, options.format, { client, master });
      print(io, `tsorch  ${client}`);
      print(io, master ? `master  ${master.version} (cluster ${master.cluster})` : 'master  not reachable');
    });
}
