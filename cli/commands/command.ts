/** What every command shares: the options that say where to talk and how to answer, and how its action gets a client. */
import { Command, Option } from 'commander';
import { ApiClient } from '../client.ts';
import { resolveMaster } from '../context/resolve.ts';
import type { Io } from '../io.ts';
import type { Format } from '../output/format.ts';

export interface GlobalOptions {
  readonly master?: string;
  readonly context?: string;
  readonly debug?: boolean;
}

export interface FormatOptions extends GlobalOptions {
  readonly format: Format;
}

/** A command with its examples. The program adds the global options. */
export function command(name: string, description: string, examples: readonly string[] = []): Command {
  const made = new Command(name).description(description).helpOption('-h, --help', 'show this help');
  if (examples.length > 0) made.addHelpText('after', `\nExamples:\n${examples.map((example) => `  ${example}`).join('\n')}`);
  return made;
}

/** A command that only holds others, such as `node`. */
export function group(name: string, description: string, commands: readonly Command[]): Command {
  const made = new Command(name).description(description).helpOption('-h, --help', 'show this help').helpCommand(false);
  made.usage('<command> [options]');
  for (const each of commands) made.addCommand(each);
  return made;
}

export function addGlobalOptions(to: Command): void {
  to.optionsGroup('Global options:')
    .option('--master <url>', 'the master to talk to (or TSORCH_MASTER)')
    .option('--context <name>', 'the context to use (or TSORCH_CONTEXT)')
    .option('--debug', 'show where errors come from');
}

export function formatOption(fallback: Format = 'table'): Option {
  return new Option('--format <format>', 'how to answer').choices(['table', 'json', 'yaml']).default(fallback);
}

/** Runs `use` with a client of the chosen master and closes it afterwards. */
export async function withClient<T>(io: Io, options: GlobalOptions, use: (client: ApiClient) => Promise<T>): Promise<T> {
  const client = new ApiClient(await resolveMaster(options, io.env), io.signal);
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

/** For options that may be given several times. */
export function collect(value: string, previous: readonly string[] = []): string[] {
  return [...previous, value];
}
