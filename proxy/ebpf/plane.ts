/**
 * Connect-time load balancing on this host: maps and links pinned in a bpf file system, so that they work on while no
 * proxy runs and the next one takes them over. Programs are always replaced in place by this version's; there is no moment
 * without one.
 *
 * ```
 * <bpfDir>/maps-<layout>/{balancers,backends,…}   a layout that changes gets maps of its own, filled before the switch
 * <bpfDir>/link-{connect4,sendmsg4,…}
 * ```
 */
import { createHash } from 'node:crypto';
import { readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { bpfAttachType, bpfProgramType, createLink, createMap, linkInfo, loadProgram, mapInfo, openPinned, pinObject, updateElement, updateLink } from '../../lib/linux/bpf.ts';
import { netnsCookie, openCgroup } from '../../lib/linux/bpf-cgroup.ts';
import { ensureBpfFs, isBpfFs } from '../../lib/linux/bpffs.ts';
import { hasErrno, libc } from '../../lib/linux/libc.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import type { Backend } from '../rules/fragment.ts';
import { Balancers } from './balancers.ts';
import { layoutVersion, mapNames, maps } from './layout.ts';
import type { MapName } from './layout.ts';
import { programs } from './program.gen.ts';

export interface EbpfOptions {
  /** A directory of a cgroup2 hierarchy: what runs in it and below is served. Made when missing. */
  readonly cgroupRoot: string;
  /** A directory of this host's own in a bpf file system. */
  readonly bpfDir: string;
  readonly clock: Clock;
  readonly log: Log;
}

const layoutName = `maps-${createHash('sha256').update(JSON.stringify([layoutVersion, maps])).digest('hex').slice(0, 12)}`;

export class EbpfPlane {
  readonly #options: EbpfOptions;
  readonly #fds: ReadonlyMap<MapName, number>;
  readonly #balancers: Balancers;
  #attached = false;

  /** Opens or makes the maps. Programs run on as they are until the first `replace`. */
  constructor(options: EbpfOptions) {
    this.#options = options;
    const mounted = ensureBpfFs(options.bpfDir);
    if (mounted) options.log.info('mounted a bpf file system', { at: mounted });
    this.#fds = openMaps(join(options.bpfDir, layoutName));
    try {
      this.#balancers = new Balancers(this.#fds, options.clock);
      const host = Buffer.alloc(8);
      host.writeBigUInt64LE(netnsCookie());
      updateElement(this.#fd('settings'), Buffer.alloc(4), host);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Whether this process has put its programs in place. */
  get attached(): boolean {
    return this.#attached;
  }

  /** Balancers that the kernel holds, taken over from an earlier run or set by this one. */
  entries(): Iterable<readonly [string, readonly Backend[]]> {
    return this.#balancers.entries();
  }

  /** Makes the kernel hold exactly these, and attaches the programs when they are not yet. Returns how many changed. */
  replace(wanted: Iterable<readonly [string, readonly Backend[]]>): number {
    this.#balancers.adopt();
    const changed = this.#balancers.replace(wanted);
    if (!this.#attached) {
      attach(this.#options, this.#fds);
      this.#attached = true;
      removeOtherLayouts(this.#options.bpfDir);
    }
    return changed;
  }

  apply(changes: ReadonlyMap<string, readonly Backend[] | undefined>): void {
    this.#balancers.apply(changes);
  }

  /** Lets go of the descriptors; everything works on. */
  close(): void {
    for (const fd of this.#fds.values()) libc.close(fd);
  }

  #fd(name: MapName): number {
    return this.#fds.get(name) as number;
  }
}

/** Detaches the programs and removes every pin. Succeeds when there is nothing. */
export function teardownEbpf(bpfDir: string): void {
  if (!isBpfFs(bpfDir)) return;
  for (const name of list(bpfDir)) {
    if (name.startsWith('link-')) unlinkSync(join(bpfDir, name));
  }
  for (const name of list(bpfDir)) if (name.startsWith('maps-')) removeDirectory(join(bpfDir, name));
  removeDirectory(bpfDir);
}

function openMaps(directory: string): ReadonlyMap<MapName, number> {
  ensureBpfFs(directory);
  const fds = new Map<MapName, number>();
  try {
    for (const name of mapNames) fds.set(name, openMap(join(directory, name), name));
    return fds;
  } catch (error) {
    for (const fd of fds.values()) libc.close(fd);
    throw error;
  }
}

function openMap(path: string, name: MapName): number {
  const definition = maps[name];
  const pinned = openPinned(path);
  if (pinned !== undefined) {
    const { type, keySize, valueSize, maxEntries } = mapInfo(pinned);
    if (type === definition.type && keySize === definition.keySize && valueSize === definition.valueSize && maxEntries === definition.maxEntries) return pinned;
    libc.close(pinned);
    unlinkSync(path);
  }
  const fd = createMap(definition);
  try {
    pinObject(fd, path);
  } catch (error) {
    libc.close(fd);
    throw error;
  }
  return fd;
}

function attach({ cgroupRoot, bpfDir, log }: EbpfOptions, fds: ReadonlyMap<string, number>): void {
  using cgroup = openCgroup(cgroupRoot);
  for (const { hook, name, instructions, relocations } of programs) {
    const attachType = bpfAttachType[hook];
    const program = loadProgram({
      name, attachType, relocations,
      type: bpfProgramType.cgroupSockAddr,
      instructions: Buffer.from(instructions, 'base64'),
      license: 'Dual BSD/GPL',
    }, fds);
    try {
      const path = join(bpfDir, `link-${hook}`);
      const pinned = openPinned(path);
      const kept = pinned !== undefined && linkInfo(pinned).cgroupId === cgroup.id;
      if (kept) {
        updateLink(pinned, program);
      } else {
        // The new one is in force before the old one, of another cgroup or none any more, goes.
        const link = createLink(program, cgroup.fd, attachType);
        if (pinned !== undefined) unlinkSync(path);
        pinObject(link, path);
        libc.close(link);
      }
      if (pinned !== undefined) libc.close(pinned);
      log.debug(kept ? 'program replaced' : 'program attached', { hook, cgroup: cgroupRoot });
    } finally {
      libc.close(program);
    }
  }
}

function removeOtherLayouts(bpfDir: string): void {
  for (const name of list(bpfDir)) if (name.startsWith('maps-') && name !== layoutName) removeDirectory(join(bpfDir, name));
}

/** A directory of pins; bpf file systems know no recursive removal of their own. */
function removeDirectory(path: string): void {
  for (const name of list(path)) unlinkSync(join(path, name));
  try {
    rmdirSync(path);
  } catch (error) {
    if (!hasErrno(error, 'ENOENT')) throw error;
  }
}

function list(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return [];
    throw error;
  }
}
