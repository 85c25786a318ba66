/** `attach`: input and output of what a container runs itself. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { AttachInfo, AttachQuery } from '../../model/api.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import { Channel } from '../client/channel.ts';
import type { Context } from '../context/file.ts';
import { resolveMaster } from '../context/resolve.ts';
import { ExitError } from '../exit.ts';
import { note, wantsColor, type Io } from '../io.ts';
import { painter } from '../output/color.ts';
import { defaultDetachKeys, parseDetachKeys } from '../terminal/detach-keys.ts';
import { interact, type Outcome, outputTo } from '../terminal/interact.ts';
import { command, type GlobalOptions } from './command.ts';

interface AttachOptions extends GlobalOptions {
  readonly container?: string;
  readonly stdin: boolean;
  readonly sigProxy: boolean;
  readonly detachKeys: string;
}

/** Where an attachment is: so many bytes of output it has shown. */
type Place = NonNullable<AttachQuery['again']> & { readonly places: Record<'stdout' | 'stderr', number> };

const retry = { everyMs: 200, forMs: 30_000 };

export function attachCommand(io: Io): Command {
  return command('attach', 'be in front of what a container runs, from now on', ['tsorch attach games_minecraft', 'tsorch attach --no-stdin voting_vote.1', 'tsorch attach --detach-keys ctrl-x,d games_minecraft.1'])
    .argument('<target>', 'a service (STACK_SERVICE), one pod (STACK_SERVICE.SLOT) or a pod\'s id')
    .option('-c, --container <name>', 'which container of a pod that has several')
    .option('--no-stdin', 'only look at it')
    .option('--no-sig-proxy', 'Ctrl-C ends the attachment, not what it is attached to')
    .option('--detach-keys <keys>', 'keys that leave it running', defaultDetachKeys)
    .action(async (target: string, options: AttachOptions) => {
      const detachKeys = parseDetachKeys(options.detachKeys);
      const context = await resolveMaster(options, io.env);
      const query: AttachQuery = { target, ...(options.container ? { container: options.container } : {}), stdin: options.stdin };
      const outcome = await attachAgain(io, context, query, { ...options, keys: detachKeys });
      if (outcome.kind === 'detached') note(io, `\r\ndetached; ${target} goes on`);
      else if (outcome.code !== 0) throw new ExitError(outcome.code);
    });
}

type Wishes = Pick<AttachOptions, 'sigProxy' | 'detachKeys'> & { readonly keys: Uint8Array };

/** A master or an agent that is started again ends the connection, not what the container runs: the attachment goes on. */
async function attachAgain(io: Io, context: Context, query: AttachQuery, wishes: Wishes): Promise<Outcome> {
  let place: Place | undefined;
  let since = 0;
  for (;;) {
    try {
      return await attach(io, context, { ...query, ...(place ? { again: place } : {}) }, wishes, place === undefined, (now) => {
        place = now;
        since = 0;
      });
    } catch (error) {
      if (!place || io.signal.aborted || !isCode(error, 'unavailable') || since >= retry.forMs) throw error;
      if (since === 0) note(io, `${painter(wantsColor(io, io.stderr))('dim', '[tsorch] the connection was lost; attaching again')}\r`);
      since += retry.everyMs;
      await sleep(retry.everyMs, undefined, { signal: io.signal }).catch(() => {
        throw new TsorchError('aborted', 'interrupted');
      });
    }
  }
}

async function attach(io: Io, context: Context, query: AttachQuery, wishes: Wishes, first: boolean, attached: (place: Place) => void): Promise<Outcome> {
  const connected = Promise.withResolvers<AttachInfo>();
  let places = query.again ? { ...query.again.places } : { stdout: 0, stderr: 0 };
  const write = outputTo(io);
  const channel = new Channel(context, '/v1/attach', query, {
    output: (stream, data) => {
      places[stream] += data.length;
      return write(stream, data);
    },
    info: (text) => {
      const info = JSON.parse(text) as AttachInfo;
      places = { ...info.places };
      attached({ podId: info.podId ?? query.target, attempt: info.attempt, places });
      connected.resolve(info);
    },
  });
  channel.exit.then(() => connected.reject(new TsorchError('internal', 'the master attached to nothing')), (error: unknown) => connected.reject(error as Error));
  const stop = () => channel.close(new TsorchError('aborted', 'interrupted'));
  io.signal.addEventListener('abort', stop, { once: true });
  let info: AttachInfo;
  try {
    info = await connected.promise;
  } finally {
    io.signal.removeEventListener('abort', stop);
  }
  const stdin = query.stdin && info.stdin;
  if (first && io.stderr.isTTY) note(io, painter(wantsColor(io, io.stderr))('dim', introduction(io, info, stdin, wishes)));
  return interact(io, channel, { stdin, tty: info.tty, redraw: info.tty, signals: wishes.sigProxy, detachKeys: wishes.keys });
}

function introduction(io: Io, info: AttachInfo, stdin: boolean, { sigProxy, detachKeys }: Wishes): string {
  const raw = info.tty && stdin && io.stdin.isTTY === true;
  const leave = raw ? (detachKeys === '' ? 'no keys leave it' : `${detachKeys} leaves it`) : sigProxy ? 'Ctrl-C is passed on to it, twice leaves it' : 'Ctrl-C leaves it';
  return `[tsorch] attached to ${info.pod ?? info.container}${stdin ? '' : ', without input'}; ${leave}`;
}
