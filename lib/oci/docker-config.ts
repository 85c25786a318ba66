/** Credentials as Docker keeps them: in its config file, or with a helper program that the file names. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { TsorchError } from '../../model/errors.ts';
import type { RegistryCredentials } from './credentials.ts';
import { defaultRegistry } from './reference.ts';

/** `~/.docker/config.json`, as far as it is about credentials. */
export interface DockerConfig {
  readonly path: string;
  /** Entries by what `docker login` was told, usually the host. */
  readonly auths: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
  readonly helpers: ReadonlyMap<string, string>;
  readonly store: string | null;
}

/** Asks `docker-credential-NAME` for a server's credentials; null when it has none. */
export type CredentialHelper = (name: string, server: string, signal: AbortSignal) => Promise<RegistryCredentials | null>;

/** What Docker Hub is called in the file. */
const hubServer = 'https://index.docker.io/v1/';

/** An empty configuration when there is no file. Throws `invalid` when it cannot be understood. */
export async function readDockerConfig(env: Readonly<Record<string, string | undefined>>): Promise<DockerConfig> {
  const path = join(env['DOCKER_CONFIG'] || join(env['HOME'] || homedir(), '.docker'), 'config.json');
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return { path, auths: new Map(), helpers: new Map(), store: null };
    throw new TsorchError('invalid', `${path} cannot be read: ${message}`, { cause });
  }
  return parseDockerConfig(text, path);
}

export function parseDockerConfig(text: string, path: string): DockerConfig {
  let value: { readonly auths?: unknown; readonly credHelpers?: unknown; readonly credsStore?: unknown } | null;
  try {
    value = JSON.parse(text) as typeof value;
  } catch (cause) {
    throw new TsorchError('invalid', `${path} is not JSON: ${(cause as Error).message}`, { cause });
  }
  return {
    path,
    auths: new Map(Object.entries(asObject(value?.auths)).map(([server, entry]) => [server, asObject(entry)])),
    helpers: new Map(Object.entries(asObject(value?.credHelpers)).flatMap(([server, name]) => (typeof name === 'string' ? [[server, name] as const] : []))),
    store: typeof value?.credsStore === 'string' && value.credsStore !== '' ? value.credsStore : null,
  };
}

/**
 * For the registry of a reference; null when the file has nothing for it. Throws `invalid` for an entry that cannot be
 * understood, `unavailable` when a helper fails.
 */
export async function credentialsFor(config: DockerConfig, registry: string, helper: CredentialHelper, signal: AbortSignal): Promise<RegistryCredentials | null> {
  const named = [...config.helpers].find(([server]) => hostOf(server) === registry);
  if (named) return await helper(named[1], registry === defaultRegistry ? hubServer : named[0], signal);
  const entries = [...config.auths].filter(([server]) => hostOf(server) === registry);
  for (const [server, entry] of entries) {
    const own = entryCredentials(entry, server, config.path);
    if (own) return own;
  }
  if (config.store === null) return null;
  return await helper(config.store, entries[0]?.[0] ?? (registry === defaultRegistry ? hubServer : registry), signal);
}

/** The real one. The program may ask a keyring, so it is given time. */
export const runHelper: CredentialHelper = async (name, server, signal) => {
  const program = `docker-credential-${name}`;
  if (!/^[\w.-]+$/.test(name)) throw new TsorchError('invalid', `${JSON.stringify(name)} is no name of a credential helper`);
  const { code, stdout, stderr } = await new Promise<{ code: number | string; stdout: string; stderr: string }>((resolve) => {
    const child = execFile(program, ['get'], { signal, timeout: 30_000, maxBuffer: 1 << 20 }, (error, out, err) => resolve({ code: error === null ? 0 : (error.code ?? 1), stdout: out, stderr: err }));
    child.stdin?.on('error', () => {});
    child.stdin?.end(server);
  });
  const said = `${stdout}${stderr}`.trim().slice(0, 200);
  if (code === 'ENOENT') throw new TsorchError('unavailable', `the Docker config names the credential helper ${program}, which is not on the path`);
  if (code !== 0 && /credentials not found/i.test(said)) return null;
  if (code !== 0) throw new TsorchError('unavailable', `${program} has no credentials for ${server}: ${said || `it ended with ${code}`}`);
  return parseHelperAnswer(stdout, program);
};

export function parseHelperAnswer(text: string, program: string): RegistryCredentials | null {
  let answer: { readonly Username?: unknown; readonly Secret?: unknown } | null;
  try {
    answer = JSON.parse(text) as typeof answer;
  } catch (cause) {
    throw new TsorchError('unavailable', `${program} answers with something that is no JSON`, { cause });
  }
  if (typeof answer?.Secret !== 'string' || answer.Secret === '' || typeof answer.Username !== 'string') return null;
  return answer.Username === '<token>' ? { kind: 'identity', token: answer.Secret } : { kind: 'basic', username: answer.Username, password: answer.Secret };
}

/** Servers are written with and without a scheme and a path. */
function hostOf(server: string): string {
  const host = server.replace(/^https?:\/\//, '').split('/')[0]?.toLowerCase() ?? '';
  return host === 'index.docker.io' || host === 'registry-1.docker.io' ? defaultRegistry : host;
}

function entryCredentials(entry: Readonly<Record<string, unknown>>, server: string, path: string): RegistryCredentials | null {
  const { auth, username, password, identitytoken } = entry;
  if (typeof identitytoken === 'string' && identitytoken !== '') return { kind: 'identity', token: identitytoken };
  if (typeof auth === 'string' && auth !== '') {
    const text = Buffer.from(auth, 'base64').toString('utf8');
    const colon = text.indexOf(':');
    if (colon < 1) throw new TsorchError('invalid', `${path}: the auth of ${server} is not user and password in base64`, { hint: `docker login ${server} writes it anew` });
    // Old files end in zero bytes.
    return { kind: 'basic', username: text.slice(0, colon), password: text.slice(colon + 1).replace(/\0+$/, '') };
  }
  return typeof username === 'string' && typeof password === 'string' && username !== '' ? { kind: 'basic', username, password } : null;
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Readonly<Record<string, unknown>>) : {};
}
