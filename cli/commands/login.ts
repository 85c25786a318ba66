/** `login`: makes a context for a cluster, with a token for people or with credentials that an administrator handed over. */
import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { fetchAuthority, WrongAuthorityError } from '../../lib/pki/peer.ts';
import { createRequest } from '../../lib/pki/request.ts';
import { parseToken } from '../../lib/pki/token.ts';
import type { EnrolReply, EnrolRequest, VersionInfo } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import { ApiClient } from '../client.ts';
import { unreachable } from '../client/transport.ts';
import { contextPath, saveContext, type Context } from '../context/file.ts';
import { masterUrl } from '../context/resolve.ts';
import { UsageError } from '../exit.ts';
import { print, type Io } from '../io.ts';
import { command, type GlobalOptions } from './command.ts';

interface LoginOptions extends GlobalOptions {
  readonly name?: string;
  readonly token?: string;
  readonly user?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly credentials?: string;
}

export function loginCommand(io: Io): Command {
  return command('login', 'remember a cluster and what lets us in', [
    'tsorch login 10.0.0.5 --token "$(cat token)"           # from tsorch token create --role admin',
    'tsorch login https://10.0.0.5:7443 --credentials ./admin   # ca.pem, cert.pem, key.pem',
  ])
    .argument('<master>', 'the master\'s address')
    .option('--token <token>', 'a token for people, of role admin or viewer (or TSORCH_TOKEN)')
    .option('--user <name>', 'who we are, for the certificate that the token brings (default our login name)')
    .option('--credentials <dir>', 'a directory with ca.pem, cert.pem and key.pem, such as the master\'s STATE_DIR/admin')
    .option('--ca <file>', 'the cluster\'s CA certificate')
    .option('--cert <file>', 'our certificate')
    .option('--key <file>', 'its private key')
    .option('--name <name>', 'what to call the cluster here (default its address)')
    .action(async (master: string, options: LoginOptions) => {
      const url = masterUrl(master);
      const token = options.token ?? io.env['TSORCH_TOKEN'];
      const context: Context = { master: url, ...(token === undefined ? await fromFiles(io, options) : await fromToken(io, url, token, options)) };
      const version = await withContext(io, context, (client) => client.get<VersionInfo>('/v1/version'));
      const name = options.name ?? new URL(url).hostname;
      await saveContext(contextPath(io.env), name, context);
      print(io, `logged in to cluster ${version.cluster} as context ${name}`);
    });
}

async function withContext<T>(io: Io, context: Context, use: (client: ApiClient) => Promise<T>): Promise<T> {
  const client = new ApiClient(context, io.signal);
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

/** The token says by its digest which cluster may be believed; only then is it shown to anybody. */
async function fromToken(io: Io, url: string, text: string, options: LoginOptions): Promise<Omit<Context, 'master'>> {
  const token = parseToken(text);
  if (!token) throw new TsorchError('invalid', 'this is not a token, or not the whole of one', { hint: 'an administrator makes one with `tsorch token create --role admin`' });
  if (token.role === 'node') throw new TsorchError('invalid', 'this token is for hosts', { hint: 'for people: `tsorch token create --role admin` or `--role viewer`' });
  const { hostname, port } = new URL(url);
  const ca = await fetchAuthority(hostname, Number(port || 443), token.caDigest).catch((error: unknown) => {
    if (error instanceof WrongAuthorityError) throw new TsorchError('unauthenticated', error.message, { cause: error, hint: 'check the address, and that the token is of this cluster' });
    throw unreachable({ master: url }, error);
  });
  const user = options.user ?? userInfo().username;
  const { csr, privateKey } = await createRequest(`${token.role}:${user}`);
  const body: EnrolRequest = { token: text.trim(), csr, name: user, labels: {} };
  const reply = await withContext(io, { master: url, ca }, (client) => client.json<EnrolReply>('POST', '/v1/enrol', { body }));
  return { ca: reply.ca, cert: reply.certificate, key: privateKey };
}

async function fromFiles(io: Io, options: LoginOptions): Promise<Omit<Context, 'master'>> {
  const { credentials: directory } = options;
  const files = directory === undefined ? { ca: options.ca, cert: options.cert, key: options.key } : { ca: `${directory}/ca.pem`, cert: `${directory}/cert.pem`, key: `${directory}/key.pem` };
  const { ca, cert, key } = files;
  if (!ca || !cert || !key) throw new UsageError('what lets us in? give --token TOKEN, --credentials DIR, or all of --ca, --cert and --key');
  const [caText, certText, keyText] = await Promise.all([ca, cert, key].map((file) => pem(io, file)));
  return { ca: caText ?? '', cert: certText ?? '', key: keyText ?? '' };
}

async function pem(io: Io, file: string): Promise<string> {
  const text = await readFile(resolve(io.cwd, file), 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new TsorchError(error.code === 'ENOENT' ? 'not-found' : 'invalid', `cannot read ${file}: ${error.code === 'ENOENT' ? 'no such file' : error.message}`, { cause: error });
  });
  if (!text.includes('-----BEGIN ')) throw new TsorchError('invalid', `${file} is not a PEM file`);
  return text;
}
