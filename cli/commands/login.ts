/** `login`: makes a context for a cluster from credentials that an administrator handed over. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { VersionInfo } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import { ApiClient } from '../client.ts';
import { contextPath, saveContext, type Context } from '../context/file.ts';
import { masterUrl } from '../context/resolve.ts';
import { UsageError } from '../exit.ts';
import { print, type Io } from '../io.ts';
import { command, type GlobalOptions } from './command.ts';

interface LoginOptions extends GlobalOptions {
  readonly name?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly credentials?: string;
}

export function loginCommand(io: Io): Command {
  return command('login', 'remember a cluster and the credentials for it', [
    'tsorch login https://10.0.0.5:7443 --credentials ./admin   # ca.pem, cert.pem, key.pem',
    'tsorch login 10.0.0.5 --ca ca.pem --cert me.pem --key me.key --name production',
  ])
    .argument('<master>', 'the master\'s address')
    .option('--credentials <dir>', 'a directory with ca.pem, cert.pem and key.pem, such as the master\'s STATE_DIR/admin')
    .option('--ca <file>', 'the cluster\'s CA certificate')
    .option('--cert <file>', 'our certificate')
    .option('--key <file>', 'its private key')
    .option('--name <name>', 'what to call the cluster (default its address)')
    .action(async (master: string, options: LoginOptions) => {
      const url = masterUrl(master);
      const context: Context = { master: url, ...(await credentials(io, options)) };
      const client = new ApiClient(context, io.signal);
      try {
        const version = await client.get<VersionInfo>('/v1/version');
        const name = options.name ?? new URL(url).hostname;
        await saveContext(contextPath(io.env), name, context);
        print(io, `logged in to cluster ${version.cluster} as context ${name}`);
      } finally {
        client.close();
      }
    });
}

async function credentials(io: Io, options: LoginOptions): Promise<Omit<Context, 'master'>> {
  const { credentials: directory } = options;
  const files = directory === undefined ? { ca: options.ca, cert: options.cert, key: options.key } : { ca: `${directory}/ca.pem`, cert: `${directory}/cert.pem`, key: `${directory}/key.pem` };
  const { ca, cert, key } = files;
  if (!ca || !cert || !key) throw new UsageError('give --credentials DIR, or all of --ca, --cert and --key');
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
