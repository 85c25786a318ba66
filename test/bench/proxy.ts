/**
 * The proxy's two costs: what a connection pays for a virtual address, against the endpoint's own address in the same run, and
 * how long the kernel takes to learn of a change and of a whole table. As root: `node test/bench/proxy.ts [--quick]`.
 *
 * Two busy cores gave, with 10,000 services and 100,000 pods: a connection 52 us to the endpoint itself, the same within 0.5 us by
 * its virtual address (eBPF) and 2.5 us more by a published port (nftables); an endpoint's change 0.7 ms, a pod more 11 ms (nearly
 * all of it copying the table's map of pods: 0.4 ms with 10,000), a whole table 1.8 s, of which 1.1 s making the rules.
 */
import { spawnSync } from 'node:child_process';
import { systemClock } from '../../lib/clock.ts';
import { libc, check, socketDomain, socketType } from '../../lib/linux/libc.ts';
import { silentLog } from '../../lib/log.ts';
import type { PodEntry, ServiceEntry, ServiceTable } from '../../model/table.ts';
import { LinuxDataPlane, teardownDataPlane } from '../../proxy/linux.ts';
import { ip4Bytes, parseIp4 } from '../../proxy/rules/address.ts';
import { RuleState } from '../../proxy/rules/state.ts';
import { network, node, pod, service } from '../unit/proxy/fixture.ts';
import { World, firstLine } from '../contract/proxy/world.ts';

const endpointsPerService = 10;
const servicesPerStack = 10;
const publishedEvery = 100;
const serverPort = 7001;
const vip = '10.48.0.1';
const servers = ['10.32.1.11', '10.32.1.12'] as const;

const quick = process.argv.includes('--quick');
const [role, ...rest] = process.argv.slice(2).filter((arg) => !arg.startsWith('--'));
if (role === 'program') await program(rest[0] as 'ebpf' | 'nftables', Number(rest[1]), rest[2] as string, rest[3] as string);
else if (role === 'hold') await hold(rest[0] as string, rest[1] as string, Number(rest[2]));
else if (role === 'connect') connectMany();
else await main();

async function main(): Promise<void> {
  await using world = new World();
  const here = (name: string, group: string, ...args: readonly string[]) => spawnSync('sh', ['-c', `echo $$ > ${group}/cgroup.procs && exec nsenter --net=/run/netns/${world.netns(name)} "$@"`, 'sh', process.execPath, import.meta.filename, ...args], { stdio: ['ignore', 'inherit', 'inherit'] });
  for (const count of quick ? [1000] : [1000, 10_000]) {
    for (const mode of ['ebpf', 'nftables'] as const) {
      if (mode === 'nftables' && count > 1000) continue;
      here('h1', world.cgroup('h2'), 'program', mode, String(count), world.cgroup('h1'), world.bpfDir('h1'));
    }
  }
  world.addPod('h1', 'client', '10.32.1.20');
  for (const [i, ip] of servers.entries()) {
    world.addPod('h1', `s${i}`, ip);
    await world.serve(`s${i}`, 'h1', ip, serverPort);
  }
  const holder = world.start('h1', undefined, '../../../bench/proxy.ts', 'hold', world.cgroup('h1'), world.bpfDir('h1'), String(quick ? 1000 : 10_000));
  await firstLine(holder);
  here('client', world.cgroup('h1'), 'connect', ...(quick ? ['--quick'] : []));
}

