/** Secrets and configs: `ls`, `inspect`, `rm`. */
import type { Command } from 'commander';
import type { FileObjectListItem } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import { segment, type ApiClient } from '../client.ts';
import { print, type Io } from '../io.ts';
import { showList, showValue } from '../output/format.ts';
import type { Column } from '../output/table.ts';
import { command, formatOption, withClient, type FormatOptions, type GlobalOptions } from './command.ts';
import { fileObjectColumns } from './lists.ts';

export function fileObjectCommands(io: Io, kind: 'secret' | 'config'): readonly Command[] {
  return [listCommand<FileObjectListItem>(io, kind, fileObjectColumns), inspectCommand(io, kind), removeCommand(io, kind, `remove ${kind}s that no service uses`)];
}

type Kind = 'secret' | 'config';

function listCommand<T>(io: Io, kind: Kind, columns: readonly Column<T>[]): Command {
  return command('ls', `list ${kind}s`, [`tsorch ${kind} ls`])
    .addOption(formatOption())
    .action((options: FormatOptions) => withClient(io, options, async (client) => showList(io, options.format, await client.get<T[]>(`/v1/${kind}s`), columns)));
}

function inspectCommand(io: Io, kind: Kind): Command {
  return command('inspect', `show a ${kind}`, [`tsorch ${kind} inspect voting_password`])
    .argument('<name>')
    .addOption(formatOption('json').choices(['json', 'yaml']))
    .action((name: string, options: FormatOptions) => withClient(io, options, async (client) => showValue(io, options.format, await findObject(client, kind, name))));
}

/** The API lists these kinds only; one of them is picked here. */
export async function findObject(client: ApiClient, kind: Kind, name: string): Promise<FileObjectListItem> {
  const found = (await client.get<FileObjectListItem[]>(`/v1/${kind}s`)).find((object) => object.name === name);
  if (!found) throw new TsorchError('not-found', `no ${kind} named ${name}`, { hint: `\`tsorch ${kind} ls\` lists them` });
  return found;
}

function removeCommand(io: Io, kind: Kind, description: string): Command {
  return command('rm', description, [`tsorch ${kind} rm NAME`])
    .argument('<name...>')
    .action((names: string[], options: GlobalOptions) =>
      withClient(io, options, async (client) => {
        for (const name of names) {
          await client.json('DELETE', `/v1/${kind}s/${segment(name)}`);
          print(io, `${name} removed`);
        }
      }),
    );
}
