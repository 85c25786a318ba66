/**
 * What Node's fs leaves out: opening a path that cannot lead out of a directory, holes in files, extended attributes, times to the
 * nanosecond, device files. Paths are bytes, since a file's name need not be text.
 */
import { constants } from 'node:os';
import { check, declare, hasErrno, lastErrno, libc, LinuxError } from './libc.ts';

const calls = {
  openat2: declare<(number: number, directory: number, path: Uint8Array, how: Uint8Array, size: number) => number>('long syscall(long, long, const void *, void *, unsigned long)'),
  lseek: declare<(fd: number, offset: number, whence: number) => number>('int64_t lseek(int, int64_t, int)'),
  llistxattr: declare<(path: Uint8Array, list: Uint8Array | null, size: number) => number>('int64_t llistxattr(const void *, void *, size_t)'),
  lgetxattr: declare<(path: Uint8Array, name: string, value: Uint8Array | null, size: number) => number>('int64_t lgetxattr(const void *, const char *, void *, size_t)'),
  lsetxattr: declare<(path: Uint8Array, name: string, value: Uint8Array, size: number, flags: number) => number>('int lsetxattr(const void *, const char *, const void *, size_t, int)'),
  utimensat: declare<(directory: number, path: Uint8Array, times: Uint8Array, flags: number) => number>('int utimensat(int, const void *, const void *, int)'),
  mknod: declare<(path: Uint8Array, mode: number, device: number) => number>('int mknod(const void *, uint32_t, uint64_t)'),
} as const;

export const openFlag = { path: 0o10000000, directory: 0o200000, noFollow: 0o400000, closeOnExec: 0o2000000 } as const;
const resolveFlag = { noMagicLinks: 2, noSymlinks: 4, beneath: 8, inRoot: 16 } as const;
const openat2Number = 437;
const currentDirectory = -100;
const noFollow = 0x100;

/** The path as the C library takes it. */
function cPath(path: string | Uint8Array): Uint8Array {
  const bytes = typeof path === 'string' ? Buffer.from(path) : path;
  if (bytes.includes(0)) throw new LinuxError('path with a NUL', constants.errno.EINVAL);
  return Buffer.concat([bytes, Buffer.of(0)]);
}

/**
 * Opens what `path` is below the directory open as `directory`; the kernel refuses (EXDEV) whatever leads out of it: `..`, absolute
 * paths, links. With `links: false` it refuses every symbolic link on the way (ELOOP). A handle from `openFlag.path` can be
 * mounted and walked on as `/proc/self/fd/N`, whatever becomes of the path meanwhile.
 */
export function openBeneath(directory: number, path: string | Uint8Array, flags: number, options: { readonly links?: boolean } = {}): number {
  return open2(directory, path, flags, resolveFlag.beneath | resolveFlag.noMagicLinks | (options.links === false ? resolveFlag.noSymlinks : 0));
}

/** Opens what `path` is for a process whose root is the directory open as `root`: `..` and links go as far as that and no further. */
export function openInRoot(root: number, path: string | Uint8Array, flags: number): number {
  return open2(root, path, flags, resolveFlag.inRoot | resolveFlag.noMagicLinks);
}

function open2(directory: number, path: string | Uint8Array, flags: number, resolve: number): number {
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(BigInt(flags | openFlag.closeOnExec), 0);
  how.writeBigUInt64LE(BigInt(resolve), 16);
  const name = cPath(path);
  for (let tries = 0; ; tries++) {
    const fd = calls.openat2(openat2Number, directory, name, how, how.length);
    if (fd >= 0) return fd;
    const errno = lastErrno();
    // EAGAIN: something was renamed at this moment, and the kernel could not tell.
    if (errno !== constants.errno.EINTR && !(errno === constants.errno.EAGAIN && tries < 100)) throw new LinuxError('openat2', errno);
  }
}

/** Where the next data at or after `offset` begins; null when there is only a hole up to the file's end. */
export function seekData(fd: number, offset: number): number | null {
  const found = calls.lseek(fd, offset, 3);
  if (found >= 0) return found;
  const errno = lastErrno();
  if (errno === constants.errno.ENXIO) return null;
  throw new LinuxError('lseek', errno);
}

/** Where the next hole at or after `offset` begins; a file's end counts as one. */
export function seekHole(fd: number, offset: number): number {
  return check(calls.lseek(fd, offset, 4), 'lseek');
}

export interface Xattr {
  readonly name: string;
  readonly value: Uint8Array;
}

/** Extended attributes of the file itself, links not followed, by name. Empty where the file system has none. */
export function readXattrs(path: string | Uint8Array): readonly Xattr[] {
  const name = cPath(path);
  const names = readSized((buffer, size) => calls.llistxattr(name, buffer, size), 'llistxattr', 'ENOTSUP', 'EOPNOTSUPP');
  if (names === null || names.length === 0) return [];
  return Buffer.from(names).toString('utf8').split('\0').filter((each) => each !== '').sort().flatMap((each): readonly Xattr[] => {
    const value = readSized((buffer, size) => calls.lgetxattr(name, each, buffer, size), 'lgetxattr', 'ENODATA', 'ENOTSUP', 'EOPNOTSUPP');
    return value === null ? [] : [{ name: each, value }];
  });
}

/** Throws ENOTSUP where the file system has no such attributes. */
export function setXattr(path: string | Uint8Array, { name, value }: Xattr): void {
  check(calls.lsetxattr(cPath(path), name, value, value.length, 0), `lsetxattr ${name}`);
}

/** Asks for the size, then for the value; again when it grew in between. Null for the errors named. */
function readSized(read: (buffer: Uint8Array | null, size: number) => number, call: string, ...none: readonly string[]): Uint8Array | null {
  try {
    for (;;) {
      const size = check(read(null, 0), call);
      if (size === 0) return new Uint8Array(0);
      const buffer = Buffer.alloc(size);
      const used = read(buffer, size);
      if (used >= 0) return buffer.subarray(0, used);
      const errno = lastErrno();
      if (errno !== constants.errno.ERANGE) throw new LinuxError(call, errno);
    }
  } catch (error) {
    if (hasErrno(error, ...none)) return null;
    throw error;
  }
}

/** Sets access and modification time, in nanoseconds since the epoch, of the file itself. */
export function setTimes(path: string | Uint8Array, accessed: bigint, modified: bigint): void {
  const times = Buffer.alloc(32);
  for (const [at, time] of [[0, accessed], [16, modified]] as const) {
    const seconds = time >= 0n ? time / billion : -((-time + billion - 1n) / billion);
    times.writeBigInt64LE(seconds, at);
    times.writeBigInt64LE(time - seconds * billion, at + 8);
  }
  check(calls.utimensat(currentDirectory, cPath(path), times, noFollow), 'utimensat');
}

const billion = 1_000_000_000n;

/** A device, FIFO or socket file: `mode` has the type, `device` is the number that stat gives as rdev. */
export function makeNode(path: string | Uint8Array, mode: number, device: number): void {
  check(calls.mknod(cPath(path), mode, device), 'mknod');
}

/** Closes what `openBeneath` opened. */
export function closeFile(fd: number): void {
  libc.close(fd);
}
