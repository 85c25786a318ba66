import { expect, it } from 'vitest';
import { parseMountinfo } from '../../../../lib/linux/mount.ts';

it('reads the fields before and after the dash', () => {
  const text = [
    '36 35 98:0 / /mnt/a\\040b rw,noatime shared:7 master:1 - ext4 /dev/sd\\134a rw,errors=continue',
    '37 36 0:4 net:[4026532000] /run/netns/x rw - nsfs nsfs rw',
    '38 36 0:5 /sub /slave ro,nosuid master:3 propagate_from:2 - tmpfs none rw',
    '39 36 0:6 / /odd rw unbindable - tmpfs none rw',
    '',
    'not a mount',
  ].join('\n');
  expect(parseMountinfo(text)).toEqual([
    { id: 36, parent: 35, root: '/', target: '/mnt/a b', options: ['rw', 'noatime'], propagation: 'shared', type: 'ext4', source: '/dev/sd\\a' },
    { id: 37, parent: 36, root: 'net:[4026532000]', target: '/run/netns/x', options: ['rw'], propagation: 'private', type: 'nsfs', source: 'nsfs' },
    { id: 38, parent: 36, root: '/sub', target: '/slave', options: ['ro', 'nosuid'], propagation: 'slave', type: 'tmpfs', source: 'none' },
    { id: 39, parent: 36, root: '/', target: '/odd', options: ['rw'], propagation: 'unbindable', type: 'tmpfs', source: 'none' },
  ]);
});
