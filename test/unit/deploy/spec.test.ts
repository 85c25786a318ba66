import { describe, expect, test } from 'vitest';
import { clusterNames, hostNames } from '../../../deploy/local/names.ts';
import { decideCluster, type ClusterSpec } from '../../../deploy/local/spec.ts';

describe('hosts', () => {
  test('three by default, two frontends and a backend', () => {
    const spec = decideCluster({ name: 'local' }, null, []);
    expect(spec).toMatchObject({ subnet: '172.31.240.0/24', split: false });
    expect(spec.hosts.map((host) => [host.name, host.index, host.labels['type']])).toEqual([
      ['node-1', 1, 'frontend'],
      ['node-2', 2, 'frontend'],
      ['node-3', 3, 'backend'],
    ]);
  });

  test('a second up changes nothing, more nodes are added, fewer are refused', () => {
    const three = decideCluster({ name: 'local' }, null, []);
    expect(decideCluster({ name: 'local' }, three, [])).toEqual(three);
    const five = decideCluster({ name: 'local', nodes: 5 }, three, []);
    expect(five.hosts.slice(0, 3)).toEqual(three.hosts);
    expect(five.hosts.slice(3).map((host) => [host.name, host.index])).toEqual([['node-4', 4], ['node-5', 5]]);
    expect(() => decideCluster({ name: 'local', nodes: 2 }, three, [])).toThrow('has 3 hosts already');
  });

  test('from a file: labels follow the file, hosts it does not name are not dropped silently', () => {
    const saved = decideCluster({ name: 'x', hosts: [{ name: 'a', labels: { k: '1' } }] }, null, []);
    const more = decideCluster({ name: 'x', hosts: [{ name: 'b', labels: {} }, { name: 'a', labels: { k: '2' } }] }, saved, []);
    expect(more.hosts).toEqual([{ name: 'a', index: 1, labels: { k: '2' } }, { name: 'b', index: 2, labels: {} }]);
    expect(() => decideCluster({ name: 'x', hosts: [{ name: 'b', labels: {} }] }, saved, [])).toThrow('does not name: a');
  });
});

describe('subnets', () => {
  test('the next free one, past what the machine routes', () => {
    expect(decideCluster({ name: 'local' }, null, ['172.31.240.0/24', '10.0.0.0/8']).subnet).toBe('172.31.241.0/24');
    expect(decideCluster({ name: 'local' }, null, ['172.31.0.0/16']).subnet).toBe('10.213.239.0/24');
    expect(decideCluster({ name: 'second' }, null, []).subnet).toBe('172.31.241.0/24');
    expect(() => decideCluster({ name: 'local' }, null, ['0.0.0.0/0'])).toThrow('no free subnet');
  });

  test('stays what it was', () => {
    const saved: ClusterSpec = { name: 'local', subnet: '172.31.245.0/24', split: true, hosts: [{ name: 'node-1', index: 1, labels: {} }] };
    expect(decideCluster({ name: 'local' }, saved, ['10.0.0.0/8'])).toEqual(saved);
    expect(() => decideCluster({ name: 'local', subnet: '10.1.1.0/24' }, saved, [])).toThrow('has the subnet 172.31.245.0/24 already');
  });
});

describe('names', () => {
  test('fit the kernel, also for the last host of a cluster with a long name', () => {
    for (const cluster of ['a', 'local', 'abcdefgh', 'abcdefghi', 'a-very-long-name-for-a-cluster1']) {
      const names = clusterNames(cluster);
      const host = hostNames(names, '172.31.240.0/24', 200);
      expect(names.bridge.length).toBeLessThanOrEqual(15);
      expect(host.veth.length).toBeLessThanOrEqual(15);
      expect(host.address).toBe('172.31.240.210');
    }
    expect(clusterNames('abcdefghi').bridge).not.toBe(clusterNames('abcdefghj').bridge);
  });

  test.each(['', 'A', '-a', 'a-', '../x', 'a b', 'x'.repeat(32)])('%j is no name', (name) => {
    expect(() => clusterNames(name)).toThrow('cannot name a cluster');
  });

  test('a subnet that somebody else took while the cluster was down is given up for a free one', () => {
    const saved = decideCluster({ name: 'a' }, null, []);
    expect(decideCluster({ name: 'a' }, saved, ['10.0.0.0/8']).subnet).toBe(saved.subnet);
    const moved = decideCluster({ name: 'a' }, saved, [saved.subnet]);
    expect(moved.subnet).not.toBe(saved.subnet);
    expect(moved.hosts).toEqual(saved.hosts);
  });
});
