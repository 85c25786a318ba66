import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { explainMount, mountPlan, withAddress } from '../../../../agent/volumes/local-mount.ts';

const found = async (host: string) => (host === 'nas' ? '192.0.2.7' : Promise.reject(new Error(`looked up ${host}`)));

describe('options of the local driver', () => {
  test.each([
    [{}, null],
    [{ type: 'tmpfs', o: 'size=1m' }, { type: 'tmpfs', options: 'size=1m', device: 'tmpfs' }],
    [{ o: 'bind', device: '/srv' }, { type: 'none', options: 'bind', device: '/srv' }],
    [{ type: 'ext4', device: '/dev/sdb1' }, { type: 'ext4', options: '', device: '/dev/sdb1' }],
  ])('%j', (options, plan) => expect(mountPlan('v', options)).toEqual(plan));

  test.each([
    [{ type: 'ext4' }, 'nothing of the device'],
    [{ device: '/dev/sdb1' }, 'not of which type'],
    [{ o: 'rw' }, 'not of which type'],
    [{ o: 'bind' }, 'mounted as a bind'],
    [{ size: 'much' }, 'is no size'], [{ size: '1g', type: 'tmpfs' }, 'not what is mounted'],
    [{ type: 'ext4', device: '/dev/a\nb' }, 'a line break'],
    [{ mountpoint: '/x' }, 'knows no option mountpoint'],
  ])('%j is refused', (options, message) => expect(() => mountPlan('v', options)).toThrow(new RegExp(`volume v: .*${message}`)));
});

describe('servers', () => {
  test.each([
    ['nfs', 'rw,addr=nas', ':/e', 'rw,addr=192.0.2.7'],
    ['nfs4', 'addr=192.0.2.1,rw', ':/e', 'addr=192.0.2.1,rw'],
    ['nfs', 'vers=4', 'nas:/e', 'vers=4,addr=192.0.2.7'],
    ['nfs', '', '[fe80::1]:/e', 'addr=fe80::1'],
    ['nfs', 'addr=fe80::2', ':/e', 'addr=fe80::2'],
    ['cifs', 'username=a', '//nas/share', 'username=a,addr=192.0.2.7'],
    ['cifs', 'username=a,addr=nas', '//other/share', 'username=a,addr=192.0.2.7'],
    // Others say their servers in words of their own.
    ['ceph', 'addr=nas', 'nas:/x', 'addr=nas'],
  ])('%s %s %s', async (type, options, device, expected) => expect((await withAddress({ type, options, device }, found)).options).toBe(expected));

  test('one that is not said, or not found', async () => {
    await expect(withAddress({ type: 'nfs', options: 'rw', device: ':/e' }, found)).rejects.toMatchObject({ code: 'invalid', hint: expect.stringContaining('addr=') });
    await expect(withAddress({ type: 'nfs', options: '', device: 'gone:/e' }, found)).rejects.toThrow('looked up gone');
  });

  test('an address is left as it is, and no option is lost', () =>
    fc.assert(fc.asyncProperty(fc.array(fc.stringMatching(/^[a-z]{1,6}(=[a-z0-9]{1,6})?$/)), fc.ipV4(), async (others, address) => {
      const options = [...others.filter((each) => !each.startsWith('addr=')), `addr=${address}`];
      expect((await withAddress({ type: 'nfs', options: options.join(','), device: ':/e' }, found)).options.split(',')).toEqual(options);
    })));
});

describe('why a mount failed', () => {
  const plan = { type: 'nfs', options: '', device: 'nas:/e' };
  const failure = { said: '', timedOut: false, device: true, type: true };
  test.each([
    [{ timedOut: true }, 'timeout', 'longer than a minute', 'server answers'],
    [{ type: false }, 'unavailable', 'no file system type nfs', 'modprobe nfs'],
    [{ said: "mount: /v: unknown filesystem type 'nfs'.\n" }, 'unavailable', 'no file system type nfs', 'modprobe nfs'],
    [{ said: 'mount: /v: requested NFS version or transport protocol is not supported.' }, 'unavailable', 'NFS version', 'vers=4'],
    [{ said: 'mount: /v: wrong fs type, bad option, bad superblock on nas:/e, missing codepage or helper program, or other error.\n       dmesg(1) may have more information after failed mount system call.' }, 'unavailable', 'the kernel refused it (wrong fs type', 'addr='],
    [{ said: 'mount: /v: permission denied.' }, 'unavailable', 'permission denied', 'access list'],
    [{ said: 'mount: /v: mount(2) system call failed: Connection refused.' }, 'unavailable', 'Connection refused', undefined],
  ] as const)('%j', (over, code, message, hint) => {
    const error = explainMount(plan, { ...failure, ...over });
    expect(error).toMatchObject({ code, message: expect.stringContaining(message) });
    if (hint === undefined) expect(error.hint).toBeUndefined();
    else expect(error.hint).toContain(hint);
  });

  test('a password is not told', () => {
    const error = explainMount({ ...plan, type: 'cifs' }, { ...failure, said: 'mount: /v: bad option username=u,password=hunter2,x' });
    expect(error.message).not.toContain('hunter2');
  });
});
