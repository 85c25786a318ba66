/** The world of world.ts with servers in its pods and a proxy on each host. */
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { ServiceTable } from '../../../model/table.ts';
import { network, node, pod, service, table } from '../../unit/proxy/fixture.ts';
import { TestMaster } from './master.ts';
import type { Settings } from './peers/proxy.ts';
import { World, end } from './world.ts';

const front = 'app_front';
const back = 'app_back';

export const pods = {
  web1: pod('web1', 'app_web', 1, 'n1', '10.32.1.11', [front]),
  web2: pod('web2', 'app_web', 2, 'n2', '10.32.2.11', [front]),
  web3: pod('web3', 'app_web', 3, 'n1', '10.32.1.12', [front]),
  client: pod('client', 'app_client', 1, 'n1', '10.32.1.20', [front], 'client-host'),
  sealed: pod('sealed', 'app_sealed', 1, 'n1', '10.32.1.30', [back]),
  alien: pod('alien', 'blog_alien', 1, 'n1', '10.32.1.40', ['blog_default']),
} as const;

/** Attached, but in no table. */
export const stranger = { name: 'stranger', ip: '10.32.1.99' } as const;

export const vip = { web: '10.48.0.1', idle: '10.48.0.2', sealed: '10.48.0.3' } as const;

export function webService(endpoints: readonly (typeof pods)[keyof typeof pods][]) {
  return service('app_web', {
    pods: endpoints,
    networks: [{ network: front, vip: vip.web, aliases: ['www'] }],
    ports: [
      { target: 7001, published: 8080, protocol: 'tcp', mode: 'ingress' },
      { target: 7001, published: 8080, protocol: 'udp', mode: 'ingress' },
      { target: 7002, published: 8081, protocol: 'tcp', mode: 'host' },
    ],
  });
}

export const app: ServiceTable = table({
  nodes: [node('n1', 1), node('n2', 2)],
  networks: [network(front, 1), network(back, 2, true), network('blog_default', 3)],
  pods: Object.values(pods),
  services: [
    webService([pods.web1, pods.web2, pods.web3]),
    service('app_idle', { networks: [{ network: front, vip: vip.idle, aliases: [] }] }),
    service('app_sealed', { pods: [pods.sealed], networks: [{ network: back, vip: vip.sealed, aliases: [] }] }),
  ],
});

export function withWeb(endpoints: readonly (typeof pods)[keyof typeof pods][]): ServiceTable {
  return { ...app, services: new Map(app.services).set('app_web', webService(endpoints)) };
}

export class Cluster implements AsyncDisposable {
  readonly world: World;
  readonly masters: readonly [TestMaster, TestMaster];
  readonly proxies: ChildProcess[] = [];
  readonly mode: 'ebpf' | 'nftables';

  private constructor(world: World, mode: 'ebpf' | 'nftables') {
    this.world = world;
    this.mode = mode;
    this.masters = [new TestMaster(join(world.directory, 'n1.sock')), new TestMaster(join(world.directory, 'n2.sock'))];
  }

  static async start(mode: 'ebpf' | 'nftables'): Promise<Cluster> {
    const world = new World();
    const cluster = new Cluster(world, mode);
    try {
      for (const { id, ip, node: host } of Object.values(pods)) world.addPod(`h${host.slice(1)}`, id, ip);
      world.addPod('h1', stranger.name, stranger.ip);
      await Promise.all(cluster.masters.map((master) => master.start()));
      cluster.startProxy(1);
      cluster.startProxy(2);
      await Promise.all([
        ...Object.values(pods).map((p) => world.serve(p.id, `h${p.node.slice(1)}`, p.ip, 7001, 7002)),
        world.serve('out', 'none', '192.168.50.9', 7001),
        ...cluster.masters.map((master) => master.publish(app)),
      ]);
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The proxy of host 1 or 2. It runs outside of the cgroup that it serves. */
  startProxy(host: 1 | 2): ChildProcess {
    const name = `h${host}`;
    const settings: Settings = {
      nodeId: `n${host}`,
      master: (this.masters[host - 1] as TestMaster).address,
      cgroupRoot: this.world.cgroup(name),
      bpfDir: this.world.bpfDir(name),
      stateDir: join(this.world.directory, name),
      resolvers: ['192.168.50.9'],
      mode: this.mode,
    };
    const child = this.world.start(name, undefined, 'proxy.ts', JSON.stringify(settings));
    this.proxies[host - 1] = child;
    return child;
  }

  async killProxy(host: 1 | 2, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await end(this.proxies[host - 1] as ChildProcess, signal);
  }

  async publish(next: ServiceTable): Promise<void> {
    await Promise.all(this.masters.map((master) => master.publish(next)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const master of this.masters) master.stop();
    await this.world[Symbol.asyncDispose]();
  }
}
