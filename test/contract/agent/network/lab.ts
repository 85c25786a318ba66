/**
 * Hosts as network namespaces on one switch, each with an agent's network in a process of its own. A host with another
 * /24 hangs behind the switch as behind a router.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { HostNetworkConfig, LocalNetworkConfig, Peer, PodNetwork } from '../../../../agent/network/port.ts';
import { addLink, addVeth, getLink, setLink } from '../../../../lib/linux/link.ts';
import { addAddress } from '../../../../lib/linux/link-address.ts';
import { Batch, NetlinkSocket } from '../../../../lib/linux/netlink.ts';
import { inNetns } from '../../../../lib/linux/netns.ts';
import { replaceRoute } from '../../../../lib/linux/route.ts';
import { scope } from '../../../../lib/linux/rtnetlink.ts';
import { writeSysctl } from '../../../../lib/linux/sysctl.ts';
import { TsorchError } from '../../../../model/errors.ts';
import type { ErrorCode } from '../../../../model/errors.ts';
import { removeScratchDir, scratchDir, scratchNetns } from '../../lib/linux/scratch.ts';
import type { Answer, Call } from './host-process.ts';

export const podCidr = '10.32.0.0/12';

/** `PodNetwork` in another process. `kill` ends it as a power cut would. */
export class RemoteNetwork implements PodNetwork {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  #next = 0;

  constructor(netns: string, netnsDir: string) {
    const main = path.join(import.meta.dirname, 'host-process.ts');
    this.#child = spawn('nsenter', [`--net=${netns}`, process.execPath, main, netnsDir], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#child.on('message', ({ id, result, error }: Answer) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error) waiting?.reject(new TsorchError(error.code as ErrorCode, error.message, error.hint ? { hint: error.hint } : {}));
      else waiting?.resolve(result);
    });
    this.#child.on('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the host process ended'));
    });
  }

  prepareHost = (config: HostNetworkConfig) => this.#call('prepareHost', config) as Promise<{ vtepMac: string }>;
  prepareLocal = (config: LocalNetworkConfig) => this.#call('prepareLocal', config) as Promise<void>;
  setPeers = (peers: readonly Peer[]) => this.#call('setPeers', peers) as Promise<void>;
  attach = (pod: { id: string; ip: string }) => this.#call('attach', pod) as Promise<{ netns: string }>;
  detach = (podId: string) => this.#call('detach', podId) as Promise<void>;
  list = () => this.#call('list', undefined) as Promise<{ id: string; ip: string | null }[]>;
  traffic = (podId: string) => this.#call('traffic', podId) as Promise<{ received: number; sent: number } | null>;
  teardown = () => this.#call('teardown', undefined) as Promise<void>;

  /** Attaches and detaches these without end; resolves when it has begun. */
  async churn(pods: readonly { id: string; ip: string }[]): Promise<void> {
    const begun = new Promise((resolve, reject) => this.#waiting.set(-1, { resolve, reject }));
    this.#call('churn', pods).catch(() => {});
    await begun;
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  #call(method: Call['method'], argument: unknown): Promise<unknown> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ id, method, argument } satisfies Call, (error) => error && reject(error));
    });
  }
}

export interface LabHost {
  readonly name: string;
  /** The agent's network; `restart` puts another in its place. */
  network: RemoteNetwork;
  readonly netns: string;
  /** Descriptor of the namespace. */
  readonly fd: number;
  config: HostNetworkConfig;
  /** A new agent over what the old one left. The old one is killed first. */
  restart(): Promise<void>;
  /** Prepares the host and returns what others need to know of it. */
  prepare(change?: Partial<HostNetworkConfig>): Promise<Peer>;
}

export class Lab {
  readonly dir: string;
  readonly hosts: LabHost[] = [];
  #spaces: Disposable[] = [];
  #switch: ReturnType<typeof scratchNetns>;

