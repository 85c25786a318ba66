/**
 * Project quotas: a limit on the space that a directory tree takes, on file systems that count by project (XFS mounted with
 * `pquota`, ext4 with the `project` feature and `prjquota`). See quotactl_fd(2), ioctl_xfs_fsgetxattr(2).
 */
import fs from 'node:fs';
import { check, declare, libc } from './libc.ts';

const quotactlFd = 443;
const projectQuota = 2;
const setLimit = 0x5804;
const getXattr = 0x801c581f;
const setXattr = 0x401c5820;
const xattrSize = 28;
const inheritFlag = 0x200;
const limitSize = 112;
const limitVersion = 1;
const limitIsProject = 2;
/** Soft and hard limit of blocks are given. */
const limitFields = (1 << 2) | (1 << 3);
const blockSize = 512n;

const quotactl = declare<(number: number, fd: number, command: number, id: number, limit: Uint8Array) => number>('long syscall(long, unsigned int, unsigned int, uint32_t, void *)');

/** What is made in the (empty) directory from now on belongs to the project. */
export function setProject(directory: string, project: number): void {
  const fd = fs.openSync(directory, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    const attributes = Buffer.alloc(xattrSize);
    check(libc.ioctl(fd, getXattr, attributes), `FS_IOC_FSGETXATTR ${directory}`);
    attributes.writeUInt32LE((attributes.readUInt32LE(0) | inheritFlag) >>> 0, 0);
    attributes.writeUInt32LE(project, 12);
    check(libc.ioctl(fd, setXattr, attributes), `FS_IOC_FSSETXATTR ${directory}`);
  } finally {
    fs.closeSync(fd);
  }
}

/** Limits what the project may take on the file system that `directory` is on; 0 bytes is no limit. */
export function limitProject(directory: string, project: number, bytes: number): void {
  const fd = fs.openSync(directory, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    const blocks = (BigInt(bytes) + blockSize - 1n) / blockSize;
    const limit = Buffer.alloc(limitSize);
    limit.writeInt8(limitVersion, 0);
    limit.writeInt8(limitIsProject, 1);
    limit.writeUInt16LE(limitFields, 2);
    limit.writeUInt32LE(project, 4);
    limit.writeBigUInt64LE(blocks, 8);
    limit.writeBigUInt64LE(blocks, 16);
    check(quotactl(quotactlFd, fd, (setLimit << 8) | projectQuota, project, limit), `quotactl_fd ${directory}`);
  } finally {
    fs.closeSync(fd);
  }
}
