/**
 * Pod network: attach, detach and peers, against `ip` doing the same things in the same run (a process for each command, and for
 * peers also one `ip -batch`). Run as root: `node test/bench/network.ts`.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { LinuxPodNetwork } from '../../agent/network/linux.ts';
import { gatewayMac, podMac, tunnelMac } from '../../agent/network/names.ts';
import type { HostNetworkConfig, Peer } from '../../agent/network/port.ts';
import { silentLog } from '../../lib/log.ts';
import { Lab } from '../contract/agent/network/lab.ts';

const pods = 200;
const ipPods = 20;
const peerCount = 1000;

const [inside] = process.argv.slice(2);
if (inside) await measure(JSON.parse(inside) as HostNetworkConfig);
else await prepare();

/** The measuring process runs in a host's namespace, as an agent does. */
async function prepare(): Promise<void> {
  const lab = new Lab('bench');
  try {
    const host = lab.addHost('h1', '10.99.0.1', '10.32.0.0/20');
    await host.network.kill();
    spawnSync('nsenter', [`--net=${host.netns}`, process.execPath, import.meta.filename, JSON.stringify(host.config)], { stdio: 'inherit' });
  } finally {
    await lab.close();
  }
}

async function measure(config: HostNetworkConfig): Promise<void> {
  const network = new LinuxPodNetwork({ log: silentLog });
  await network.prepareHost(config);
  const ipDir = `${config.netnsDir}-ip`;
  fs.mkdirSync(ipDir);
  const times: Record<string, number[]> = {};
  const time = async (name: string, run: () => unknown) => {
    const begun = performance.now();
    await run();
    (times[name] ??= []).push(performance.now() - begun);
  };

  await network.attach({ id: 'warm', ip: address(4000) });
  await network.detach('warm');
  for (let i = 0; i < pods; i++) {
    await time('attach', () => network.attach({ id: `p${i}`, ip: address(i + 1) }));
    // Interleaved, so that both see the same machine.
    if (i % (pods / ipPods) === 0) await time('attach by ip', () => attachByIp(ipDir, i));
  }
  await time('list 200', () => network.list());
  await time('prepare again', () => network.prepareHost(config));
  for (let i = 0; i < pods; i++) {
    await time('detach', () => network.detach(`p${i}`));
    if (i % (pods / ipPods) === 0) await time('detach by ip', () => detachByIp(ipDir, i));
  }

  const peers = Array.from({ length: peerCount }, (_, i) => peer(i));
  for (let round = 0; round < 5; round++) {
    await time('1000 peers set', () => network.setPeers(peers));
    await time('1000 peers unchanged', () => network.setPeers(peers));
    await time('1 of 1000 moved', () => network.setPeers(peers.map((p, i) => (i === round ? { ...p, address: '10.98.255.1' } : p))));
    await time('1000 peers removed', () => network.setPeers([]));
    await time('1000 peers by ip -batch', () => peersByIpBatch(peers));
    await network.setPeers([]);
    await time('1 peer by ip', () => peerByIp(peers[round] as Peer));
    await network.setPeers([]);
  }
  await network.teardown();
  report(times);
}

function attachByIp(dir: string, i: number): void {
  const [pin, host, ip] = [path.join(dir, `p${i}`), `bench${i}`, address(i + 1)];
  fs.writeFileSync(pin, '');
  command('unshare', `--net=${pin}`, 'true');
  command('ip', 'link', 'add', host, 'address', gatewayMac, 'mtu', '1450', 'type', 'veth', 'peer', 'name', 'eth0', 'address', podMac(ip), 'mtu', '1450', 'netns', pin);
  command('ip', 'link', 'set', host, 'up');
  command('ip', 'neigh', 'replace', ip, 'lladdr', podMac(ip), 'dev', host, 'nud', 'permanent');
  command('ip', 'route', 'replace', `${ip}/32`, 'dev', host);
  const inPod = (...args: string[]) => command('nsenter', `--net=${pin}`, 'ip', ...args);
  inPod('link', 'set', 'lo', 'up');
  inPod('link', 'set', 'eth0', 'up');
  inPod('addr', 'add', `${ip}/32`, 'dev', 'eth0');
  inPod('neigh', 'add', '169.254.1.1', 'lladdr', gatewayMac, 'dev', 'eth0', 'nud', 'permanent');
  inPod('route', 'add', '169.254.1.1', 'dev', 'eth0');
  inPod('route', 'add', 'default', 'via', '169.254.1.1');
}

function detachByIp(dir: string, i: number): void {
  const pin = path.join(dir, `p${i}`);
  command('ip', 'link', 'del', `bench${i}`);
  command('umount', pin);
  fs.rmSync(pin);
}

function peerByIp(p: Peer): void {
  const inner = p.subnet.replace('/24', '');
  command('bridge', 'fdb', 'replace', p.vtepMac, 'dev', 'tsorch0', 'dst', p.address, 'self', 'permanent');
  command('ip', 'neigh', 'replace', inner, 'lladdr', p.vtepMac, 'dev', 'tsorch0', 'nud', 'permanent');
  command('ip', 'route', 'replace', p.subnet, 'via', inner, 'dev', 'tsorch0', 'onlink', 'proto', '116');
}

function peersByIpBatch(peers: readonly Peer[]): void {
  const batch = (name: string, line: (p: Peer) => string) => execFileSync(name, ['-batch', '-'], { input: `${peers.map(line).join('\n')}\n` });
  batch('bridge', (p) => `fdb replace ${p.vtepMac} dev tsorch0 dst ${p.address} self permanent`);
  batch('ip', (p) => `neigh replace ${p.subnet.replace('/24', '')} lladdr ${p.vtepMac} dev tsorch0 nud permanent\nroute replace ${p.subnet} via ${p.subnet.replace('/24', '')} dev tsorch0 onlink proto 116`);
}

function command(name: string, ...args: string[]): void {
  execFileSync(name, args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

function address(i: number): string {
  return `10.32.${i >> 8}.${i & 255}`;
}

function peer(i: number): Peer {
  const subnet = `10.${33 + (i >> 8)}.${i & 255}.0/24`;
  return { id: `n${i}`, address: `10.98.${i >> 8}.${(i & 255) || 1}`, subnet, vtepMac: tunnelMac(subnet) };
}

function report(times: Record<string, number[]>): void {
  const quantile = (name: string, q: number) => {
    const sorted = (times[name] ?? []).toSorted((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
  };
  const against: Record<string, string> = { attach: 'attach by ip', detach: 'detach by ip', '1000 peers set': '1000 peers by ip -batch' };
  console.log(`${'ms'.padEnd(26)}${['n', 'min', 'p50', 'p90', 'max'].map((h) => h.padStart(9)).join('')}   p50 of the peer / ours`);
  for (const [name, values] of Object.entries(times)) {
    const rival = against[name];
    const ratio = rival ? `   ${(quantile(rival, 0.5) / quantile(name, 0.5)).toFixed(1)} x` : '';
    const columns = [Math.min(...values), quantile(name, 0.5), quantile(name, 0.9), Math.max(...values)].map((v) => v.toFixed(3).padStart(9));
    console.log(`${name.padEnd(26)}${String(values.length).padStart(9)}${columns.join('')}${ratio}`);
  }
}
