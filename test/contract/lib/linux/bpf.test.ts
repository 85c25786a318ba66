import { mkdirSync, rmSync, rmdirSync, existsSync, readdirSync, unlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  bpfAttachType, bpfMapType, bpfNoPrealloc, bpfProgramType, createLink, createMap, deleteElement, dumpMap, linkInfo, loadProgram, lookupElement, mapInfo, openPinned, pinObject,
  updateElement, updateElements, updateLink,
} from '../../../../lib/linux/bpf.ts';
import type { BpfMapDefinition } from '../../../../lib/linux/bpf.ts';
import { netnsCookie, openCgroup } from '../../../../lib/linux/bpf-cgroup.ts';
import { ensureBpfFs, isBpfFs } from '../../../../lib/linux/bpffs.ts';
import { LinuxError, libc } from '../../../../lib/linux/libc.ts';

const name = `t-proxy-${process.pid}-lib`;
const pins = `/sys/fs/bpf/${name}`;
const cgroupPath = `${existsSync('/sys/fs/cgroup/unified/cgroup.procs') ? '/sys/fs/cgroup/unified' : '/sys/fs/cgroup'}/${name}`;
const fds: number[] = [];
const keep = (fd: number): number => {
  fds.push(fd);
  return fd;
};
const hash: BpfMapDefinition = { name: 't_hash', type: bpfMapType.hash, keySize: 4, valueSize: 8, maxEntries: 4000, flags: bpfNoPrealloc };
const array: BpfMapDefinition = { name: 't_array', type: bpfMapType.array, keySize: 4, valueSize: 8, maxEntries: 100, flags: 0 };

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

/** What this process and dead ones left: pins, which keep programs attached, and cgroups. */
function remove(): void {
  for (const parent of ['/sys/fs/bpf', dirname(cgroupPath)]) {
    for (const left of readdirSync(parent).filter((each) => /^t-proxy-\d+-lib$/.test(each))) {
      if (left !== name && existsSync(`/proc/${/\d+/.exec(left)?.[0]}`)) continue;
      if (parent === '/sys/fs/bpf') for (const pin of readdirSync(`${parent}/${left}`)) unlinkSync(`${parent}/${left}/${pin}`);
      rmdirSync(`${parent}/${left}`);
    }
  }
}

beforeAll(() => {
  ensureBpfFs('/sys/fs/bpf');
  remove();
  ensureBpfFs(pins);
});
afterEach(() => {
  for (const fd of fds.splice(0)) libc.close(fd);
});
afterAll(remove);

describe('maps', () => {
  test('hold what is put, one by one and many at once', () => {
    const map = keep(createMap(hash));
    updateElement(map, u32(1), u64(11));
    updateElement(map, u32(1), u64(12));
    expect(lookupElement(map, u32(1), 8)).toEqual(u64(12));
    expect(lookupElement(map, u32(2), 8)).toBeUndefined();
    expect([deleteElement(map, u32(1)), deleteElement(map, u32(1))]).toEqual([true, false]);
    const count = 3000;
    updateElements(map, Buffer.concat(Array.from({ length: count }, (_, i) => u32(i))), Buffer.concat(Array.from({ length: count }, (_, i) => u64(i * 2))), count);
    updateElements(map, Buffer.alloc(0), Buffer.alloc(0), 0);
    const dumped = dumpMap(map, hash).map(({ key, value }) => [key.readUInt32LE(), Number(value.readBigUInt64LE())] as const).sort(([a], [b]) => a - b);
    expect(dumped).toEqual(Array.from({ length: count }, (_, i) => [i, i * 2]));
    expect(mapInfo(map)).toEqual({ type: hash.type, keySize: 4, valueSize: 8, maxEntries: 4000, flags: bpfNoPrealloc });
  });

  test('that are full say so', () => {
    const map = keep(createMap({ ...hash, maxEntries: 1 }));
    updateElement(map, u32(1), u64(1));
    expect(() => updateElement(map, u32(2), u64(1))).toThrow(/E2BIG/);
  });

  test('of the array kind are read up to a limit', () => {
    const map = keep(createMap(array));
    updateElement(map, u32(3), u64(33));
    expect(dumpMap(map, array, 5).map(({ value }) => Number(value.readBigUInt64LE()))).toEqual([0, 0, 0, 33, 0]);
    expect(dumpMap(map, array)).toHaveLength(100);
    expect(dumpMap(keep(createMap(hash)), hash)).toEqual([]);
  });

  test('live on where they are pinned', () => {
    const path = `${pins}/map`;
    const map = createMap(hash);
    updateElement(map, u32(7), u64(77));
    pinObject(map, path);
    libc.close(map);
    expect(lookupElement(keep(openPinned(path) as number), u32(7), 8)).toEqual(u64(77));
    unlinkSync(path);
    expect(openPinned(path)).toBeUndefined();
  });
});

