/** One run of the command line: parses, acts, and turns whatever went wrong into one line and an exit code. */
import { CommanderError } from 'commander';
import { readableTrace } from '../deploy/compiled/trace.ts';
import { describeError, TsorchError } from '../model/errors.ts';
import { codeOf, exitCode, ExitError } from './exit.ts';
import { note, wantsColor, type Io } from './io.ts';
import { painter, plain } from './output/color.ts';
import { createProgram } from './program.ts';

export async function run(argv: readonly string[], io: Io): Promise<number> {
  const program = createProgram(io);
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCode.done;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCode.done : exitCode.usage;
    if (error instanceof ExitError) return error.code;
    if (!(io.signal.aborted && error instanceof TsorchError && error.code === 'aborted')) say(io, error, argv.includes('--debug'));
    return codeOf(error);
  }
}

function say(io: Io, error: unknown, debug: boolean): void {
  const paint = painter(wantsColor(io, io.stderr));
  for (const each of error instanceof AggregateError ? error.errors : [error]) {
    const at = each instanceof TsorchError && each.at;
    note(io, `${at ? '' : `${paint('red', 'error:')} `}${plain(describeError(each)).replace(/\s*\n\s*/g, '; ')}`);
  }
  if (debug) note(io, trace(error));
}

/** The stack and those of its causes. */
function trace(error: unknown): string {
  const parts: string[] = [];
  for (let each: unknown = error; each instanceof Error && parts.length < 8; each = each.cause) parts.push(each.stack ?? each.message);
  return readableTrace(parts.join('\ncaused by '));
}
