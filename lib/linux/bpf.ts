/**
 * bpf(2): maps, programs, links and pins. Descriptors are the caller's to close; what is pinned outlives the process.
 * Every call is synchronous and takes microseconds.
 */
import { constants } from 'node:os';
import koffi from 'koffi';
import { LinuxError, errnoName, lastErrno, libc } from './libc.ts';

const syscallNumber: Readonly<Partial<Record<string, number>>> = { x64: 321, arm64: 280 };

const command = {
  mapCreate: 0, mapLookup: 1, mapUpdate: 2, mapDelete: 3, progLoad: 5, objPin: 6, objGet: 7, infoByFd: 15,
  mapLookupBatch: 24, mapUpdateBatch: 26, mapDeleteBatch: 27, linkCreate: 28, linkUpdate: 29,
} as const;

export const bpfMapType = { hash: 1, array: 2, lruHash: 9 } as const;
/** Hash maps that take memory as they fill. */
export const bpfNoPrealloc = 1;
export const bpfProgramType = { cgroupSockAddr: 18 } as const;
export const bpfAttachType = { connect4: 10, sendmsg4: 14, recvmsg4: 19, getpeername4: 29 } as const;

/** In a load instruction: the immediate is a map's descriptor. */
const pseudoMapFd = 1;
const attributeSize = 128;
const nameLength = 15;
const logSize = 256 << 10;

export interface BpfMapDefinition {
  /** At most 15 bytes. */
  readonly name: string;
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
}

/** Runs one command on a zeroed attribute struct; returns its result, a descriptor or 0. */
function bpf(name: string, number: number, fill: (attribute: Buffer) => void, size = attributeSize, read?: (attribute: Buffer) => void): number {
  const call = syscallNumber[process.arch];
  if (call === undefined) throw new LinuxError(`bpf ${name}`, constants.errno.ENOSYS, `no bpf on ${process.arch}`);
  const attribute = Buffer.alloc(size);
  fill(attribute);
  for (;;) {
    const result = Number(libc.syscall(call, number, attribute, size));
    const errno = result < 0 ? lastErrno() : 0;
    read?.(attribute);
    if (result >= 0) return result;
    if (errno !== constants.errno.EINTR && errno !== constants.errno.EAGAIN) throw new LinuxError(`bpf ${name}`, errno);
  }
}

/** The caller keeps a reference until the call is over. */
function pointer(buffer: Buffer): bigint {
  return BigInt(koffi.address(buffer));
}

function pathBuffer(path: string): Buffer {
  return Buffer.from(`${path}\0`);
}

export function createMap(map: BpfMapDefinition): number {
  return bpf(`map create ${map.name}`, command.mapCreate, (a) => {
    a.writeUInt32LE(map.type, 0);
    a.writeUInt32LE(map.keySize, 4);
    a.writeUInt32LE(map.valueSize, 8);
    a.writeUInt32LE(map.maxEntries, 12);
    a.writeUInt32LE(map.flags, 16);
    a.write(map.name.slice(0, nameLength), 28, 'latin1');
  });
}

