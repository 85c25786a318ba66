/**
 * A volume plugin as its own process, as people write them: directories below a root, shown at a mount point of their own by a bind, one
 * count per id. `node program.ts SOCKET ROOT SCOPE`; how it misbehaves is said in ROOT/behaviour.json, read at each call:
 * `{ "delayMs": { "VolumeDriver.Mount": 500 }, "errors": { "VolumeDriver.Create": "quota" }, "status": { … } }`. Calls are noted in ROOT/calls.
 * Mounts are real ones, so it runs as root; those of an earlier run are found again.
 */
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { bindMount, isMountPoint, unmount } from '../../../../../lib/linux/mount.ts';

const [socket = '', root = '', scope = 'local'] = process.argv.slice(2);
const place = (name: string, ...rest: readonly string[]): string => join(root, 'volumes', name, ...rest);

interface Behaviour {
  readonly delayMs?: Readonly<Record<string, number>>;
  readonly errors?: Readonly<Record<string, string>>;
}

interface Body {
  readonly Name?: string;
  readonly ID?: string;
  readonly Opts?: Readonly<Record<string, string>>;
}

class Refusal extends Error {}

function known(name: string | undefined): string {
  if (name === undefined || !existsSync(place(name))) throw new Refusal(`no such volume: ${name}`);
  return name;
}

function ids(name: string): readonly string[] {
  return readdirSync(place(name, 'ids'));
}

const calls: Readonly<Record<string, (body: Body) => object>> = {
  'Plugin.Activate': () => ({ Implements: ['VolumeDriver'] }),
  'VolumeDriver.Capabilities': () => ({ Capabilities: { Scope: scope } }),
  'VolumeDriver.Create': ({ Name: name = '', Opts: options = {} }) => {
    if (options['refuse'] !== undefined) throw new Refusal(options['refuse']);
    for (const part of ['data', 'ids', 'shown']) mkdirSync(place(name, part), { recursive: true });
    writeFileSync(place(name, 'options'), JSON.stringify(options));
    return {};
  },
  'VolumeDriver.Get': ({ Name: name }) => ({ Volume: { Name: known(name), Mountpoint: isMountPoint(place(name ?? '', 'shown')) ? place(name ?? '', 'shown') : '', Status: { ids: ids(name ?? '').length } } }),
  'VolumeDriver.List': () => ({ Volumes: existsSync(join(root, 'volumes')) ? readdirSync(join(root, 'volumes')).map((Name) => ({ Name, Mountpoint: '' })) : [] }),
  'VolumeDriver.Path': ({ Name: name }) => ({ Mountpoint: place(known(name), 'shown') }),
  'VolumeDriver.Mount': ({ Name: name, ID: id = '' }) => {
    if (!isMountPoint(place(known(name), 'shown'))) bindMount(place(known(name), 'data'), place(known(name), 'shown'));
    writeFileSync(place(known(name), 'ids', id), '');
    return { Mountpoint: place(known(name), 'shown') };
  },
  'VolumeDriver.Unmount': ({ Name: name, ID: id = '' }) => {
    if (!ids(known(name)).includes(id)) throw new Refusal(`${name} is not mounted by ${id}`);
    unlinkSync(place(known(name), 'ids', id));
    if (ids(known(name)).length === 0) unmount(place(known(name), 'shown'));
    return {};
  },
  'VolumeDriver.Remove': ({ Name: name }) => {
    if (ids(known(name)).length > 0) throw new Refusal(`volume ${name} is in use`);
    rmSync(place(known(name)), { recursive: true });
    return {};
  },
};

async function answer(method: string, body: Body): Promise<object> {
  const file = join(root, 'behaviour.json');
  const behaviour: Behaviour = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Behaviour) : {};
  appendFileSync(join(root, 'calls'), `${method} ${body.Name ?? ''} ${body.ID ?? ''}\n`);
  await new Promise((resolve) => setTimeout(resolve, behaviour.delayMs?.[method] ?? 0));
  const error = behaviour.errors?.[method];
  if (error !== undefined) return { Err: error };
  try {
    return { Err: '', ...calls[method]?.(body) };
  } catch (failure) {
    if (failure instanceof Refusal) return { Err: failure.message };
    throw failure;
  }
}

mkdirSync(root, { recursive: true });
rmSync(socket, { force: true });
createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on('data', (part: Buffer) => parts.push(part));
  request.on('end', () => {
    const method = (request.url ?? '').slice(1);
    if (request.method !== 'POST' || calls[method] === undefined) return response.writeHead(404).end(`no such call: ${method}`);
    answer(method, JSON.parse(Buffer.concat(parts).toString() || '{}') as Body).then(
      (value) => response.writeHead(200, { 'content-type': 'application/vnd.docker.plugins.v1.1+json' }).end(JSON.stringify(value)),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
}).listen(socket, () => process.stdout.write('ready\n'));
process.on('SIGTERM', () => process.exit(0));
