/** Networks, volumes, secrets and configs of the top level. */
import type { FileObjectSpec, NetworkSpec, VolumeSpec } from '../../spec.ts';
import { driverName, localOptionsProblem } from '../../volumes.ts';
import { displayPath, lookupAt, readBytes, type Session } from '../assemble/context.ts';
import { Source } from '../parse/source.ts';
import { inside, scalar, type Mark } from '../parse/tree.ts';
import { syntaxProblem } from '../../template/swarm.ts';
import { base64 } from '../../base64.ts';
import { sha256 } from '../values/sha256.ts';
import type { MadeFileObject, MadeVolume, NamedNetwork } from './context.ts';
import type { Reader } from './reader.ts';

/** Names become file names, DNS names and keys; Compose allows no more either. */
export const clusterName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;

/** Options that tune Docker's bridges and VXLAN; leaving them out changes nothing a service can see. */
const harmlessNetworkOptions = /^com\.docker\.network\.(driver\.mtu|bridge\..*|driver\.overlay\.vxlanid_list)$/;

/** The name in the cluster, and whether somebody else made the thing. */
function identity(of: Reader, key: string, stack: string, given?: string): { readonly name: string; readonly external: boolean } {
  const external = of.at('external').node;
  let isExternal = false;
  let oldName: string | undefined;
  if (external?.kind === 'map') {
    isExternal = true;
    oldName = of.at('external').text('name');
  } else if (external?.kind === 'scalar') {
    const text = external.text.toLowerCase();
    if (text !== 'true' && text !== 'false' && text !== '') of.at('external').error(`external must be true or false, not ${JSON.stringify(external.text)}`);
    isExternal = text === 'true';
  } else if (external) of.at('external').error('external must be true or false');
  const name = given || of.text('name') || oldName || (isExternal ? key : `${stack}_${key}`);
  if (!clusterName.test(name)) (of.has('name') ? of.at('name') : of).error(`${JSON.stringify(name)} is not a proper name`, name.includes('{{') ? 'only {{.Task.Slot}} at the end of a volume\'s name is known; x-per-replica: true does the same' : 'names begin with a letter or digit and are made of letters, digits, _ . -');
  return { name, external: isExternal };
}

/** What an external thing is like is not this file's business. */
function onlyName(of: Reader, external: boolean): void {
  if (!external) return;
  for (const [key, child] of of.children()) {
    if (key !== 'external' && key !== 'name' && !key.startsWith('x-')) child.error(`${key} cannot stand beside external: true`, 'remove it, or external');
  }
}

export function makeNetwork(of: Reader, key: string, stack: string): NamedNetwork {
  const { name, external } = identity(of, key, stack);
  onlyName(of, external);
  const driver = of.text('driver') ?? 'overlay';
  const predefined = external ? name : driver;
  const hostMode = predefined === 'host' || predefined === 'none' ? predefined : null;
  if (!external && hostMode === null && !['overlay', 'bridge', 'default'].includes(driver)) {
    of.at('driver').error(`the network driver ${driver} is refused: all networks are the cluster's overlay`, 'remove driver');
  }
  for (const [option, child] of of.at('driver_opts').children()) {
    if (harmlessNetworkOptions.test(option)) child.warn(`${option} has no effect: the overlay chooses for itself`);
    else child.error(`the option ${option} is not supported`, 'remove it');
  }
  const spec: NetworkSpec = { name, external, internal: of.flag('internal') ?? false, driver: 'overlay', driverOpts: {}, labels: of.pairs('labels') };
  return { spec, hostMode };
}

