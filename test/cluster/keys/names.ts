/** Networks and names: who finds and reaches whom, and by which name. */
import { createSocket } from 'node:dgram';
import { statSync } from 'node:fs';
import { expect } from 'vitest';
import type { Row, Theme } from './row.ts';
import type { Seen } from './seen.ts';

const server = (more: string) => `{ image: "t-keys:1", stop_grace_period: 0s, command: [busybox, httpd, -f, -p, "80", -h, /etc]${more === '' ? '' : `, ${more}`} }`;
const ask = (host: string) => `timeout 5 busybox wget -qO- http://${host}/passwd 2>&1 | head -n 1`;
const root = 'root:x:0:0:root:/root:/bin/sh';

/** A name server that knows one name. Ends with what it gives. */
async function serveNames(address: string, name: string, ip: readonly number[]): Promise<() => void> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  const wanted = Buffer.concat([...name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)])), Buffer.from([0, 0, 1])]);
  socket.on('message', (query, from) => {
    const found = query.subarray(12).indexOf(wanted) === 0;
    const reply = Buffer.concat([query.subarray(0, 2), Buffer.from([0x81, found ? 0x80 : 0x83, 0, 1, 0, found ? 1 : 0, 0, 0, 0, 0]), query.subarray(12), found ? Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, ...ip]) : Buffer.alloc(0)]);
    socket.send(reply, from.port, from.address);
  });
  await new Promise<void>((done) => {
    socket.bind(53, address, done);
  });
  return () => socket.close();
}

/** Until the name answers; a server may have begun a moment ago. */
async function reaches(seen: Seen, host: string): Promise<void> {
  await seen.until(`${host} to answer`, async () => {
    const output = await seen.sh(ask(host));
    if (output.trim() !== root) throw new Error(output);
    return true;
  });
}

