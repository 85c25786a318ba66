/** What cgroup programs are attached to, and how they tell network namespaces apart. */
import { closeSync, constants, fstatSync, mkdirSync, openSync, statfsSync } from 'node:fs';
import { check, libc, socketDomain, socketOption, socketType, solSocket } from './libc.ts';

const cgroup2Magic = 0x63677270n;

export interface CgroupDirectory extends Disposable {
  readonly fd: number;
  /** What links call it. */
  readonly id: bigint;
}

/** Opens a directory of the cgroup2 hierarchy, making it when it is missing. */
export function openCgroup(path: string): CgroupDirectory {
  mkdirSync(path, { recursive: true });
  if (statfsSync(path, { bigint: true }).type !== cgroup2Magic) {
    throw new Error(`${path} is not in a cgroup2 file system: use a directory below /sys/fs/cgroup, or below /sys/fs/cgroup/unified where version 1 is mounted too`);
  }
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  return { fd, id: fstatSync(fd, { bigint: true }).ino, [Symbol.dispose]: () => closeSync(fd) };
}

/** The cookie of the calling thread's network namespace, as programs see it. */
export function netnsCookie(): bigint {
  const fd = check(libc.socket(socketDomain.inet, socketType.datagram | socketType.closeOnExec, 0), 'socket');
  try {
    const value = Buffer.alloc(8);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(8);
    check(libc.getsockopt(fd, solSocket, socketOption.netnsCookie, value, length), 'getsockopt SO_NETNS_COOKIE');
    return value.readBigUInt64LE();
  } finally {
    libc.close(fd);
  }
}