/** The value, or undefined when the key is not there. */
export function lookupElement(map: number, key: Buffer, valueSize: number): Buffer | undefined {
  const value = Buffer.alloc(valueSize);
  try {
    bpf('map lookup', command.mapLookup, (a) => {
      a.writeUInt32LE(map, 0);
      a.writeBigUInt64LE(pointer(key), 8);
      a.writeBigUInt64LE(pointer(value), 16);
    });
    return value;
  } catch (error) {
    if (error instanceof LinuxError && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

export function updateElement(map: number, key: Buffer, value: Buffer): void {
  bpf('map update', command.mapUpdate, (a) => {
    a.writeUInt32LE(map, 0);
    a.writeBigUInt64LE(pointer(key), 8);
    a.writeBigUInt64LE(pointer(value), 16);
  });
}

/** Whether it was there. */
export function deleteElement(map: number, key: Buffer): boolean {
  try {
    bpf('map delete', command.mapDelete, (a) => {
      a.writeUInt32LE(map, 0);
      a.writeBigUInt64LE(pointer(key), 8);
    });
    return true;
  } catch (error) {
    if (error instanceof LinuxError && error.code === 'ENOENT') return false;
    throw error;
  }
}

/** `keys` and `values` are `count` of them one after another. */
export function updateElements(map: number, keys: Buffer, values: Buffer, count: number): void {
  if (count === 0) return;
  bpf('map update batch', command.mapUpdateBatch, (a) => {
    a.writeBigUInt64LE(pointer(keys), 16);
    a.writeBigUInt64LE(pointer(values), 24);
    a.writeUInt32LE(count, 32);
    a.writeUInt32LE(map, 36);
  });
}

export interface BpfEntry {
  readonly key: Buffer;
  readonly value: Buffer;
}

/** What a map holds: all of it, or of an array the entries below `limit`. */
export function dumpMap(map: number, definition: BpfMapDefinition, limit = definition.maxEntries): BpfEntry[] {
  const entries: BpfEntry[] = [];
  const cursor = Buffer.alloc(8);
  let room = 1024;
  let first = true;
  while (entries.length < limit) {
    const keys = Buffer.alloc(room * definition.keySize);
    const values = Buffer.alloc(room * definition.valueSize);
    let count = 0;
    let errno = '';
    try {
      bpf('map lookup batch', command.mapLookupBatch, (a) => {
        if (!first) a.writeBigUInt64LE(pointer(cursor), 0);
        a.writeBigUInt64LE(pointer(cursor), 8);
        a.writeBigUInt64LE(pointer(keys), 16);
        a.writeBigUInt64LE(pointer(values), 24);
        a.writeUInt32LE(room, 32);
        a.writeUInt32LE(map, 36);
      }, attributeSize, (a) => { count = a.readUInt32LE(32); });
    } catch (error) {
      if (!(error instanceof LinuxError)) throw error;
      errno = error.code;
      // One bucket holds more than there is room for.
      if (errno === 'ENOSPC') {
        room *= 4;
        continue;
      }
      if (errno !== 'ENOENT') throw error;
    }
    for (let i = 0; i < count; i++) {
      entries.push({
        key: keys.subarray(i * definition.keySize, (i + 1) * definition.keySize),
        value: values.subarray(i * definition.valueSize, (i + 1) * definition.valueSize),
      });
    }
    if (errno === 'ENOENT') break;
    first = false;
  }
  return entries.length > limit ? entries.slice(0, limit) : entries;
}

export interface BpfProgram {
  readonly name: string;
  readonly type: number;
  readonly attachType: number;
  /** Eight bytes each. */
  readonly instructions: Buffer;
  /** Byte offsets of load instructions and the map that each wants. */
  readonly relocations: readonly { readonly offset: number; readonly map: string }[];
  readonly license: string;
}

/** Loads a program against maps given by name. Throws with the verifier's last words when it is refused. */
export function loadProgram(program: BpfProgram, maps: ReadonlyMap<string, number>): number {
  const instructions = Buffer.from(program.instructions);
  for (const { offset, map } of program.relocations) {
    const fd = maps.get(map);
    if (fd === undefined) throw new RangeError(`program ${program.name} wants map ${map}`);
    instructions[offset + 1] = ((instructions[offset + 1] as number) & 0x0f) | (pseudoMapFd << 4);
    instructions.writeInt32LE(fd, offset + 4);
  }
  const license = pathBuffer(program.license);
  const load = (log?: Buffer) => bpf(`load ${program.name}`, command.progLoad, (a) => {
    a.writeUInt32LE(program.type, 0);
    a.writeUInt32LE(instructions.length / 8, 4);
    a.writeBigUInt64LE(pointer(instructions), 8);
    a.writeBigUInt64LE(pointer(license), 16);
    if (log) {
      a.writeUInt32LE(1, 24);
      a.writeUInt32LE(log.length, 28);
      a.writeBigUInt64LE(pointer(log), 32);
    }
    a.write(program.name.slice(0, nameLength), 48, 'latin1');
    a.writeUInt32LE(program.attachType, 68);
  });
  try {
    return load();
  } catch (error) {
    if (!(error instanceof LinuxError)) throw error;
    // Only a second attempt with a log tells why.
    const log = Buffer.alloc(logSize);
    try {
      return load(log);
    } catch (again) {
      const words = log.toString('latin1', 0, Math.max(0, log.indexOf(0))).trim().split('\n').slice(-3).join(' / ');
      throw new LinuxError(`bpf load ${program.name}`, again instanceof LinuxError ? again.errno : error.errno, words || errnoName(error.errno));
    }
  }
}

export function pinObject(fd: number, path: string): void {
  const name = pathBuffer(path);
  bpf(`pin ${path}`, command.objPin, (a) => {
    a.writeBigUInt64LE(pointer(name), 0);
    a.writeUInt32LE(fd, 8);
  });
}

/** A descriptor of what is pinned at `path`, or undefined when nothing is. */
export function openPinned(path: string): number | undefined {
  const name = pathBuffer(path);
  try {
    return bpf(`open ${path}`, command.objGet, (a) => { a.writeBigUInt64LE(pointer(name), 0); });
  } catch (error) {
    if (error instanceof LinuxError && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Attaches a program to a cgroup (an open directory); in force until the last descriptor and pin of the link are gone. */
export function createLink(program: number, cgroup: number, attachType: number): number {
  return bpf('link create', command.linkCreate, (a) => {
    a.writeUInt32LE(program, 0);
    a.writeUInt32LE(cgroup, 4);
    a.writeUInt32LE(attachType, 8);
  }, 48);
}

/** Puts another program in its place, at once and without a gap. */
export function updateLink(link: number, program: number): void {
  bpf('link update', command.linkUpdate, (a) => {
    a.writeUInt32LE(link, 0);
    a.writeUInt32LE(program, 4);
  }, 16);
}

function objectInfo(fd: number, size: number): Buffer {
  const info = Buffer.alloc(size);
  bpf('object info', command.infoByFd, (a) => {
    a.writeUInt32LE(fd, 0);
    a.writeUInt32LE(size, 4);
    a.writeBigUInt64LE(pointer(info), 8);
  }, 16);
  return info;
}

/** The cgroup (its inode number) that a link is attached to; 0n when that cgroup is gone. */
export function linkInfo(link: number): { readonly programId: number; readonly cgroupId: bigint; readonly attachType: number } {
  const info = objectInfo(link, 48);
  return { programId: info.readUInt32LE(8), cgroupId: info.readBigUInt64LE(16), attachType: info.readUInt32LE(24) };
}

export function mapInfo(map: number): Omit<BpfMapDefinition, 'name'> {
  const info = objectInfo(map, 64);
  return { type: info.readUInt32LE(0), keySize: info.readUInt32LE(8), valueSize: info.readUInt32LE(12), maxEntries: info.readUInt32LE(16), flags: info.readUInt32LE(20) };
}
