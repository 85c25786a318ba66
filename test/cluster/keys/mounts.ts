/** `volumes` of every type, `tmpfs`, and what the top level says of volumes. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { VolumeDetail } from '../../../model/api.ts';
import { content } from './images.ts';
import { sharedMount } from './machine.ts';
import type { Row, Theme } from './row.ts';
import type { Seen } from './seen.ts';

const inspect = (seen: Seen, name: string) => seen.cluster.json<VolumeDetail>(['volume', 'inspect', name]);
const mountOf = (path: string) => `grep " ${path} " /proc/mounts | cut -d" " -f3,4`;

const named: readonly Row[] = [
  {
    keys: ['services.volumes', 'volumes', 'volumes.labels'], form: 'a named one, short, and its record', service: 'volumes: ["data:/data", "data:/again:ro"]',
    says: 'echo mine >/data/file; cat /again/file; touch /again/x', see: async (seen) => {
      expect(await seen.output()).toMatch(/^mine\n.*Read-only file system/);
      const { driver, labels, usedBy, node } = await inspect(seen, 'k-mounts_data');
      expect({ driver, labels }).toEqual({ driver: 'local', labels: { tier: 'gold' } });
      expect(usedBy).toContain(seen.id);
      expect(node).toBe((await seen.pod()).node);
    },
  },
  { keys: ['services.volumes.type', 'services.volumes.source', 'services.volumes.target', 'services.volumes.read_only'], form: 'a named one, long', service: 'volumes: [{ type: volume, source: data, target: /data, read_only: true }]', says: 'touch /data/x', see: /Read-only file system/ },
  { keys: ['services.volumes'], form: 'a fresh one has what the image has there, and its owner', service: 'volumes: ["fresh:/srv/data"]', says: 'cat /srv/data/first; busybox stat -c "%u:%g %a" /srv/data', see: 'from the image\n1234:2345 750' },
  { keys: ['services.volumes.volume', 'services.volumes.volume.nocopy'], service: 'volumes: [{ type: volume, source: bare, target: /srv/data, volume: { nocopy: true } }]', says: 'ls /srv/data | wc -l', see: '0' },
  { keys: ['services.volumes.volume.nocopy'], form: 'short', service: 'volumes: ["bare-too:/srv/data:nocopy"]', says: 'ls /srv/data | wc -l', see: '0' },
  {
    keys: ['services.volumes.volume.subpath'], name: 'sub-maker', service: 'volumes: ["tree:/tree"]', says: 'mkdir -p /tree/a/b; echo deep >/tree/a/b/file',
    others: 'sub-user: { image: "t-keys:1", stop_grace_period: 0s, command: [sleep, "1000"], volumes: [{ type: volume, source: tree, target: /here, volume: { subpath: a/b } }] }',
    see: async (seen) => {
      await seen.output();
      expect(await seen.of('sub-user').until('what the other one wrote', async () => (await seen.of('sub-user').sh('cat /here/file')) === 'deep\n')).toBe(true);
    },
  },
  {
    keys: ['services.volumes', 'services.volumes.volume.labels'], form: 'anonymous ones, short and long', service: 'volumes: [/srv/data, { type: volume, target: /other, volume: { labels: { a: b } } }]',
    says: 'cat /srv/data/first; touch /other/x && echo written', see: async (seen) => {
      expect(await seen.output()).toBe('from the image\nwritten\n');
      expect((await seen.service()).spec.template.containers[0]?.mounts).toContainEqual(expect.objectContaining({ target: '/other', labels: { a: 'b' } }));
    },
  },
  {
    keys: ['services.volumes.x-per-replica'], service: 'scale: 2\nvolumes: [{ type: volume, source: own, target: /own, x-per-replica: true }]',
    see: async (seen) => {
      for (const slot of [1, 2]) expect((await inspect(seen, `k-mounts_own.${slot}`)).slotOf).toEqual({ volume: 'k-mounts_own', slot });
    },
  },
  { keys: ['volumes.x-per-replica'], service: 'volumes: ["each:/each"]', see: async (seen) => expect((await inspect(seen, 'k-mounts_each.1')).slotOf).toEqual({ volume: 'k-mounts_each', slot: 1 }) },
  { keys: ['volumes.name'], service: 'volumes: ["renamed:/data"]', see: async (seen) => expect((await inspect(seen, 'k-given-name')).usedBy).toEqual([seen.id]) },
  { keys: ['volumes.external'], service: 'volumes: ["foreign:/data"]', see: async (seen) => expect((await inspect(seen, 'k-shared_lent')).usedBy.toSorted()).toEqual([seen.id, 'k-shared_lender'].toSorted()) },
  { keys: ['volumes.driver', 'volumes.driver_opts'], form: 'what mount(8) takes', service: 'volumes: ["memory:/data"]', says: mountOf('/data'), see: /^tmpfs .*size=2048k.*uid=1234/ },
  { keys: ['volumes.driver_opts'], form: 'a directory of the host, from where the file is', service: 'volumes: ["bound:/data"]', says: 'cat /data/file', see: 'from the host' },
];

const others: readonly Row[] = [
  { keys: ['services.volumes'], form: 'bind, short, relative to the file', service: 'volumes: ["./host:/data", "./host:/closed:ro"]', says: 'cat /data/file; touch /closed/x', see: /^from the host\n.*Read-only file system/ },
  {
    keys: ['services.volumes.bind', 'services.volumes.bind.create_host_path'], service: 'volumes: [{ type: bind, source: ./made/for/it, target: /data, bind: { create_host_path: true } }]', says: 'echo new >/data/file',
    see: async (seen) => {
      await seen.output();
      expect(readFileSync(join(seen.dir, 'made/for/it/file'), 'utf8')).toBe('new\n');
    },
  },
  { keys: ['services.volumes.bind.propagation'], form: 'what is mounted later comes through, or does not', service: `volumes: [{ type: bind, source: ${sharedMount}, target: /slave, bind: { propagation: rslave } }, "${sharedMount}:/private", "${sharedMount}:/short:rslave"]`, see: propagates },
  { keys: ['services.volumes.tmpfs', 'services.volumes.tmpfs.size', 'services.volumes.tmpfs.mode'], service: 'volumes: [{ type: tmpfs, target: /scratch, tmpfs: { size: 1m, mode: 0750 } }]', says: `${mountOf('/scratch')}; busybox stat -c %a /scratch`, see: /^tmpfs .*size=1024k.*\n750$/ },
  { keys: ['services.volumes.image', 'services.volumes.image.subpath'], service: `volumes: [{ type: image, source: "${content}", target: /whole }, { type: image, source: "${content}", target: /part, image: { subpath: parts } }]`, says: 'cat /whole/parts/one /part/one; touch /part/x', see: /^one\none\n.*Read-only file system/ },
  { keys: ['services.tmpfs'], form: 'one', service: 'tmpfs: /run/one', says: mountOf('/run/one'), see: /^tmpfs rw,nosuid,nodev,noexec/ },
  { keys: ['services.tmpfs'], form: 'a list with options', service: 'tmpfs: ["/run/a:size=2m,mode=0700,uid=1234,exec", "/run/b:ro"]', says: `${mountOf('/run/a')}; ${mountOf('/run/b')}`, see: [/^tmpfs rw,nosuid,nodev,relatime,size=2048k,mode=700,uid=1234/, /\ntmpfs ro,/] },
  {
    keys: ['services.volumes_from'], name: 'lender', service: 'volumes: ["lent:/lent", "./host:/host"]',
    others: `
      borrower: { image: "t-keys:1", stop_grace_period: 0s, command: [sleep, "1000"], volumes_from: [lender] }
      reader: { image: "t-keys:1", stop_grace_period: 0s, command: [sleep, "1000"], volumes_from: ["lender:ro"] }`,
    see: async (seen) => {
      await seen.sh('echo hello >/lent/file');
      expect(await seen.of('borrower').sh('cat /lent/file /host/file; touch /lent/x && echo written')).toBe('hello\nfrom the host\nwritten\n');
      expect(await seen.of('reader').sh('cat /lent/file; touch /lent/x')).toMatch(/^hello\n.*Read-only/);
    },
  },
];

/** A directory is mounted on the host once the container runs. */
async function propagates(seen: Seen): Promise<void> {
  const later = join(sharedMount, 'later');
  mkdirSync(later, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', 'tsorch-t-keys-later', later]);
  writeFileSync(join(later, 'file'), 'mounted later\n');
  expect(existsSync(join(later, 'file'))).toBe(true);
  expect(await seen.sh('cat /slave/later/file /short/later/file; ls /private/later | wc -l')).toBe('mounted later\nmounted later\n0\n');
}

export const mounts: Theme = {
  name: 'k-mounts',
  files: { 'host/file': 'from the host\n' },
  top: `
    volumes:
      data: { labels: { tier: gold } }
      fresh: {}
      bare: {}
      bare-too:
      tree: {}
      own: {}
      lent: {}
      each: { x-per-replica: true }
      renamed: { name: k-given-name }
      foreign: { external: true, name: k-shared_lent }
      memory: { driver: local, driver_opts: { type: tmpfs, device: tmpfs, o: "size=2m,uid=1234" } }
      bound: { driver_opts: { type: none, o: bind, device: ./host } }`,
  rows: [...named, ...others],
};
