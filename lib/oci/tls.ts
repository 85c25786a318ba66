/** Whom a registry's endpoint trusts and who it is: the system's certificates, Docker's directory, and the configuration. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createSecureContext, getCACertificates, rootCertificates } from 'node:tls';
import { TsorchError } from '../../model/errors.ts';
import type { TlsSettings } from './http.ts';
import type { RegistrySettings } from './registries.ts';

export const dockerCertificates = '/etc/docker/certs.d';

let system: readonly string[] | undefined;

/** `host` with its port is a directory below `directory`: `*.crt` are CAs, `*.cert` with `*.key` what one shows. Throws `invalid` for files that cannot be used. */
export async function loadTls(host: string, settings: RegistrySettings, directory: string = dockerCertificates): Promise<TlsSettings> {
  const own = await directoryOf(join(directory, host));
  const extra = await Promise.all([...own.ca, ...settings.ca].map(pem));
  const client = settings.client ?? own.client;
  const identity = client === undefined ? {} : { cert: await pem(client.cert), key: await pem(client.key) };
  try {
    const ca = [...systemCertificates(), ...extra];
    const elsewhere = createSecureContext({ ca });
    return { secureContext: client === undefined ? elsewhere : createSecureContext({ ca, ...identity }), elsewhere, verify: !settings.insecure };
  } catch (cause) {
    const files = [...own.ca, ...settings.ca, ...(client === undefined ? [] : [client.cert, client.key])];
    throw new TsorchError('invalid', `the certificates for ${host} cannot be used: ${(cause as Error).message}`, { cause, hint: `look into ${files.join(', ')}` });
  }
}

async function directoryOf(path: string): Promise<{ readonly ca: readonly string[]; readonly client?: { readonly cert: string; readonly key: string } }> {
  const names = (await readdir(path).catch((): string[] => [])).sort();
  const cert = names.find((name) => name.endsWith('.cert'));
  const key = cert?.replace(/\.cert$/, '.key');
  return {
    ca: names.filter((name) => name.endsWith('.crt')).map((name) => join(path, name)),
    ...(cert !== undefined && key !== undefined && names.includes(key) ? { client: { cert: join(path, cert), key: join(path, key) } } : {}),
  };
}

async function pem(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new TsorchError('invalid', `${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/** Once per process. A system without certificates of its own gets those that Node brings. */
function systemCertificates(): readonly string[] {
  if (system) return system;
  const found = getCACertificates('system');
  system = found.length > 0 ? found : rootCertificates;
  return system;
}
