/** Which master a command talks to: `--master`, TSORCH_MASTER, or the current context. */
import { TsorchError } from '../../model/errors.ts';
import { UsageError } from '../exit.ts';
import { contextPath, readContexts, type Context, type ContextFile } from './file.ts';

export interface MasterChoice {
  readonly master?: string;
  readonly context?: string;
}

type Env = Readonly<Record<string, string | undefined>>;

export async function resolveMaster(choice: MasterChoice, env: Env): Promise<Context> {
  return chooseContext(choice, env, await readContexts(contextPath(env)));
}

/**
 * A URL given by hand takes its credentials from the context that has the same URL, else from the chosen one: masters of one
 * cluster share them.
 */
export function chooseContext(choice: MasterChoice, env: Env, file: ContextFile): Context {
  const name = choice.context ?? env['TSORCH_CONTEXT'] ?? file.current;
  const named = name === null ? undefined : file.contexts[name];
  if (!named && (choice.context ?? env['TSORCH_CONTEXT'])) {
    const known = Object.keys(file.contexts);
    throw new TsorchError('not-found', `no context named ${name}`, {
      hint: known.length > 0 ? `known are ${known.join(', ')}` : 'run `tsorch up` or `tsorch login` first',
    });
  }
  const given = choice.master ?? env['TSORCH_MASTER'];
  if (given) {
    const url = masterUrl(given);
    const same = Object.values(file.contexts).find((context) => context.master === url);
    return { ...(same ?? named), master: url };
  }
  if (!named) {
    const known = Object.keys(file.contexts);
    throw new TsorchError('unavailable', 'no master to talk to', {
      hint: known.length > 0 ? `choose a cluster with --context: ${known.join(', ')}` : 'start a cluster on this machine with `tsorch up`, join one with `tsorch login`, or name one with --master URL',
    });
  }
  return named;
}

/** `host`, `host:port` and URLs, to `https://host:port`. */
export function masterUrl(text: string): string {
  const url = URL.parse(/^[a-z]+:\/\//i.test(text) ? text : `https://${text}`);
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:') || url.pathname !== '/') {
    throw new UsageError(`'${text}' is not a master's address; write https://HOST:PORT`);
  }
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    throw new UsageError(`${text}: plain http is for this machine only; write https://${url.host}`);
  }
  const port = url.port || (url.protocol === 'https:' && !/:443$/.test(text) ? String(defaultApiPort) : '');
  return `${url.protocol}//${url.hostname}${port ? `:${port}` : ''}`;
}

export const defaultApiPort = 7443;

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || host.startsWith('127.');
}
