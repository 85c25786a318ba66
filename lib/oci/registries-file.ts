/** The file that says how registries are reached, `/etc/tsorch/registries.yaml`; docs/registries.md describes it. */
import { readFile, stat } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { TsorchError } from '../../model/errors.ts';
import type { RegistryCredentials } from './credentials.ts';
import { noSettings, type Registries, type RegistrySettings } from './registries.ts';

export const registriesFile = '/etc/tsorch/registries.yaml';

/** Reads the file whenever it has changed. Only a file that was asked for must be there. */
export class RegistriesFile {
  readonly #path: string;
  readonly #required: boolean;
  #stamp = '';
  #registries: Registries = new Map();

  constructor(path?: string) {
    this.#path = path ?? registriesFile;
    this.#required = path !== undefined;
  }

  /** Throws `invalid` with the place in the file, or `not-found`. */
  async read(): Promise<Registries> {
    const found = await stat(this.#path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' && !this.#required) return null;
      throw new TsorchError(error.code === 'ENOENT' ? 'not-found' : 'invalid', `the registry configuration ${this.#path} cannot be read: ${error.message}`, { cause: error });
    });
    const stamp = found === null ? '' : `${found.mtimeMs} ${found.size} ${found.ino}`;
    if (stamp === this.#stamp) return this.#registries;
    this.#registries = found === null ? new Map() : parseRegistries(await readFile(this.#path, 'utf8'), this.#path);
    this.#stamp = stamp;
    return this.#registries;
  }
}

const hostPattern = /^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::\d{1,5})?$/;

/** Throws `invalid` with file, line and column at the first thing that is not understood. */
export function parseRegistries(text: string, path: string): Registries {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const fail = (node: Node | null | undefined, message: string, hint?: string): never => {
    const { line, col } = lines.linePos(node?.range?.[0] ?? 0);
    throw new TsorchError('invalid', message, { at: { file: path, line, column: col }, ...(hint === undefined ? {} : { hint }) });
  };
  const [problem] = document.errors;
  if (problem) {
    const { line, col } = lines.linePos(problem.pos[0]);
    throw new TsorchError('invalid', problem.message, { at: { file: path, line, column: col } });
  }
  const entries = (node: unknown, what: string): readonly (readonly [string, Node, Node | null])[] => {
    if (node === null || (isScalar(node) && node.value === null)) return [];
    if (!isMap<Node, Node | null>(node)) return fail(node as Node, `${what} must be a mapping`);
    return node.items.map(({ key, value }) => [String(isScalar(key) ? key.value : fail(key, 'a key must be a word')), key, value] as const);
  };
  const string = (node: Node | null, what: string): string => {
    if (isScalar(node) && typeof node.value === 'string' && node.value !== '') return node.value;
    return fail(node, `${what} must be a text`);
  };
  const file = (node: Node | null, what: string): string => {
    const name = string(node, what);
    return isAbsolute(name) ? name : fail(node, `${what} must be an absolute path, not ${JSON.stringify(name)}`);
  };
  const flag = (node: Node | null, what: string): boolean => (isScalar(node) && typeof node.value === 'boolean' ? node.value : fail(node, `${what} must be true or false`));
  const list = (node: Node | null): readonly (Node | null)[] => (isSeq<Node | null>(node) ? node.items : [node]);
  const mirror = (node: Node | null): URL => {
    const text = string(node, 'a mirror');
    const url = URL.parse(text.includes('://') ? text : `https://${text}`);
    if (url === null || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '' || url.username !== '') return fail(node, `${JSON.stringify(text)} is no address of a mirror`, 'the form is https://host[:port][/path]');
    return url;
  };
  const credentials = (node: Node | null): RegistryCredentials => {
    const found = new Map(entries(node, 'auth').map(([key, at, value]) => (['username', 'password', 'identity_token'].includes(key) ? [key, string(value, key)] : fail(at, `auth has no ${key}`, 'it takes username and password, or identity_token'))));
    const [username, password, token] = [found.get('username'), found.get('password'), found.get('identity_token')];
    if (token !== undefined && found.size === 1) return { kind: 'identity', token };
    return username !== undefined && password !== undefined && found.size === 2 ? { kind: 'basic', username, password } : fail(node, 'auth needs username and password, or identity_token');
  };
  const settings = (node: Node | null, host: string): RegistrySettings => {
    const found: { -readonly [K in keyof RegistrySettings]: RegistrySettings[K] } = { ...noSettings };
    let cert: string | undefined;
    let key: string | undefined;
    for (const [name, at, value] of entries(node, host)) {
      if (name === 'mirrors') found.mirrors = list(value).map(mirror);
      else if (name === 'ca') found.ca = list(value).map((each) => file(each, 'ca'));
      else if (name === 'cert') cert = file(value, 'cert');
      else if (name === 'key') key = file(value, 'key');
      else if (name === 'insecure') found.insecure = flag(value, 'insecure');
      else if (name === 'plain_http') found.plainHttp = flag(value, 'plain_http');
      else if (name === 'auth') found.credentials = credentials(value);
      else fail(at, `${host} has no setting ${name}`, 'there are mirrors, ca, cert, key, insecure, plain_http and auth');
    }
    if ((cert === undefined) !== (key === undefined)) fail(node, `${host} needs cert and key together`);
    if (cert !== undefined && key !== undefined) found.client = { cert, key };
    return found;
  };
  const registries = new Map<string, RegistrySettings>();
  for (const [key, at, value] of entries(document.contents, 'the file')) {
    if (key !== 'registries') fail(at, `there is no ${key} here`, 'the file has one key, registries');
    for (const [host, place, node] of entries(value, 'registries')) {
      const name = host.toLowerCase();
      if (name !== '*' && !hostPattern.test(name)) fail(place, `${JSON.stringify(host)} is no registry`, 'the form is host[:port], as in images\' names; * is all others');
      registries.set(name === 'index.docker.io' || name === 'registry-1.docker.io' ? 'docker.io' : name, settings(node, host));
    }
  }
  return registries;
}