const names: readonly Row[] = [
  {
    keys: ['networks', 'services.networks', 'services.networks.aliases'], form: 'several, with aliases; apart from one another', service: 'networks: [front]',
    others: `
      both: ${server('networks: { front: { aliases: [the-front] }, back: { aliases: [the-back] } }')}
      behind: ${server('networks: [back]')}`,
    see: async (seen) => {
      await reaches(seen, 'both');
      await reaches(seen, 'the-front');
      await reaches(seen.of('both'), 'behind');
      await reaches(seen.of('behind'), 'the-back');
      expect(await seen.sh('nslookup behind; nslookup the-back')).not.toMatch(/10\.\d+\.\d+\.\d+/);
      const [behind] = await seen.of('behind').pods();
      expect(await seen.sh(`timeout 3 busybox nc -w 2 ${behind?.ip} 80 </dev/null; echo $?`)).not.toMatch(/^0$/m);
    },
  },
  {
    keys: ['networks.internal'], name: 'inside', service: 'networks: [closed]', others: `inside-too: ${server('networks: [closed]')}\nout-too: { image: "t-keys:1", stop_grace_period: 0s, command: [sleep, "1000"] }`,
    see: async (seen) => {
      await reaches(seen, 'inside-too');
      // The machine's own side of the hosts' wire, where the master listens.
      const master = (await seen.cluster.address('node-1')).replace(/\d+$/, '1');
      const script = `timeout 4 busybox nc -w 3 ${master} 7443 </dev/null && echo reached || echo closed`;
      expect(await seen.sh(script)).toMatch(/closed\n$/);
      expect(await seen.of('out-too').sh(script)).toBe('reached\n');
    },
  },
  {
    keys: ['networks.external', 'networks.name'], service: 'networks: [foreign]',
    see: async (seen) => expect(await seen.sh('nslookup lender')).toMatch(/Address.*10\.\d/),
  },
  {
    keys: ['networks.driver', 'networks.driver_opts'], service: 'networks: [bridged]', others: `bridged-too: ${server('networks: [bridged]')}`,
    see: (seen) => reaches(seen, 'bridged-too'),
  },
  { keys: ['networks.labels'], service: 'networks: [bridged]', see: async (seen) => expect(await seen.cluster.json(['inspect', 'network/k-names_bridged'])).toMatchObject({ labels: { tier: 'gold' }, usedBy: expect.arrayContaining([seen.id]) }) },
  { keys: ['services.links'], service: 'links: ["both:other-name"]\nnetworks: [front]', see: (seen) => reaches(seen, 'other-name') },
  { keys: ['services.container_name'], service: 'networks: [front]', others: `contained: ${server('container_name: by.this-name, networks: [front]')}`, see: (seen) => reaches(seen, 'by.this-name') },
  { keys: ['services.extra_hosts'], form: 'a list', service: 'extra_hosts: ["one.test:10.1.2.3", "six.test=::1", "host.test:host-gateway"]', says: 'grep test /etc/hosts', see: [/^10\.1\.2\.3\s+one\.test$/m, /^::1\s+six\.test$/m, /^\d+\.\d+\.\d+\.\d+\s+host\.test$/m] },
  { keys: ['services.extra_hosts'], form: 'a mapping', service: 'extra_hosts: { two.test: 10.1.2.4, many.test: [10.1.2.5, 10.1.2.6] }', says: 'grep test /etc/hosts', see: [/^10\.1\.2\.4\s+two\.test$/m, /^10\.1\.2\.5\s+many\.test$/m, /^10\.1\.2\.6\s+many\.test$/m] },
  { keys: ['services.dns_search', 'services.dns_opt'], form: 'lists', service: 'dns_search: [a.test, b.test]\ndns_opt: ["ndots:3", "timeout:2"]', says: 'cat /etc/resolv.conf', see: [/^search a\.test b\.test$/m, /^options .*ndots:3/m, /timeout:2/] },
  { keys: ['services.dns_search'], form: 'one', service: 'dns_search: one.test', says: 'cat /etc/resolv.conf', see: /^search one\.test$/m },
  {
    keys: ['services.dns'], form: 'names of the outside are asked of it, those of the cluster are known all the same', name: 'asks', service: 'dns: "${MACHINE}"\nnetworks: [front]',
    others: 'asks-nobody: { image: "t-keys:1", stop_grace_period: 0s, command: [sleep, "100000"], networks: [front] }',
    see: async (seen) => {
      const stop = await serveNames((await seen.cluster.address('node-1')).replace(/\d+$/, '1'), 'only.here.test', [10, 9, 8, 7]);
      try {
        expect(await seen.sh('nslookup only.here.test')).toContain('10.9.8.7');
        expect(await seen.of('asks-nobody').sh('nslookup only.here.test')).not.toContain('10.9.8.7');
        expect(await seen.sh('nslookup both')).toMatch(/^Address[^:]*: 10\.\d/m);
      } finally {
        stop();
      }
    },
  },
  { keys: ['services.dns'], form: 'a list', service: 'dns: [192.0.2.1, 192.0.2.2]', says: 'cat /etc/resolv.conf', see: /^nameserver 169\.254\.1\.1\nnameserver 192\.0\.2\.1\nnameserver 192\.0\.2\.2$/m },
  { keys: ['services.network_mode'], form: 'none', service: 'network_mode: none', says: 'ls /sys/class/net', see: 'lo' },
  { keys: ['services.network_mode'], form: 'host', service: 'network_mode: host', says: 'readlink /proc/self/ns/net', see: async (seen) => {
    const { node } = await seen.pod();
    const { ino } = statSync(`/run/netns/ts-${seen.cluster.name}-${node?.split('-')[1]}`);
    expect((await seen.output()).trim()).toBe(`net:[${ino}]`);
  } },
  { keys: ['services.network_mode'], form: 'bridge', service: 'network_mode: bridge', others: `bridge-too: ${server('')}`, see: (seen) => reaches(seen, 'bridge-too') },
  {
    keys: ['services.network_mode'], form: 'service:NAME and container:NAME', name: 'pod-owner', service: 'container_name: the-owner', others: `
      by-service: { image: "t-keys:1", stop_grace_period: 0s, command: [sleep, "1000"], network_mode: "service:pod-owner" }
      by-container: { image: "t-keys:1", stop_grace_period: 0s, command: [sleep, "1000"], network_mode: "container:the-owner" }`,
    see: async (seen) => {
      const spaces = await Promise.all([seen, seen.of('by-service'), seen.of('by-container')].map((one) => one.sh('readlink /proc/self/ns/net')));
      expect(new Set(spaces).size).toBe(1);
      expect(spaces[0]).toMatch(/^net:/);
    },
  },
];

export const networks: Theme = {
  name: 'k-names',
  top: `
    networks:
      front: {}
      back:
      closed: { internal: true }
      foreign: { external: true, name: k-meeting }
      bridged: { driver: bridge, driver_opts: { com.docker.network.driver.mtu: "1400" }, labels: { tier: gold } }`,
  rows: names,
};
