import { describe, expect, test } from 'vitest';
import { createProgram } from '../../../cli/program.ts';
import type { Io } from '../../../cli/io.ts';
import { runCli, transcript } from './harness.ts';

const io = { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, env: {}, cwd: '/', now: () => 0, signal: new AbortController().signal } satisfies Io;

const commands = createProgram(io).commands.filter((command) => command.name() !== 'help');

describe('help', () => {
  test.each(['', ...commands.map((command) => command.name())])('of tsorch %s', async (name) => {
    const argv = [...(name ? [name] : []), '--help'];
    const result = await runCli(argv);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    await expect(transcript(argv, result)).toMatchFileSnapshot(`./expected/help-${name || 'tsorch'}.txt`);
  });

  test('shows an example for every command that does something', async () => {
    for (const command of commands) {
      for (const leaf of command.commands.length > 0 ? command.commands : [command]) {
        const argv = command === leaf ? [command.name()] : [command.name(), leaf.name()];
        const { stdout } = await runCli([...argv, '--help']);
        expect(stdout, argv.join(' ')).toContain('Examples:\n  tsorch ');
      }
    }
  });
});
