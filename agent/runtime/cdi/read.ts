/** CDI devices of this host: reads the files, and the device nodes they name. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeError } from '../../../model/errors.ts';
import type { ContainerSpec } from '../../../model/spec.ts';
import { hostDevice } from '../devices.ts';
import type { HostDevice } from '../spec/facts.ts';
import { isCdiName, resolveCdi } from './resolve.ts';
import { type CdiDeviceNode, type CdiEdits, type CdiFile, noEdits } from './types.ts';

/** The later one outranks the earlier. */
export const cdiDirectories: readonly string[] = ['/etc/cdi', '/var/run/cdi'];

/** What the container's CDI devices ask for, and their nodes. Throws `invalid` for one that this host has not. */
export async function readCdi(devices: ContainerSpec['devices'], directories: readonly string[]): Promise<{ readonly edits: CdiEdits; readonly devices: readonly HostDevice[] }> {
  const names = devices.map(({ source }) => source).filter(isCdiName);
  if (names.length === 0) return { edits: noEdits, devices: [] };
  const edits = resolveCdi(names, await Promise.all(directories.map(filesIn)));
  return { edits, devices: await Promise.all(edits.deviceNodes.map(node)) };
}

async function filesIn(directory: string): Promise<readonly CdiFile[]> {
  const names = (await readdir(directory).catch(() => [])).filter((name) => /\.(json|ya?ml)$/.test(name)).sort();
  // Loaded where it is needed: most hosts never read such a file.
  const { parseCdi } = await import('./parse.ts');
  return await Promise.all(
    names.map(async (name): Promise<CdiFile> => {
      const path = join(directory, name);
      try {
        return { path, spec: parseCdi(await readFile(path, 'utf8')) };
      } catch (error) {
        return { path, problem: describeError(error) };
      }
    }),
  );
}

/** A node that says all of itself need not be on the host. */
async function node(given: CdiDeviceNode): Promise<HostDevice> {
  const { path, hostPath, permissions, type, major, minor, fileMode, uid, gid } = given;
  if (type !== undefined && major !== undefined && minor !== undefined) return { path, type, major, minor, mode: (fileMode ?? 0o666) & 0o7777, uid: uid ?? 0, gid: gid ?? 0, permissions };
  const found = await hostDevice(hostPath, path, permissions);
  return { ...found, ...(fileMode === undefined ? {} : { mode: fileMode & 0o7777 }), ...(uid === undefined ? {} : { uid }), ...(gid === undefined ? {} : { gid }) };
}
