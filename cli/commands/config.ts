/** `config -f`: the stack as it is understood, nothing sent anywhere. */
import type { Command } from 'commander';
import { print, type Io } from '../io.ts';
import { addStackOptions, loadStackFiles, type StackOptions } from '../stack/load.ts';
import { group, command, formatOption, type FormatOptions } from './command.ts';
import { fileObjectCommands } from './objects.ts';

interface ConfigOptions extends FormatOptions, StackOptions {
  readonly quiet: boolean;
  readonly services: boolean;
}

/**
 * The word has two meanings, and both are fixed: `config -f FILE` resolves a stack, `config ls|inspect|rm` deals with config
 * objects. Subcommands take precedence, options alone go to the stack.
 */
export function configCommand(io: Io): Command {
  const config = command('config', 'show the fully resolved stack; or deal with configs: ls, inspect, rm', ['tsorch config -f stack.yml', 'tsorch config -f stack.yml -q && echo valid', 'tsorch config ls'])
    .option('-q, --quiet', 'only say whether it is valid', false)
    .option('--services', 'only the services\' names', false)
    .addOption(formatOption('yaml').choices(['yaml', 'json']))
    // What stands behind ls is for ls: both have a --format.
    .enablePositionalOptions();
  for (const each of fileObjectCommands(io, 'config')) config.addCommand(each);
  return addStackOptions(config).action(async (options: ConfigOptions) => {
    const { compose } = await loadStackFiles(io, options);
    if (options.quiet) return;
    if (options.services) for (const name of Object.keys(compose.services)) print(io, name);
    else print(io, (await import('../../model/stack/canonical.ts')).printCompose(compose, options.format === 'json' ? 'json' : 'yaml'));
  });
}

export function secretCommand(io: Io): Command {
  return group('secret', 'deal with secrets: ls, inspect, rm', fileObjectCommands(io, 'secret'));
}