  constructor(name: string) {
    this.dir = scratchDir(name);
    this.#switch = this.#space('switch');
    inNetns(this.#switch.fd, () => {
      using socket = new NetlinkSocket();
      socket.exec(addLink(new Batch(), 'br0', 'bridge'));
      const bridge = getLink(socket, 'br0')?.index ?? 0;
      socket.exec(addAddress(setLink(new Batch(), bridge, { up: true }), { device: bridge, address: '10.99.0.254', prefixLength: 24, scope: scope.global }));
      writeSysctl('net/ipv4/ip_forward', 1);
    });
  }

  /** On the switch with 10.99.0.x, behind the router with any other /24. */
  addHost(name: string, address: string, subnet: string): LabHost {
    const space = this.#space(name);
    const near = address.startsWith('10.99.0.');
    const router = address.replace(/\d+$/, '254');
    inNetns(this.#switch.fd, () => {
      using socket = new NetlinkSocket();
      const index = 100 + this.hosts.length;
      socket.exec(addVeth(new Batch(), { name: `p-${name}`, index }, { name: 'eth0', index: 2 }, { mtu: 1500, netns: space.fd }));
      const batch = setLink(new Batch(), index, { up: true });
      if (near) setLink(batch, index, { master: getLink(socket, 'br0')?.index ?? 0 });
      else addAddress(batch, { device: index, address: router, prefixLength: 24, scope: scope.global });
      socket.exec(batch);
    });
    inNetns(space.fd, () => {
      using socket = new NetlinkSocket();
      const batch = setLink(setLink(new Batch(), 1, { up: true }), 2, { up: true });
      addAddress(batch, { device: 2, address, prefixLength: 24, scope: scope.global });
      replaceRoute(batch, { destination: '0.0.0.0/0', gateway: router });
      socket.exec(batch);
    });
    const netnsDir = path.join(this.dir, `pods-${name}`);
    const host: LabHost = {
      name,
      netns: space.path,
      fd: space.fd,
      network: new RemoteNetwork(space.path, netnsDir),
      config: { address, subnet, podCidr, underlay: 'auto', netnsDir },
      async restart() {
        await host.network.kill();
        host.network = new RemoteNetwork(space.path, netnsDir);
      },
      async prepare(change = {}) {
        host.config = { ...host.config, ...change };
        const { vtepMac } = await host.network.prepareHost(host.config);
        return { id: name, address, subnet, vtepMac };
      },
    };
    this.hosts.push(host);
    return host;
  }

  /** What a host's kernel holds, for comparison. Without what it learns and forgets by itself. */
  snapshot(host: LabHost): unknown {
    const json = (command: string, ...args: string[]) => JSON.parse(execFileSync('nsenter', [`--net=${host.netns}`, command, '-j', ...args], { encoding: 'utf8' }) || '[]') as Record<string, unknown>[];
    const pick = (of: Record<string, unknown>[], ...keys: string[]) => of.map((o) => Object.fromEntries(keys.map((k) => [k, o[k]])));
    return {
      links: pick(json('ip', 'link'), 'ifindex', 'ifname', 'mtu', 'address', 'flags', 'group'),
      addresses: pick(json('ip', '-4', 'addr'), 'ifname', 'addr_info'),
      routes: json('ip', '-4', 'route', 'show', 'table', 'all'),
      rules: json('ip', 'rule'),
      neighbours: json('ip', 'neigh', 'show', 'nud', 'permanent').filter((n) => !String(n['dst']).includes(':')),
      forwarding: json('bridge', 'fdb').filter((f) => !String(f['mac']).startsWith('33:33:') && !String(f['mac']).startsWith('01:00:5e')),
    };
  }

  async close(): Promise<void> {
    for (const host of this.hosts) await host.network.kill();
    for (const space of this.#spaces.reverse()) space[Symbol.dispose]();
    removeScratchDir(this.dir);
  }

  #space(name: string): ReturnType<typeof scratchNetns> {
    const space = scratchNetns(this.dir, name);
    this.#spaces.push(space);
    return space;
  }
}
