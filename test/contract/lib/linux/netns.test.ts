import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NetlinkSocket } from '../../../../lib/linux/netlink.ts';
import { createNetns, homeNetns, inNetns, isNetns, openNetns, removeNetns } from '../../../../lib/linux/netns.ts';
import { bindMount, isMountPoint, listMounts, mount, setPropagation, unmount, unmountAll } from '../../../../lib/linux/mount.ts';
import { makeFifo } from '../../../../lib/linux/fifo.ts';
import { readSysctl, writeSysctl } from '../../../../lib/linux/sysctl.ts';
import { bindUdp, listenTcp, localAddress } from '../../../../lib/linux/socket.ts';
import { Batch } from '../../../../lib/linux/netlink.ts';
import { setLink } from '../../../../lib/linux/link.ts';
import { libc } from '../../../../lib/linux/libc.ts';
import { removeScratchDir, scratchDir, scratchNetns } from './scratch.ts';

let dir: string;
beforeAll(() => {
  dir = scratchDir('netns');
});
afterAll(() => removeScratchDir(dir));

const netnsOf = (pid: number | string) => fs.readlinkSync(`/proc/${pid}/ns/net`);
const self = () => netnsOf('thread-self');

describe('namespaces', () => {
  it('are entered and left', () => {
    const home = self();
    using a = scratchNetns(dir, 'a');
    using b = scratchNetns(dir, 'b');
    const inside = inNetns(a.fd, () => [self(), inNetns(b.fd, self), self()]);
    expect(new Set([home, ...inside]).size).toBe(3);
    expect(inside[0]).toBe(inside[2]);
    expect(self()).toBe(home);
    expect(() => inNetns(a.fd, () => { throw new Error('inside'); })).toThrow('inside');
    expect(self()).toBe(home);
  });

  it('refuse promises', () => {
    using a = scratchNetns(dir, 'promise');
    const asynchronous = (() => Promise.resolve(1)) as unknown as () => number;
    expect(() => inNetns(a.fd, asynchronous)).toThrow(/synchronous/);
    expect(() => inNetns(homeNetns(), () => 1)).not.toThrow();
  });

  it('catch no thread of a pool that starts inside', async () => {
    // A process of its own, whose pools are cold.
    const script = `
      import fs from 'node:fs';
      import { createNetns, inNetns, removeNetns } from '${import.meta.dirname}/../../../../lib/linux/netns.ts';
      const pin = process.argv[1];
      const fd = createNetns(pin);
      let pending;
      inNetns(fd, () => { pending = Promise.all(Array.from({ length: 8 }, () => fs.promises.stat('/'))); });
      await pending;
      const spaces = new Set(fs.readdirSync('/proc/self/task').map((t) => fs.readlinkSync('/proc/self/task/' + t + '/ns/net')));
      fs.closeSync(fd);
      removeNetns(pin);
      console.log(spaces.size);`;
    const out = execFileSync(process.execPath, ['--input-type=module', '-e', script, path.join(dir, 'threads')], { encoding: 'utf8' });
    expect(out.trim()).toBe('1');
  });

  it('are pinned, found again and unpinned', () => {
    const pin = path.join(dir, 'pinned');
    expect(isNetns(pin)).toBe(false);
    expect(openNetns(pin)).toBeUndefined();
    fs.closeSync(createNetns(pin));
    expect(isNetns(pin)).toBe(true);
    expect(() => createNetns(pin)).toThrow(expect.objectContaining({ code: 'EEXIST' }));
    const fd = openNetns(pin) as number;
    expect(inNetns(fd, self)).not.toBe(self());
    fs.closeSync(fd);
    removeNetns(pin);
    expect(fs.existsSync(pin)).toBe(false);
    removeNetns(pin);
  });

  it('are made where a killed process left a file without a mount', () => {
    const pin = path.join(dir, 'left');
    fs.writeFileSync(pin, '');
    expect(isNetns(pin)).toBe(false);
    fs.closeSync(createNetns(pin));
    expect(isNetns(pin)).toBe(true);
    removeNetns(pin);
  });

  it('go although another mount namespace holds a copy of the pin', async () => {
    const pin = path.join(dir, 'copied');
    fs.closeSync(createNetns(pin));
    const holder = spawn('unshare', ['-m', '--propagation', 'private', 'sh', '-c', 'echo ready; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await once(holder.stdout, 'data');
      const copies = () => fs.readFileSync(`/proc/${holder.pid}/mountinfo`, 'utf8').split('\n').filter((l) => l.includes(` ${pin} `)).length;
      expect(copies()).toBe(1);
      removeNetns(pin);
      expect(fs.existsSync(pin)).toBe(false);
      expect(copies()).toBe(0);
    } finally {
      holder.kill('SIGKILL');
    }
  });
});

describe('sockets', () => {
  it('made inside stay inside', async () => {
    using a = scratchNetns(dir, 'sockets');
    const fd = inNetns(a.fd, () => {
      using netlink = new NetlinkSocket();
      netlink.exec(setLink(new Batch(), 1, { up: true }));
      return listenTcp({ address: '127.0.0.1', port: 0 });
    });
    const { port } = localAddress(fd);
    const server = net.createServer((socket) => socket.end('hello'));
    server.listen({ fd });
    await once(server, 'listening');
    try {
      const fromHere = net.connect({ host: '127.0.0.1', port });
      const [refused] = await once(fromHere, 'error') as [NodeJS.ErrnoException];
      expect(refused.code).toBe('ECONNREFUSED');
      const fromInside = spawn('nsenter', [`--net=${a.path}`, 'bash', '-c', `cat < /dev/tcp/127.0.0.1/${port}`]);
      const [answer] = await once(fromInside.stdout, 'data') as [Buffer];
      expect(answer.toString()).toBe('hello');
    } finally {
      server.close();
    }
  });

  it('say why they cannot bind', () => {
    const fd = bindUdp({ address: '127.0.0.1', port: 0 });
    try {
      expect(() => bindUdp(localAddress(fd))).toThrow(expect.objectContaining({ code: 'EADDRINUSE' }));
    } finally {
      libc.close(fd);
    }
  });
});

describe('settings', () => {
  it('are of the namespace one is in', () => {
    using a = scratchNetns(dir, 'sysctl');
    const outside = readSysctl('net/ipv4/ip_forward');
    const other = outside === '1' ? '0' : '1';
    expect(inNetns(a.fd, () => [writeSysctl('net/ipv4/ip_forward', other), writeSysctl('net/ipv4/ip_forward', other), readSysctl('net/ipv4/ip_forward')]).at(-1)).toBe(other);
    expect(readSysctl('net/ipv4/ip_forward')).toBe(outside);
  });
});

describe('mounts', () => {
  it('come, show and go', () => {
    const [from, to] = [path.join(dir, 'from'), path.join(dir, 'to')];
    fs.mkdirSync(from);
    fs.mkdirSync(to);
    mount('t-net', from, 'tmpfs', 0, 'mode=0700');
    try {
      fs.writeFileSync(path.join(from, 'f'), 'x');
      bindMount(from, to, { readOnly: true });
      setPropagation(to, 'shared');
      expect(fs.readFileSync(path.join(to, 'f'), 'utf8')).toBe('x');
      expect(() => fs.writeFileSync(path.join(to, 'f'), 'y')).toThrow(/EROFS/);
      const found = listMounts().find((m) => m.target === to);
      expect(found).toMatchObject({ type: 'tmpfs', propagation: 'shared', root: '/' });
      expect(isMountPoint(to)).toBe(true);
    } finally {
      unmountAll(to);
      unmountAll(from);
    }
    expect(isMountPoint(to)).toBe(false);
    expect(isMountPoint(path.join(dir, 'absent'))).toBe(false);
    expect(unmount(to)).toBe(false);
    expect(() => mount('x', path.join(dir, 'absent'), 'tmpfs')).toThrow(expect.objectContaining({ code: 'ENOENT', name: 'LinuxError' }));
  });
});

describe('fifos', () => {
  it('are made once and never in the place of something else', () => {
    const fifo = path.join(dir, 'fifo');
    makeFifo(fifo);
    makeFifo(fifo);
    expect(fs.statSync(fifo).isFIFO()).toBe(true);
    fs.writeFileSync(path.join(dir, 'file'), '');
    expect(() => makeFifo(path.join(dir, 'file'))).toThrow(expect.objectContaining({ code: 'EEXIST' }));
  });
});