/** Stacks of ten services with one network each, ten endpoints a service, spread over hosts so that host 1 has a share like any. */
function bigTable(services: number): ServiceTable {
  const hosts = 100;
  const nodes = Array.from({ length: hosts }, (_, i) => node(`n${i + 1}`, i + 1));
  const pods = new Map<string, PodEntry>();
  const entries = new Map<string, ServiceEntry>();
  const networks = new Map<string, ReturnType<typeof network>>();
  let number = 0;
  for (let s = 0; s < services; s++) {
    const stack = `st${Math.floor(s / servicesPerStack)}`;
    const net = `${stack}_default`;
    networks.set(net, network(net, networks.size + 1));
    const members = Array.from({ length: endpointsPerService }, (_, slot) => {
      const at = number++;
      const host = (at % hosts) + 1;
      const index = Math.floor(at / hosts);
      const entry = pod(`p${at}`, `${stack}_s${s}`, slot + 1, `n${host}`, `10.${64 + (index >> 8)}.${host}.${index & 255}`, [net]);
      pods.set(entry.id, entry);
      return entry;
    });
    entries.set(`${stack}_s${s}`, service(`${stack}_s${s}`, {
      pods: members,
      networks: [{ network: net, vip: `10.49.${s >> 8}.${s & 255}`, aliases: [] }],
      ports: s % publishedEvery === 0 ? [{ target: 80, published: 20_000 + s, protocol: 'tcp', mode: 'ingress' }] : [],
    }));
  }
  return { services: entries, pods, nodes: new Map(nodes.map((each) => [each.id, each])), networks };
}

function quantiles(times: readonly number[]): string {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (q: number) => (sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] as number).toFixed(3);
  return `min ${at(0)}  p50 ${at(0.5)}  p99 ${at(0.99)} ms`;
}

async function program(mode: 'ebpf' | 'nftables', count: number, cgroupRoot: string, bpfDir: string): Promise<void> {
  const table = bigTable(count);
  const memoryBefore = process.memoryUsage().rss;
  const plane = new LinuxDataPlane({ nodeId: 'n1', mode, cgroupRoot, bpfDir, dnsAddress: '169.254.1.1', clock: systemClock, log: silentLog, addresses: () => ['192.168.50.1'] });
  try {
    console.log(`\n${mode}: ${count} services x ${endpointsPerService} endpoints, ${table.pods.size} pods, ${Math.ceil(count / publishedEvery)} published ports`);
    const built = performance.now();
    new RuleState({ nodeId: 'n1', addresses: ['192.168.50.1'], mode }).update(table);
    console.log(`  rules from the table, without a kernel       ${(performance.now() - built).toFixed(0)} ms`);
    const started = performance.now();
    await plane.apply(table);
    console.log(`  full load                                    ${(performance.now() - started).toFixed(0)} ms, ${((process.memoryUsage().rss - memoryBefore) / 2 ** 20).toFixed(0)} MB more`);
    let current = table;
    const plain = [...table.services.values()].filter((each) => each.ports.length === 0);
    const published = [...table.services.values()].filter((each) => each.ports.length > 0);
    const measure = async (what: string, times: number, next: (i: number, now: ServiceTable) => ServiceTable) => {
      const took: number[] = [];
      for (let i = 0; i < times; i++) {
        const table = next(i, current);
        const begun = performance.now();
        await plane.apply(table);
        took.push(performance.now() - begun);
        current = table;
      }
      console.log(`  ${what.padEnd(44)} ${quantiles(took)}`);
    };
    const set = (now: ServiceTable, changed: ServiceEntry): ServiceTable => ({ ...now, services: new Map(now.services).set(changed.id, changed) });
    const rotate = (list: readonly ServiceEntry[]) => (i: number, now: ServiceTable) => {
      const old = now.services.get((list[i % list.length] as ServiceEntry).id) as ServiceEntry;
      return set(now, { ...old, endpoints: [...old.endpoints.slice(1), old.endpoints[0] as ServiceEntry['endpoints'][number]] });
    };
    const shrink = (list: readonly ServiceEntry[]) => (i: number, now: ServiceTable) => {
      const original = list[i % list.length] as ServiceEntry;
      const old = now.services.get(original.id) as ServiceEntry;
      return set(now, { ...old, endpoints: old.endpoints.length === original.endpoints.length ? original.endpoints.slice(1) : original.endpoints });
    };
    const rounds = quick ? 50 : 200;
    await measure('an endpoint for another', rounds, rotate(plain));
    await measure('an endpoint less', rounds, shrink(plain));
    await measure('an endpoint for another, published', rounds, rotate(published));
    await measure('an endpoint less, published', rounds, shrink(published));
    await measure('a service more', rounds, (i, now) => set(now, service(`new_s${i}`, { pods: [...table.pods.values()].slice(0, endpointsPerService), networks: [{ network: 'st0_default', vip: `10.50.0.${i}`, aliases: [] }] })));
    await measure('a pod of another host more', rounds, (i, now) => ({ ...now, pods: new Map(now.pods).set(`new${i}`, pod(`new${i}`, 'st0_s0', 99, 'n2', `10.100.2.${i}`, ['st0_default'])) }));
    await measure('a pod of this host with a new network more', rounds, (i, now) => ({ ...now, pods: new Map(now.pods).set(`own${i}`, pod(`own${i}`, 'st0_s0', 99, 'n1', `10.100.1.${i}`, [`fresh${i}`])) }));
  } finally {
    plane.close();
    teardownDataPlane({ bpfDir });
  }
}