describe('programs', () => {
  /** r0 = value; exit */
  const returning = (value: number) => Buffer.from([0xb7, 0, 0, 0, value, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]);
  const program = (instructions: Buffer) => ({ name: 't_test', type: bpfProgramType.cgroupSockAddr, attachType: bpfAttachType.connect4, instructions, relocations: [], license: 'GPL' });

  test('that the verifier refuses are refused in its words', () => {
    // exit without a result.
    expect(() => loadProgram(program(Buffer.from([0x95, 0, 0, 0, 0, 0, 0, 0])), new Map())).toThrow(/R0 !read_ok/);
    expect(() => loadProgram({ ...program(returning(1)), relocations: [{ offset: 0, map: 'nobody' }] }, new Map())).toThrow(/wants map nobody/);
  });

  test('decide over connections of their cgroup, can be replaced, and stay while pinned', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => { server.once('listening', resolve); });
    const port = (server.address() as { port: number }).port;
    using cgroup = openCgroup(cgroupPath);
    const { execFileSync } = await import('node:child_process');
    const connects = (): boolean => {
      try {
        execFileSync('sh', ['-c', `echo $$ > ${cgroupPath}/cgroup.procs && exec ${process.execPath} -e "require('net').connect(${port}, '127.0.0.1').on('connect', () => process.exit(0)).on('error', () => process.exit(1))"`], { stdio: 'ignore' });
        return true;
      } catch {
        return false;
      }
    };
    try {
      const path = `${pins}/link`;
      const link = createLink(keep(loadProgram(program(returning(0)), new Map())), cgroup.fd, bpfAttachType.connect4);
      expect(linkInfo(link)).toMatchObject({ cgroupId: cgroup.id, attachType: bpfAttachType.connect4 });
      pinObject(link, path);
      libc.close(link);
      expect(connects()).toBe(false);
      const again = keep(openPinned(path) as number);
      updateLink(again, keep(loadProgram(program(returning(1)), new Map())));
      expect(connects()).toBe(true);
      updateLink(again, keep(loadProgram(program(returning(0)), new Map())));
      for (const fd of fds.splice(0)) libc.close(fd);
      unlinkSync(path);
      expect(connects()).toBe(true);
    } finally {
      server.close();
    }
  });
});

test('only bpf file systems will do for pins, and cgroup2 for attaching', () => {
  expect(isBpfFs(pins)).toBe(true);
  expect(isBpfFs(`${pins}/not/there/yet`)).toBe(true);
  expect(isBpfFs('/tmp')).toBe(false);
  mkdirSync(`/tmp/${name}`, { recursive: true });
  expect(() => ensureBpfFs(`/tmp/${name}`)).toThrow(/bpf file system/);
  expect(() => openCgroup(`/tmp/${name}`)).toThrow(/cgroup2/);
  rmSync(`/tmp/${name}`, { recursive: true });
});

test('a namespace has a cookie, and calls that fail say which', () => {
  expect(netnsCookie()).toBeGreaterThan(0n);
  expect(netnsCookie()).toBe(netnsCookie());
  try {
    pinObject(999_999, `${pins}/x`);
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(LinuxError);
    expect((error as LinuxError).message).toContain(`pin ${pins}/x`);
  }
});
