/** `token create|ls|rm`: what hosts and people join with. */
import { type Command, Option } from 'commander';
import { segment } from '../client.ts';
import { print, type Io } from '../io.ts';
import { showList } from '../output/format.ts';
import type { Column } from '../output/table.ts';
import { formatElapsed, parseDuration } from '../output/values.ts';
import { command, formatOption, group, withClient, type FormatOptions } from './command.ts';

/** One of GET /v1/tokens; never the secret itself. */
interface TokenListItem {
  readonly id: string;
  readonly role: string;
  readonly expiresAt?: number | null;
}

interface CreateOptions extends FormatOptions {
  readonly role: string;
  readonly ttl: string;
}

export function tokenCommand(io: Io): Command {
  return group('token', 'deal with join tokens: create, ls, rm', [createCommand(io), listCommand(io), removeCommand(io)]);
}

function createCommand(io: Io): Command {
  return command('create', 'make a token that lets a host join', ['tsorch token create', 'tsorch token create --ttl 10m'])
    .addOption(new Option('--role <role>', 'what the bearer becomes').choices(['node', 'admin', 'viewer']).default('node'))
    .option('--ttl <time>', 'how long it can be used', '24h')
    .addOption(formatOption())
    .action((options: CreateOptions) => {
      const ttlMs = parseDuration(options.ttl);
      return withClient(io, options, async (client) => {
        const made = await client.json<{ readonly token: string }>('POST', '/v1/tokens', { body: { role: options.role, ttlMs } });
        // The bare token on a line of its own, for $(tsorch token create).
        print(io, options.format === 'table' ? made.token : JSON.stringify(made));
      });
    });
}

function listCommand(io: Io): Command {
  const columns = (now: number): readonly Column<TokenListItem>[] => [
    { head: 'ID', cell: (token) => token.id },
    { head: 'ROLE', cell: (token) => token.role },
    { head: 'EXPIRES', cell: (token) => (typeof token.expiresAt !== 'number' ? 'never' : token.expiresAt <= now ? 'expired' : `in ${formatElapsed(token.expiresAt - now)}`) },
  ];
  return command('ls', 'list tokens', ['tsorch token ls'])
    .addOption(formatOption())
    .action((options: FormatOptions) =>
      withClient(io, options, async (client) => showList(io, options.format, await client.get<TokenListItem[]>('/v1/tokens'), columns(io.now()))),
    );
}

function removeCommand(io: Io): Command {
  return command('rm', 'make tokens useless', ['tsorch token rm ID'])
    .argument('<id...>')
    .action((ids: string[], options: FormatOptions) =>
      withClient(io, options, async (client) => {
        for (const id of ids) {
          await client.json('DELETE', `/v1/tokens/${segment(id)}`);
          print(io, `${id} removed`);
        }
      }),
    );
}
