/**
 * Id-mapped mounts: a copy of a mount in which user and group ids from 0 on appear as others, as a container with a user
 * namespace of its own needs its files. See mount_setattr(2); Linux 5.12, by file system (tmpfs 6.3).
 */
import fs from 'node:fs';
import { check, declare } from './libc.ts';

/** All architectures have the same numbers for calls this young. */
const call = { openTree: 428, moveMount: 429, mountSetattr: 442 } as const;
const currentDirectory = -100;
const cloneTree = 1;
const closeOnExec = 0o2000000;
const recursive = 0x8000;
const emptyPath = 0x1000;
const moveEmptyPath = 4;
const attributeIdmap = 0x00100000n;
const attributesSize = 32;

const openTree = declare<(number: number, directory: number, path: string, flags: number) => number>('long syscall(long, int, const char *, unsigned int)');
const moveMount = declare<(number: number, from: number, fromPath: string, to: number, toPath: string, flags: number) => number>('long syscall(long, int, const char *, int, const char *, unsigned int)');
const mountSetattr = declare<(number: number, directory: number, path: string, flags: number, attributes: Uint8Array, size: number) => number>('long syscall(long, int, const char *, unsigned int, void *, size_t)');

/**
 * Makes `target` (which must exist, a directory for a directory) show `source` with the ids of a user namespace, given by its
 * descriptor; mounts below included. Throws EINVAL when a file system among them has no id-mapped mounts.
 */
export function idmappedBind(source: string, target: string, users: number): void {
  const tree = check(openTree(call.openTree, currentDirectory, source, cloneTree | closeOnExec | recursive), `open_tree ${source}`);
  try {
    const attributes = Buffer.alloc(attributesSize);
    attributes.writeBigUInt64LE(attributeIdmap, 0);
    attributes.writeBigUInt64LE(BigInt(users), 24);
    check(mountSetattr(call.mountSetattr, tree, '', emptyPath | recursive, attributes, attributesSize), `mount_setattr ${source}`);
    check(moveMount(call.moveMount, tree, '', currentDirectory, target, moveEmptyPath), `move_mount ${target}`);
  } finally {
    fs.closeSync(tree);
  }
}
