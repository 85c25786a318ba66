/** `port-forward`: ports of this machine led to ports of a pod. */
import type { Command } from 'commander';
import type { PodListItem } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import { forward, type Forward, type Forwarding } from '../client/forward.ts';
import { UsageError } from '../exit.ts';
import { note, print, type Io } from '../io.ts';
import { command, withClient, type GlobalOptions } from './command.ts';

interface ForwardOptions extends GlobalOptions {
  readonly address: string;
}

export function portForwardCommand(io: Io): Command {
  return command('port-forward', 'lead ports of this machine to ports of a pod', [
    'tsorch port-forward voting_db 5432', 'tsorch port-forward voting_vote.1 8080:80 9229', 'tsorch port-forward shop_dns 5353:53/udp', 'tsorch port-forward voting_db :5432   # any free port',
  ])
    .argument('<target>', 'a service (STACK_SERVICE; each connection goes to a pod that runs then), one pod (STACK_SERVICE.SLOT) or a pod\'s id')
    .argument('<ports...>', '[LOCAL:]REMOTE[/udp]; servers that listen on the pod\'s localhost are reached too')
    .option('--address <ip>', 'where to listen', '127.0.0.1')
    .action((target: string, words: string[], options: ForwardOptions) => {
      const wanted = words.map((word): Forward => ({ target, address: options.address, ...parseForward(word) }));
      return withClient(io, options, async (client) => {
        // Says at once when there is no such thing.
        await client.get<PodListItem[]>('/v1/pods', { target });
        const open: Forwarding[] = [];
        try {
          for (const each of wanted) {
            const opened = await forward(client.context, each, (words) => note(io, `error: port ${each.remote} of ${target}: ${words}`));
            open.push(opened);
            print(io, `${each.address}:${opened.local} leads to port ${each.remote}${each.protocol === 'udp' ? '/udp' : ''} of ${target}`);
          }
          await new Promise<void>((resolve) => {
            if (io.signal.aborted) resolve();
            else io.signal.addEventListener('abort', () => resolve(), { once: true });
          });
          throw new TsorchError('aborted', 'interrupted');
        } finally {
          for (const each of open) each.close();
        }
      });
    });
}

/** `80`, `8080:80`, `:80`, each perhaps with `/tcp` or `/udp`. */
export function parseForward(word: string): Pick<Forward, 'local' | 'remote' | 'protocol'> {
  const [, local, remote, protocol] = /^(?:(\d{0,5}):)?(\d{1,5})(?:\/(tcp|udp))?$/.exec(word) ?? [];
  const port = (text: string) => (Number(text) <= 65_535 ? Number(text) : undefined);
  const to = remote === undefined ? undefined : port(remote);
  const from = local === undefined ? to : local === '' ? 0 : port(local);
  if (!to || from === undefined) throw new UsageError(`'${word}' is no port to forward; write REMOTE, LOCAL:REMOTE or :REMOTE, for example 8080:80`);
  return { local: from, remote: to, protocol: protocol === 'udp' ? 'udp' : 'tcp' };
}