/** A data plane with the two real endpoints among thousands of others, for as long as the process lives. */
async function hold(cgroupRoot: string, bpfDir: string, count: number): Promise<void> {
  const big = bigTable(count);
  const real = servers.map((ip, i) => pod(`real${i}`, 'real_web', i + 1, 'n1', ip, ['real_net']));
  const client = pod('realclient', 'real_client', 1, 'n1', '10.32.1.20', ['real_net']);
  const table: ServiceTable = {
    ...big,
    pods: new Map([...big.pods, ...[...real, client].map((each) => [each.id, each] as const)]),
    services: new Map(big.services).set('real_web', service('real_web', {
      pods: real, networks: [{ network: 'real_net', vip, aliases: [] }], ports: [{ target: serverPort, published: serverPort, protocol: 'tcp', mode: 'ingress' }],
    })),
  };
  const plane = new LinuxDataPlane({ nodeId: 'n1', mode: 'ebpf', cgroupRoot, bpfDir, dnsAddress: '169.254.1.1', clock: systemClock, log: silentLog, addresses: () => ['192.168.50.1'] });
  await plane.apply(table);
  process.stdout.write(`holding ${table.services.size} services\n`);
  setInterval(() => {}, 60_000);
}

/** Bare connect() and close() with a reset, one after another, targets in turn so that all see the same noise. */
function connectMany(): void {
  const rounds = quick ? 100 : 500;
  const perRound = 50;
  const targets = [
    // Both in turn, as the others have it: two servers wake up more slowly than one.
    ['the endpoints themselves', servers],
    ['virtual address, eBPF', [vip]],
    ['published port, nftables DNAT', ['192.168.50.1']],
  ] as const;
  const results = targets.map(() => [] as number[]);
  for (let round = 0; round < rounds; round++) {
    for (const [i, [, addresses]] of targets.entries()) results[i]?.push(connectRound(addresses, perRound));
  }
  const median = (list: readonly number[]) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] as number;
  const base = { median: median(results[0] as number[]), min: Math.min(...(results[0] as number[])) };
  console.log(`\nconnect() to a pod on the same host, ${rounds} rounds of ${perRound}, isolation and connection tracking on for all`);
  for (const [i, [name]] of targets.entries()) {
    const list = results[i] as number[];
    const least = Math.min(...list);
    console.log(`  ${name.padEnd(32)} median ${median(list).toFixed(1)} us (+${(median(list) - base.median).toFixed(1)})   min ${least.toFixed(1)} us (+${(least - base.min).toFixed(1)})   x${(median(list) / base.median).toFixed(2)}`);
  }
}

/** Microseconds per connection. */
function connectRound(addresses: readonly string[], count: number): number {
  const targets = addresses.map((address) => {
    const target = Buffer.alloc(16);
    target.writeUInt16LE(socketDomain.inet, 0);
    target.writeUInt16BE(serverPort, 2);
    target.set(ip4Bytes(parseIp4(address) as number), 4);
    return target;
  });
  // Closing resets: no TIME_WAIT that would slow down translation of later rounds.
  const linger = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);
  const started = performance.now();
  for (let i = 0; i < count; i++) {
    const fd = check(libc.socket(socketDomain.inet, socketType.stream | socketType.closeOnExec, 0), 'socket');
    libc.setsockopt(fd, 1, 13, linger, linger.length);
    const target = targets[i % targets.length] as Buffer;
    check(libc.connect(fd, target, target.length), `connect ${addresses.join()}`);
    libc.close(fd);
  }
  return ((performance.now() - started) * 1000) / count;
}
