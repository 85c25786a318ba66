/**
 * Where volume plugins are, by Docker's rules: sockets in /run/docker/plugins, and files that name an address in /etc/docker/plugins and
 * /usr/lib/docker/plugins. A plugin's name is its file's; sockets come before files.
 *
 * ```
 * /run/docker/plugins/NAME.sock, NAME/NAME.sock
 * /etc/docker/plugins/NAME.spec        one line: unix:///path.sock or tcp://host:port
 * /etc/docker/plugins/NAME.json        { "Addr": "https://host:port", "TLSConfig": { "CAFile", "CertFile", "KeyFile", "InsecureSkipVerify" } }
 * ```
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { raise, TsorchError } from '../../../model/errors.ts';
import { isMissing, isRecord } from '../../state.ts';

export interface PluginDirectories {
  readonly sockets: string;
  /** The first that has a plugin counts. */
  readonly files: readonly string[];
}

export const dockerDirectories: PluginDirectories = { sockets: '/run/docker/plugins', files: ['/etc/docker/plugins', '/usr/lib/docker/plugins'] };

export interface PluginAddress {
  readonly name: string;
  /** `unix:///path`, `http://host:port` or `https://host:port`. */
  readonly url: string;
  readonly tls?: PluginTls;
  /** Another one when the file or socket is a new one. */
  readonly version: string;
}

export interface PluginTls {
  readonly insecure: boolean;
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
}

/** Names of the plugins there are on this host, whether or not they answer, sorted. */
export async function listPlugins(directories: PluginDirectories): Promise<readonly string[]> {
  const names = new Set<string>();
  for (const [directory, kinds] of [[directories.sockets, ['.sock']], ...directories.files.map((each) => [each, ['.spec', '.json']] as const)] as const) {
    for (const entry of await entries(directory)) {
      const extension = path.extname(entry);
      if (kinds.some((kind) => kind === extension)) names.add(path.basename(entry, extension));
      else if (extension === '') for (const inner of await entries(path.join(directory, entry))) if (kinds.some((kind) => inner === `${entry}${kind}`)) names.add(entry);
    }
  }
  return [...names].filter((name) => pluginName.test(name)).sort();
}

const pluginName = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;

/** Null when there is no plugin of that name. Throws `invalid` for a file that says no address. */
export async function findPlugin(name: string, directories: PluginDirectories): Promise<PluginAddress | null> {
  if (!pluginName.test(name)) return null;
  for (const file of [path.join(directories.sockets, `${name}.sock`), path.join(directories.sockets, name, `${name}.sock`)]) {
    const stat = await statOf(file);
    if (stat?.isSocket()) return { name, url: `unix://${file}`, version: `${stat.ino}` };
  }
  for (const directory of directories.files) {
    for (const base of [directory, path.join(directory, name)]) {
      for (const extension of ['.spec', '.json'] as const) {
        const file = path.join(base, `${name}${extension}`);
        const stat = await statOf(file);
        if (stat?.isFile()) return { ...parseFile(file, extension, await fs.readFile(file, 'utf8')), name, version: `${stat.ino}.${stat.mtimeMs}` };
      }
    }
  }
  return null;
}

/** Throws `invalid`, naming the file. */
export function parseFile(file: string, extension: '.spec' | '.json', text: string): Pick<PluginAddress, 'url' | 'tls'> {
  const bad = (why: string) => new TsorchError('invalid', `the volume plugin file ${file} ${why}`, { hint: extension === '.spec' ? 'it holds one line, such as unix:///run/name.sock' : 'it holds { "Addr": "https://host:port", "TLSConfig": { … } }' });
  if (extension === '.spec') return { url: addressOf(text.trim(), false) ?? raise(bad(`says ${JSON.stringify(text.trim().slice(0, 100))}, which is no address`)) };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw bad('is not JSON');
  }
  if (!isRecord(value) || typeof value['Addr'] !== 'string') throw bad('says no Addr');
  const config = value['TLSConfig'];
  const url = addressOf(value['Addr'], isRecord(config)) ?? raise(bad(`says ${JSON.stringify(value['Addr'])}, which is no address`));
  if (!isRecord(config)) return { url };
  const text_ = (key: string) => (typeof config[key] === 'string' && config[key] !== '' ? config[key] : undefined);
  const [caFile, certFile, keyFile] = [text_('CAFile'), text_('CertFile'), text_('KeyFile')];
  return {
    url,
    tls: { insecure: config['InsecureSkipVerify'] === true, ...(caFile === undefined ? {} : { caFile }), ...(certFile === undefined ? {} : { certFile }), ...(keyFile === undefined ? {} : { keyFile }) },
  };
}

function addressOf(text: string, tls: boolean): string | null {
  if (/^unix:\/\/\/./.test(text)) return text;
  const found = /^(tcp|http|https):\/\/([^/\s]+)(\/[^\s]*)?$/.exec(text);
  if (!found) return null;
  return `${tls || found[1] === 'https' ? 'https' : 'http'}://${found[2] ?? ''}${found[3] ?? ''}`.replace(/\/$/, '');
}

async function entries(directory: string): Promise<readonly string[]> {
  return await fs.readdir(directory).catch(() => []);
}

async function statOf(file: string): Promise<Awaited<ReturnType<typeof fs.stat>> | null> {
  try {
    return await fs.stat(file);
  } catch (error) {
    if (isMissing(error) || (error as NodeJS.ErrnoException).code === 'ENOTDIR') return null;
    throw error;
  }
}
