import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakePodNetwork } from '../../../agent/network/fake.ts';
import type { HostNetworkConfig, PodNetwork } from '../../../agent/network/port.ts';
import { Lab, podCidr } from './network/lab.ts';

/** One host, and a way to start its agent again over the same kernel. */
interface Subject {
  readonly network: () => PodNetwork;
  readonly config: HostNetworkConfig;
  readonly restart: () => Promise<void>;
  readonly close: () => Promise<void>;
}

const subjects: Record<string, () => Subject> = {
  fake() {
    let network = new FakePodNetwork();
    return {
      network: () => network,
      config: { address: '10.99.0.1', subnet: '10.32.1.0/24', podCidr, underlay: 'auto', netnsDir: '/run/t-net' },
      async restart() {
        network = new FakePodNetwork(network.kernel);
      },
      async close() {},
    };
  },
  linux() {
    const lab = new Lab('contract');
    const host = lab.addHost('h1', '10.99.0.1', '10.32.1.0/24');
    return { network: () => host.network, config: host.config, restart: () => host.restart(), close: () => lab.close() };
  },
};

describe.each(Object.keys(subjects))('pod network: %s', (name) => {
  let subject: Subject;
  let network: PodNetwork;
  beforeEach(() => {
    subject = (subjects[name] as () => Subject)();
    network = subject.network();
  });
  afterEach(() => subject.close());

  const peers = [2, 3].map((n) => ({ id: `n${n}`, address: `10.99.0.${n}`, subnet: `10.32.${n}.0/24`, vtepMac: `0e:74:0a:20:0${n}:00` }));

  it('prepares the host again and again to the same MAC', async () => {
    const first = await network.prepareHost(subject.config);
    expect(first.vtepMac).toMatch(/^([\da-f]{2}:){5}[\da-f]{2}$/);
    expect(await network.prepareHost(subject.config)).toEqual(first);
    await subject.restart();
    expect(await subject.network().prepareHost(subject.config)).toEqual(first);
  });

  it('must be prepared before it is used', async () => {
    await expect(network.attach({ id: 'a', ip: '10.32.1.7' })).rejects.toMatchObject({ code: 'unavailable' });
    await expect(network.setPeers([])).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('refuses ranges that cannot be', async () => {
    await expect(network.prepareHost({ ...subject.config, subnet: '10.64.1.0/24' })).rejects.toMatchObject({ code: 'invalid', message: expect.stringContaining('10.64.1.0/24') });
    await expect(network.prepareHost({ ...subject.config, podCidr: '10.0.0.0/8' })).rejects.toMatchObject({ code: 'invalid', hint: expect.stringContaining('range') });
    await expect(network.prepareHost({ ...subject.config, subnet: 'ten' })).rejects.toMatchObject({ code: 'invalid' });
  });

  it('makes a namespace of its own for a pod without an address', async () => {
    await network.prepareHost(subject.config);
    const { netns } = await network.attach({ id: 'none', ip: null });
    expect(await network.attach({ id: 'none', ip: null })).toEqual({ netns });
    expect(await network.list()).toContainEqual({ id: 'none', ip: null });
    expect(await network.traffic('none')).toBeNull();
    await network.detach('none');
    expect(await network.list()).not.toContainEqual({ id: 'none', ip: null });
  });

  it('attaches, lists and detaches, each as often as one likes', async () => {
    await network.prepareHost(subject.config);
    expect(await network.list()).toEqual([]);
    const { netns } = await network.attach({ id: 'b', ip: '10.32.1.8' });
    expect(netns).toBe(`${subject.config.netnsDir}/b`);
    expect(await network.attach({ id: 'b', ip: '10.32.1.8' })).toEqual({ netns });
    await network.attach({ id: 'a', ip: '10.32.1.7' });
    expect(await network.list()).toEqual([{ id: 'a', ip: '10.32.1.7' }, { id: 'b', ip: '10.32.1.8' }]);
    expect(await network.traffic('a')).toEqual({ received: expect.any(Number) as number, sent: expect.any(Number) as number });
    expect(await network.traffic('never-was')).toBeNull();
    await network.detach('b');
    await network.detach('b');
    await network.detach('never-was');
    expect(await network.list()).toEqual([{ id: 'a', ip: '10.32.1.7' }]);
    await network.attach({ id: 'b', ip: '10.32.1.9' });
    expect(await network.list()).toEqual([{ id: 'a', ip: '10.32.1.7' }, { id: 'b', ip: '10.32.1.9' }]);
  });

  it('gives a pod another address when asked', async () => {
    await network.prepareHost(subject.config);
    await network.attach({ id: 'a', ip: '10.32.1.7' });
    await network.attach({ id: 'a', ip: '10.32.1.8' });
    expect(await network.list()).toEqual([{ id: 'a', ip: '10.32.1.8' }]);
  });

  it('refuses addresses and ids that cannot be', async () => {
    await network.prepareHost(subject.config);
    await expect(network.attach({ id: 'a', ip: '10.32.2.7' })).rejects.toMatchObject({ code: 'invalid' });
    await expect(network.attach({ id: 'a', ip: '10.32.1.0' })).rejects.toMatchObject({ code: 'invalid' });
    await expect(network.attach({ id: 'a', ip: '10.32.1' })).rejects.toMatchObject({ code: 'invalid' });
    await expect(network.attach({ id: '../a', ip: '10.32.1.7' })).rejects.toMatchObject({ code: 'invalid' });
    await expect(network.detach('..')).rejects.toMatchObject({ code: 'invalid' });
    expect(await network.list()).toEqual([]);
  });

  it('keeps its pods when the agent is started again', async () => {
    await network.prepareHost(subject.config);
    await network.attach({ id: 'a', ip: '10.32.1.7' });
    await network.setPeers(peers);
    await subject.restart();
    expect(await subject.network().list()).toEqual([{ id: 'a', ip: '10.32.1.7' }]);
    await subject.network().prepareHost(subject.config);
    expect(await subject.network().list()).toEqual([{ id: 'a', ip: '10.32.1.7' }]);
  });

  it('is torn down whole, twice, and can be made again', async () => {
    await network.prepareHost(subject.config);
    await network.attach({ id: 'a', ip: '10.32.1.7' });
    await network.setPeers(peers);
    await network.teardown();
    expect(await network.list()).toEqual([]);
    await expect(network.attach({ id: 'a', ip: '10.32.1.7' })).rejects.toMatchObject({ code: 'unavailable' });
    await network.teardown();
    await network.prepareHost(subject.config);
    await network.attach({ id: 'a', ip: '10.32.1.7' });
    expect(await network.list()).toEqual([{ id: 'a', ip: '10.32.1.7' }]);
  });

  it('has pods of this host alone without a cluster, and beside one', async () => {
    const local = { podCidr: '10.31.0.0/17', netnsDir: subject.config.netnsDir };
    await expect(network.prepareLocal({ ...local, podCidr: 'ten' })).rejects.toMatchObject({ code: 'invalid' });
    await network.prepareLocal(local);
    const { netns } = await network.attach({ id: 'l', ip: '10.31.0.1' });
    expect(netns).toBe(`${subject.config.netnsDir}/l`);
    await network.attach({ id: 'n', ip: null });
    await expect(network.attach({ id: 'a', ip: '10.32.1.7' })).rejects.toMatchObject({ code: 'unavailable' });
    await expect(network.attach({ id: 'x', ip: '10.31.0.0' })).rejects.toMatchObject({ code: 'invalid' });
    // The host joins a cluster; then its agent is started again.
    await network.prepareHost(subject.config);
    await network.attach({ id: 'a', ip: '10.32.1.7' });
    const all = [{ id: 'a', ip: '10.32.1.7' }, { id: 'l', ip: '10.31.0.1' }, { id: 'n', ip: null }];
    expect(await network.list()).toEqual(all);
    await subject.restart();
    network = subject.network();
    await network.prepareHost(subject.config);
    await network.prepareLocal(local);
    expect(await network.attach({ id: 'l', ip: '10.31.0.1' })).toEqual({ netns });
    expect(await network.list()).toEqual(all);
    await network.teardown();
    expect(await network.list()).toEqual([]);
    await expect(network.attach({ id: 'l', ip: '10.31.0.1' })).rejects.toMatchObject({ code: 'unavailable' });
  });
});
