/**
 * The pod network of the network namespace this process runs in. All of its state is the kernel's: an agent that is killed and
 * started again finds it there. Work with the kernel is synchronous and short, so each call is done before another begins.
 */
import fs from 'node:fs';
import { hasErrno } from '../../lib/linux/libc.ts';
import { deleteLinkGroup, linkTraffic, listLinks, setLink } from '../../lib/linux/link.ts';
import { Batch, NetlinkSocket } from '../../lib/linux/netlink.ts';
import { homeNetns } from '../../lib/linux/netns.ts';
import { listRoutes, lookUpRoutes } from '../../lib/linux/route.ts';
import { readSysctl } from '../../lib/linux/sysctl.ts';
import { createNetnsOf } from '../../lib/linux/userns.ts';
import { systemClock } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { TsorchError } from '../../model/errors.ts';
import { checkAddress, checkConfig, checkLocalConfig, pinPath } from './checks.ts';
import { translate } from './errors.ts';
import { ensureRouting, ensureTunnel, findUnderlay, localMtu, podMtu, removeHost } from './host.ts';
import { contains, isVethName, routeProtocol, staleLinkGroup, vethName } from './names.ts';
import { describeChange, desiredPeers, planPeers, readPeers, writeChange } from './peers.ts';
import type { Devices } from './peers.ts';
import { attachLoopback, attachPod, detachPod, listPins, podLinkWorks } from './pods.ts';
import type { HostNetworkConfig, LocalNetworkConfig, Peer, PodAttachment, PodNetwork } from './port.ts';

/** The kernel takes microseconds, rarely a second. */
const linkWaitMs = 3000;

interface Prepared {
  readonly config: HostNetworkConfig;
  readonly devices: Devices;
  readonly mtu: number;
}

export interface LinuxPodNetworkOptions {
  readonly log: Log;
  readonly clock?: Clock;
  /** Where pins are looked for before `prepareHost` has said where they are, as when a host leaves. */
  readonly netnsDir?: string;
}

export class LinuxPodNetwork implements PodNetwork {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #netnsDir: string;
  #socket: NetlinkSocket | undefined;
  #prepared: Prepared | undefined;
  #local: (LocalNetworkConfig & { readonly mtu: number }) | undefined;

  constructor(options: LinuxPodNetworkOptions) {
    this.#log = options.log;
    this.#clock = options.clock ?? systemClock;
    this.#netnsDir = options.netnsDir ?? '/run/tsorch/netns';
    homeNetns();
  }

