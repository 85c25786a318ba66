/** `ports`: who answers where, asked from outside of the cluster. */
import { createSocket } from 'node:dgram';
import { expect } from 'vitest';
import type { Row, Theme } from './row.ts';
import type { Seen } from './seen.ts';

const server = 'command: [busybox, httpd, -f, -p, "80", -h, /etc]';

/** busybox serves nothing over UDP, but every Debian has a perl: it prints what comes to two ports. */
const script = '$|=1; my $port=fork?5353:5354; my $socket=IO::Socket::INET->new(LocalPort=>$port,Proto=>"udp") or die; print $text while $socket->recv($text,99)';
const listener = `command: ${JSON.stringify(['/usr/bin/perl', '-MIO::Socket::INET', '-e', script]).replaceAll('$', '$$$$')}\nvolumes: ["/usr:/usr:ro", "/lib:/lib:ro", "/lib64:/lib64:ro"]`;

/** What a host says at a port; null when nobody is there. */
async function ask(seen: Seen, node: string, port: number): Promise<string | null> {
  const address = await seen.cluster.address(node);
  return await fetch(`http://${address}:${port}/hostname`, { signal: AbortSignal.timeout(3000) }).then((response) => response.text(), () => null);
}

async function answers(seen: Seen, node: string, port: number): Promise<void> {
  await seen.until(`port ${port} of ${node} to answer`, async () => (await ask(seen, node, port)) !== null);
}

/** The one node where the pod is, and the other. */
async function nodes(seen: Seen): Promise<readonly [string, string]> {
  const here = (await seen.pod()).node ?? '';
  return [here, here === 'node-1' ? 'node-2' : 'node-1'];
}

const rows: readonly Row[] = [
  { keys: ['services.ports'], form: 'short: every node answers', service: `${server}\nports: ["18011:80"]`, see: async (seen) => {
    for (const node of ['node-1', 'node-2']) await answers(seen, node, 18_011);
    expect((await seen.listed()).ports).toEqual([{ target: 80, published: 18_011, protocol: 'tcp', mode: 'ingress' }]);
  } },
  { keys: ['services.ports'], form: 'short, without a published one: the master picks', service: `${server}\nports: ["80"]`, see: async (seen) => {
    const [port] = (await seen.listed()).ports;
    expect(port?.published).toBeGreaterThanOrEqual(30_000);
    for (const node of ['node-1', 'node-2']) await answers(seen, node, port?.published ?? 0);
  } },
  { keys: ['services.ports'], form: 'short: a range', service: `${server}\nports: ["18012-18013:80-81"]`, see: async (seen) => {
    await answers(seen, 'node-1', 18_012);
    expect((await seen.listed()).ports.map(({ published, target }) => [published, target])).toEqual([[18_012, 80], [18_013, 81]]);
  } },
  { keys: ['services.ports.published', 'services.ports.target'], form: 'long: a range to pick from', service: `${server}\nports: [{ target: 80, published: "18014-18016" }]`, see: async (seen) => {
    const published = (await seen.listed()).ports[0]?.published ?? 0;
    expect([18_014, 18_015, 18_016]).toContain(published);
    await answers(seen, 'node-2', published);
  } },
  { keys: ['services.ports.mode'], form: 'host: only where a pod runs', service: `${server}\nports: [{ target: 80, published: "18017", mode: host }]`, see: async (seen) => {
    const [here, there] = await nodes(seen);
    await answers(seen, here, 18_017);
    expect(await ask(seen, there, 18_017)).toBe(null);
  } },
  { keys: ['services.ports.host_ip'], form: 'long and short: on that address alone', service: `${server}\nports: [{ target: 80, published: "18018", host_ip: 127.0.0.1, mode: host }, "127.0.0.1:18019:80"]`,
    others: 'on-the-host: { image: "t-keys:1", stop_grace_period: 0s, command: [sleep, "100000"], network_mode: host, deploy: { mode: global } }', see: async (seen) => {
      const [here] = await nodes(seen);
      const neighbour = (await seen.of('on-the-host').pods()).find(({ node }) => node === here)?.id ?? '';
      for (const port of [18_018, 18_019]) {
        await seen.until(`port ${port} of the host's own address`, async () => {
          const script = `(printf 'GET /hostname HTTP/1.0\\r\\n\\r\\n'; sleep 1) | busybox nc -w 3 127.0.0.1 ${port}`;
          return (await seen.cluster.exec(neighbour, ['sh', '-c', script])).stdout.includes('ports-host-ip');
        });
        expect(await ask(seen, here, port)).toBe(null);
      }
    } },
  { keys: ['services.ports.protocol'], form: 'udp, long and short', service: `${listener}\nports: [{ target: 5353, published: "18020", protocol: udp }, "18021:5354/udp"]`, see: async (seen) => {
    const address = await seen.cluster.address('node-1');
    const socket = createSocket('udp4');
    try {
      for (const port of [18_020, 18_021]) {
        await seen.until(`what was sent to ${port}/udp to arrive`, async () => {
          socket.send(`hello ${port}\n`, port, address);
          return (await seen.cluster.ok(['logs', seen.id])).includes(`hello ${port}`);
        });
      }
    } finally {
      socket.close();
    }
  } },
];

export const ports: Theme = { name: 'k-ports', rows };
