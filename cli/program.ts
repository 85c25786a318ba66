/** The tree of commands, in the order of the help. */
import { Command, type Option } from 'commander';
import { addGlobalOptions } from './commands/command.ts';
import { downCommand, upCommand } from './commands/cluster.ts';
import { applyCommand } from './commands/apply.ts';
import { configCommand, secretCommand } from './commands/config.ts';
import { cpCommand } from './commands/cp.ts';
import { eventsCommand } from './commands/events.ts';
import { attachCommand } from './commands/attach.ts';
import { execCommand } from './commands/exec.ts';
import { imageCommand } from './commands/images.ts';
import { inspectCommand } from './commands/inspect.ts';
import { loginCommand } from './commands/login.ts';
import { logsCommand } from './commands/logs.ts';
import { nodeCommand, nodesCommand } from './commands/nodes.ts';
import { volumeCommand } from './commands/volumes.ts';
import { planCommand } from './commands/plan.ts';
import { programCommands } from './commands/programs.ts';
import { portForwardCommand } from './commands/port-forward.ts';
import { psCommand } from './commands/ps.ts';
import { restartCommand, rollbackCommand, scaleCommand, servicesCommand } from './commands/services.ts';
import { lsCommand, rmCommand } from './commands/stacks.ts';
import { statsCommand } from './commands/stats.ts';
import { tokenCommand } from './commands/tokens.ts';
import { topCommand } from './commands/top.ts';
import { versionCommand } from './commands/version.ts';
import type { Io } from './io.ts';
import { ownVersion } from './version.ts';

export function createProgram(io: Io): Command {
  const program = new Command('tsorch')
    .description('Runs Compose stack files on many hosts.')
    .usage('<command> [options]')
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [command]', 'show a command\'s help')
    .version(ownVersion(), '--version', 'show the version')
    .enablePositionalOptions();
  const sections: readonly (readonly [string, readonly Command[]])[] = [
    ['Clusters on this machine:', [upCommand(io), downCommand(io)]],
    ['Stacks:', [applyCommand(io), planCommand(io), configCommand(io), rmCommand(io), lsCommand(io)]],
    ['Services and pods:', [servicesCommand(io), psCommand(io), logsCommand(io), statsCommand(io), execCommand(io), attachCommand(io), cpCommand(io), portForwardCommand(io), scaleCommand(io), rollbackCommand(io), restartCommand(io)]],
    ['Cluster:', [nodesCommand(io), topCommand(io), nodeCommand(io), imageCommand(io), volumeCommand(io), secretCommand(io), inspectCommand(io), eventsCommand(io)]],
    ['Access:', [loginCommand(io), tokenCommand(io), versionCommand(io)]],
    ['Programs:', programCommands(io)],
  ];
  for (const [heading, commands] of sections) {
    program.commandsGroup(heading);
    for (const each of commands) program.addCommand(each);
  }
  program.hook('preAction', (_program, chosen) => inheritGlobalOptions(program, chosen));
  program.addHelpText('after', '\nStart with `tsorch up`, then `tsorch apply -f stack.yml --wait`.');
  for (const each of withDescendants(program)) prepare(each, io);
  return program;
}

function prepare(each: Command, io: Io): void {
  // `tsorch --master X ps` and `tsorch ps --master X` are the same.
  if (!each.parent || each.commands.length === 0 || each.name() === 'config') addGlobalOptions(each);
  each.configureHelp({
    // `[options]` says nothing: all have some.
    subcommandTerm: (command) => [command.name(), ...command.registeredArguments.map((argument) => usageOf(argument.name(), argument.required, argument.variadic))].join(' '),
    optionDescription: (option) => describeOption(option),
  });
  each.exitOverride();
  each.showSuggestionAfterError(true);
  each.configureOutput({
    writeOut: (text) => void io.stdout.write(text),
    writeErr: (text) => void io.stderr.write(text),
    outputError: (text, write) => write(oneLine(text, each)),
    getOutHelpWidth: () => Math.min(io.stdout.columns ?? 100, 120),
    getErrHelpWidth: () => Math.min(io.stderr.columns ?? 100, 120),
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  });
}

/** What was said before the command counts as said to it; what it was told itself counts more. */
function inheritGlobalOptions(program: Command, chosen: Command): void {
  for (const name of ['master', 'context', 'debug']) {
    const value: unknown = program.getOptionValue(name);
    if (value !== undefined && chosen.getOptionValue(name) === undefined) chosen.setOptionValue(name, value);
  }
}

function usageOf(name: string, required: boolean, variadic: boolean): string {
  const inner = `${name}${variadic ? '...' : ''}`;
  return required ? `<${inner}>` : `[${inner}]`;
}

/** Defaults that say something are shown; that a switch is off is not one of them. */
function describeOption(option: Option): string {
  const choices = option.argChoices ? `: ${option.argChoices.join(', ')}` : '';
  const fallback: unknown = option.defaultValue;
  const isTold = typeof fallback === 'string' && !option.negate;
  return `${option.description}${choices}${isTold ? ` (default ${fallback})` : ''}`;
}

/** commander's words as one line that says what to do. */
function oneLine(text: string, from: Command): string {
  const [first = '', ...rest] = text.trim().split('\n').filter(Boolean);
  const suggestion = /^\(Did you mean (one of )?(.+?)\?\)$/.exec(rest.join(' '));
  const hint = suggestion ? `did you mean ${suggestion[2]}?` : `see \`${pathOf(from)} --help\``;
  return `${first.replace(/\.$/, '')}; ${hint}\n`;
}

function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();
}

function withDescendants(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withDescendants)];
}