  async prepareHost(config: HostNetworkConfig): Promise<{ readonly vtepMac: string }> {
    checkConfig(config);
    return translate('preparing the host network', () => {
      const socket = this.#open();
      const underlay = findUnderlay(socket, config.address);
      fs.mkdirSync(config.netnsDir, { recursive: true, mode: 0o755 });
      ensureRouting(socket, [config.podCidr, ...(this.#local ? [this.#local.podCidr] : [])], { only: true });
      const tunnel = ensureTunnel(socket, config, underlay);
      this.#prepared = { config, devices: { tunnel: tunnel.index, underlay: underlay.index }, mtu: podMtu(underlay, config.underlay) };
      this.#removeStaleLinks(socket, config.netnsDir);
      this.#checkReversePath();
      return { vtepMac: tunnel.mac };
    });
  }

  async prepareLocal(config: LocalNetworkConfig): Promise<void> {
    checkLocalConfig(config);
    translate('preparing the network of this host alone', () => {
      const socket = this.#open();
      fs.mkdirSync(config.netnsDir, { recursive: true, mode: 0o755 });
      // What a cluster has here stays: it may come back later.
      ensureRouting(socket, [config.podCidr], { only: false });
      this.#local = { ...config, mtu: localMtu(socket) };
      this.#removeStaleLinks(socket, config.netnsDir);
      this.#checkReversePath();
    });
  }

  async setPeers(peers: readonly Peer[]): Promise<void> {
    const { config, devices } = this.#ready();
    translate('setting the routes to other nodes', () => {
      const socket = this.#open();
      const others = peers.filter((p) => p.subnet !== config.subnet);
      const wanted = desiredPeers(others, devices, this.#near(socket, others));
      const changes = planPeers(readPeers(socket, devices), wanted);
      const batch = new Batch(Math.max(4096, changes.length * 64));
      for (const change of changes) {
        this.#log.debug(describeChange(change));
        writeChange(batch, change, devices);
      }
      // One peer out of reach keeps none of the others from being set.
      const failed = socket.submit(batch).errors.filter((e) => e.code !== 'ESRCH' && e.code !== 'ENOENT');
      const first = failed[0];
      const change = first && changes[first.index];
      if (first && change) {
        throw new TsorchError('unavailable', `${describeChange(change)}: ${first.detail ?? first.code}${failed.length > 1 ? ` (and ${failed.length - 1} more)` : ''}`, {
          cause: first,
          ...(config.underlay === 'route' && { hint: 'plain routes need every node on one link; use the underlay `auto` or `vxlan` otherwise' }),
        });
      }
    });
  }

  async attach(pod: PodAttachment): Promise<{ readonly netns: string }> {
    const { id, ip, users } = pod;
    const what = `attaching pod ${id}`;
    if (ip === null) {
      const { netnsDir } = this.#local ?? this.#ready().config;
      if (users !== undefined) await createNetnsOf(users, pinPath(netnsDir, id));
      return { netns: translate(what, () => attachLoopback(id, netnsDir)) };
    }
    const { subnet, netnsDir, mtu } = this.#placeOf(ip);
    checkAddress(subnet, { id, ip });
    if (users !== undefined) await createNetnsOf(users, pinPath(netnsDir, id));
    const netns = translate(what, () => attachPod(this.#open(), { id, ip }, { netnsDir, mtu }));
    for (let waited = 0; !translate(what, () => podLinkWorks(this.#open(), pod.id)); waited++) {
      if (waited === linkWaitMs) throw new TsorchError('timeout', `${what}: its network device did not come up in ${linkWaitMs} ms`);
      await this.#clock.sleep(1);
    }
    return { netns };
  }

  async detach(podId: string): Promise<void> {
    translate(`detaching pod ${podId}`, () => detachPod(this.#open(), podId, this.#dir));
  }

  async list(): Promise<readonly { readonly id: string; readonly ip: string | null }[]> {
    return translate('listing pods', () => {
      const pins = listPins(this.#dir);
      if (pins.length === 0) return [];
      const socket = this.#open();
      const addresses = new Map(listRoutes(socket, { protocol: routeProtocol }).map((r) => [r.device, r.destination.split('/')[0]]));
      const devices = new Map(listLinks(socket, 'veth').map((l) => [l.name, l.index]));
      return pins.map((id) => {
        const device = devices.get(vethName(id));
        return { id, ip: (device !== undefined && addresses.get(device)) || null };
      });
    });
  }

  async traffic(podId: string): Promise<{ readonly received: number; readonly sent: number } | null> {
    const counts = translate(`counting bytes of pod ${podId}`, () => linkTraffic(this.#open(), vethName(podId)));
    // The host's end: what it sends is what the pod receives.
    return counts ? { received: counts.sent, sent: counts.received } : null;
  }

  async teardown(): Promise<void> {
    translate('removing the pod network', () => {
      const socket = this.#open();
      for (const id of listPins(this.#dir)) detachPod(socket, id, this.#dir);
      this.#removeStaleLinks(socket, this.#dir);
      removeHost(socket);
      this.#prepared = undefined;
      this.#local = undefined;
      try {
        fs.rmdirSync(this.#dir);
      } catch (error) {
        if (!hasErrno(error, 'ENOENT', 'ENOTEMPTY', 'EBUSY')) throw error;
      }
      socket.close();
      this.#socket = undefined;
    });
  }

  get #dir(): string {
    return this.#prepared?.config.netnsDir ?? this.#local?.netnsDir ?? this.#netnsDir;
  }

  #open(): NetlinkSocket {
    return (this.#socket ??= new NetlinkSocket());
  }

  #ready(): Prepared {
    if (!this.#prepared) throw new TsorchError('unavailable', 'the host network is not prepared yet');
    return this.#prepared;
  }

  /** An address is of this host alone, or else of the cluster. */
  #placeOf(ip: string): { readonly subnet: string; readonly netnsDir: string; readonly mtu: number } {
    const local = this.#local;
    if (local && contains(local.podCidr, ip)) return { subnet: local.podCidr, netnsDir: local.netnsDir, mtu: local.mtu };
    const { config, mtu } = this.#ready();
    return { subnet: config.subnet, netnsDir: config.netnsDir, mtu };
  }

  /** The larger of this and the device's own counts: 2 would let pods send with each other's addresses. */
  #checkReversePath(): void {
    if (readSysctl('net/ipv4/conf/all/rp_filter') !== '2') return;
    this.#log.warn('net.ipv4.conf.all.rp_filter is 2: pods could send with forged source addresses; set it to 0 or 1');
  }

  /** Which peers are reached without a router: the kernel is asked, for it knows of every address and route. */
  #near(socket: NetlinkSocket, peers: readonly Peer[]): (peer: Peer) => boolean {
    const { config, devices } = this.#ready();
    switch (config.underlay) {
      case 'route': return () => true;
      case 'vxlan': return () => false;
      case 'auto': {
        const routes = lookUpRoutes(socket, peers.map((p) => p.address));
        const near = new Set(peers.filter((_, i) => routes[i]?.device === devices.underlay && routes[i]?.gateway === undefined));
        return (peer) => near.has(peer);
      }
    }
  }

  /** Ends of pods that are unpinned but not gone (a process lingers in them, or the agent was killed while detaching). */
  #removeStaleLinks(socket: NetlinkSocket, netnsDir: string): void {
    const kept = new Set(listPins(netnsDir).map(vethName));
    const stale = listLinks(socket, 'veth').filter((l) => isVethName(l.name) && !kept.has(l.name));
    if (stale.length === 0) return;
    const batch = new Batch();
    for (const link of stale) setLink(batch, link.index, { group: staleLinkGroup });
    deleteLinkGroup(batch, staleLinkGroup);
    // The kernel may be taking them down at this moment.
    socket.exec(batch, 'ENODEV');
  }
}
