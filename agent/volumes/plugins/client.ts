/** One call of Docker's plugin protocol: a POST with JSON over a unix socket or TCP, an answer with `Err` in it. */
import { readFile } from 'node:fs/promises';
import { request as plain, type IncomingMessage } from 'node:http';
import { request as secure } from 'node:https';
import { connect } from 'node:net';
import { describeError, TsorchError } from '../../../model/errors.ts';
import { isRecord } from '../../state.ts';
import type { PluginAddress } from './discover.ts';

export interface PluginClient {
  /**
   * The answer's fields. `unavailable` when the plugin does not answer or says `Err`, then with `refused` as its cause; `timeout` when
   * it takes longer than it may.
   */
  call(method: string, body: Readonly<Record<string, unknown>>, timeoutMs: number): Promise<Readonly<Record<string, unknown>>>;
}

/** The plugin answered, and its answer is no. */
export class Refused extends Error {}

export function isRefusal(error: unknown): boolean {
  return error instanceof TsorchError && error.cause instanceof Refused;
}

const accept = 'application/vnd.docker.plugins.v1.2+json';
const mostBytes = 8 << 20;

export function pluginClient(address: PluginAddress): PluginClient {
  const driver = `the volume driver ${address.name}`;
  return {
    async call(method, body, timeoutMs) {
      const signal = AbortSignal.timeout(timeoutMs);
      let answer: { readonly status: number; readonly text: string };
      try {
        answer = await post(address, method, JSON.stringify(body), signal);
      } catch (cause) {
        if (cause instanceof TsorchError) throw cause;
        if (signal.aborted) throw new TsorchError('timeout', `${driver} did not answer ${method} within ${timeoutMs / 1000} s`, { cause, hint: `see the log of the plugin at ${address.url}` });
        throw new TsorchError('unavailable', `${driver} does not answer: ${describeError(cause)}`, { cause, hint: `see whether the plugin at ${address.url} runs` });
      }
      const value = parse(answer.text);
      const said = typeof value?.['Err'] === 'string' ? value['Err'] : '';
      if (said !== '') throw new TsorchError('unavailable', `${driver}: ${said}`, { cause: new Refused(said) });
      if (answer.status !== 200 || !value) {
        const why = `${method} answered ${answer.status}${answer.text === '' ? '' : `: ${answer.text.slice(0, 300).trim()}`}`;
        throw new TsorchError('unavailable', `${driver}: ${why}`, { cause: new Refused(why) });
      }
      return value;
    },
  };
}

/** Whether somebody takes connections there; nothing is asked. */
export function listens(address: PluginAddress, timeoutMs: number): Promise<boolean> {
  const unix = address.url.startsWith('unix://');
  const url = unix ? null : new URL(address.url);
  return new Promise((resolve) => {
    const socket = url === null ? connect({ path: address.url.slice('unix://'.length) }) : connect({ host: url.hostname, port: Number(url.port) || (url.protocol === 'https:' ? 443 : 80) });
    const answer = (yes: boolean) => {
      socket.destroy();
      resolve(yes);
    };
    socket.setTimeout(timeoutMs, () => answer(false)).once('connect', () => answer(true)).once('error', () => answer(false));
  });
}

function parse(text: string): Readonly<Record<string, unknown>> | null {
  try {
    // Some plugins answer with nothing where there is nothing to say.
    const value: unknown = JSON.parse(text.trim() || '{}');
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

async function post(address: PluginAddress, method: string, body: string, signal: AbortSignal): Promise<{ readonly status: number; readonly text: string }> {
  const headers = { accept, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const common = { method: 'POST', headers, signal, agent: false } as const;
  const unix = address.url.startsWith('unix://');
  const base = unix ? null : new URL(address.url);
  const where = base === null ? { socketPath: address.url.slice('unix://'.length), path: `/${method}` } : { hostname: base.hostname.replace(/^\[|\]$/g, ''), port: base.port, path: `${base.pathname.replace(/\/$/, '')}/${method}` };
  const send = base?.protocol === 'https:' ? secure : plain;
  const options = { ...common, ...where, ...(base?.protocol === 'https:' ? await tlsOptions(address) : {}) };
  return await new Promise((resolve, reject) => {
    const call = send(options, (response) => {
      collect(response).then((text) => resolve({ status: response.statusCode ?? 0, text }), reject);
    });
    call.on('error', reject);
    call.end(body);
  });
}

async function collect(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > mostBytes) throw new Error(`an answer of more than ${mostBytes} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

async function tlsOptions({ name, tls }: PluginAddress): Promise<{ readonly rejectUnauthorized: boolean; readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer }> {
  const read = async (file: string | undefined) => {
    try {
      return file === undefined ? undefined : await readFile(file);
    } catch (cause) {
      throw new TsorchError('unavailable', `the volume driver ${name} needs ${file}, which cannot be read: ${describeError(cause)}`, { cause });
    }
  };
  const [ca, cert, key] = await Promise.all([read(tls?.caFile), read(tls?.certFile), read(tls?.keyFile)]);
  // Without a CA of its own there is nothing to check by, as Docker has it.
  return { rejectUnauthorized: tls?.insecure !== true && ca !== undefined, ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) };
}