export function makeVolume(of: Reader, key: string, stack: string): MadeVolume {
  // In Swarm a name with the slot in it is how every task gets a volume of its own.
  const slot = /^(.*?)[-_.]*\{\{\s*\.Task\.Slot\s*\}\}$/s.exec(of.text('name') ?? '')?.[1];
  const { name, external } = identity(of, key, stack, slot);
  onlyName(of, external);
  const named = of.text('driver') || 'local';
  const driver = driverName(named);
  if (driver === null) of.at('driver').error(`${JSON.stringify(named)} is no name of a volume driver`, 'use local, or the name of a plugin\'s socket in /run/docker/plugins');
  else if (driver !== named && driver !== 'local') of.at('driver').warn(`the volume driver ${named} is taken as ${driver}`, `run its plugin on the hosts as a program of its own, with the socket /run/docker/plugins/${driver}.sock`);
  const driverOpts = of.pairs('driver_opts');
  const problem = driver === 'local' && !external ? localOptionsProblem(driverOpts) : null;
  if (problem) of.at('driver_opts').error(problem.message, problem.hint);
  if (slot !== undefined && external) of.at('name').error('a template in the name of an external volume is not supported', 'name one volume');
  const spec: VolumeSpec = { name, external, driver: driver ?? 'local', driverOpts, labels: of.pairs('labels') };
  return { spec, perReplica: slot !== undefined || of.flag('x-per-replica') === true };
}

/** Content from `file`, `environment` or `content`, one of them. */
export function makeFileObject(kind: 'secret' | 'config', of: Reader, key: string, stack: string, session: Session, lookup: (name: string) => string | undefined): MadeFileObject {
  const { name, external } = identity(of, key, stack);
  onlyName(of, external);
  const base = { name, external, labels: of.pairs('labels') };
  if (external) return { spec: base };
  const sources = ['file', 'environment', 'content'].filter((source) => of.has(source));
  const [source] = sources;
  if (source === undefined || sources.length > 1) {
    if (source !== undefined || !of.has('driver')) of.error(source === undefined ? `the ${kind} ${key} has no content` : `the ${kind} ${key} has ${sources.join(' and ')}, but may have only one of them`, 'give it file, environment or content, or external: true');
    return { spec: base };
  }
  const data = contentOf(of, source, session, lookup);
  if (data === null) return { spec: base };
  if (data.length > session.limits.objectBytes) {
    of.at(source).error(`the ${kind} ${key} has ${data.length} bytes, more than ${session.limits.objectBytes}, the limit`, 'put large files into the image or a volume');
    return { spec: base };
  }
  const driver = of.text('template_driver') ?? '';
  if (driver !== '' && driver !== 'golang') of.at('template_driver').error(`there is no template driver ${JSON.stringify(driver)}`, 'the driver is golang');
  if (driver !== 'golang') return { spec: { ...base, content: base64(data), digest: `sha256:${sha256(data)}` } };
  const spec: FileObjectSpec = { ...base, content: base64(data), digest: `sha256:${sha256(new Uint8Array([...new TextEncoder().encode('golang:'), ...data]))}`, template: 'golang' };
  const text = readUtf8(data);
  if (text === null) of.at(source).error(`the ${kind} ${key} is no UTF-8 text, and so no template`, 'remove template_driver');
  const where = of.at(source);
  const file = new Source(displayPath(session, of.text(source) ?? ''), text ?? '');
  const at = (offset: number): Mark => (source === 'file' ? { source: file, offset } : inside(where.node ?? scalar(where.mark, null), offset));
  const problem = syntaxProblem(text ?? '');
  if (problem) of.sink.error(at(problem.offset), where.path, `the template of ${key}: ${problem.error}`);
  return { spec, ...(text === null || problem ? {} : { template: { text, at, path: where.path } }) };
}

function readUtf8(data: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(data);
  } catch {
    return null;
  }
}

function contentOf(of: Reader, source: string, session: Session, lookup: (name: string) => string | undefined): Uint8Array | null {
  const at = of.at(source);
  const text = of.text(source);
  if (text === undefined) return null;
  if (source === 'content') return new TextEncoder().encode(text);
  if (source === 'file') {
    const content = readBytes(session, text, at.mark, at.path);
    return typeof content === 'string' ? new TextEncoder().encode(content) : content;
  }
  const value = lookupAt(session, at.node ?? at.mark, lookup)(text);
  if (value === undefined) at.error(`the variable ${text} is not set`, `set ${text} in the environment or in .env`);
  return value === undefined ? null : new TextEncoder().encode(value);
}
