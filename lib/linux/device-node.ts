/** Device nodes. */
import { check, declare } from './libc.ts';

const mknod = declare<(path: string, mode: number, device: bigint) => number>('int mknod(const char *, uint32_t, uint64_t)');
const characterDevice = 0o020000;
const blockDevice = 0o060000;

/** Makes a node that nobody but its owner, root, may use until its mode is changed. Throws EEXIST. */
export function makeDeviceNode(path: string, type: 'c' | 'b', major: number, minor: number): void {
  const [high, low] = [BigInt(major), BigInt(minor)];
  // glibc's dev_t: the minor is split around the major.
  const device = ((high & 0xfffn) << 8n) | ((high & ~0xfffn) << 32n) | (low & 0xffn) | ((low & ~0xffn) << 12n);
  check(mknod(path, (type === 'c' ? characterDevice : blockDevice) | 0o600, device), `mknod ${path}`);
}
