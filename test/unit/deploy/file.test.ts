import { expect, test } from 'vitest';
import { parseClusterFile } from '../../../deploy/local/file.ts';
import { TsorchError } from '../../../model/errors.ts';

test('names, subnet, hosts and labels', () => {
  const text = ['name: lab', 'subnet: 10.9.8.0/24', 'hosts:', '  web-1: { labels: { type: frontend, size: 2, ssd: true } }', '  db-1:', '  cache-1: { manifests: ./edge }'].join('\n');
  expect(parseClusterFile('cluster.yml', text)).toEqual({
    name: 'lab',
    subnet: '10.9.8.0/24',
    hosts: [{ name: 'web-1', labels: { type: 'frontend', size: '2', ssd: 'true' } }, { name: 'db-1', labels: {} }, { name: 'cache-1', labels: {}, manifests: './edge' }],
  });
});

test.each([
  ['hosts: [a', /^cluster.yml:1:/],
  ['hosts:\n  a:\n    lables: {}', "cluster.yml:3:5: host a has no key 'lables'; known are labels, manifests, resources"],
  ['nodes: 3', "cluster.yml:1:1: the file has no key 'nodes'; known are name, subnet, hosts"],
  ['hosts: [a, b]', 'cluster.yml:1:8: hosts must be a mapping'],
  ['hosts:\n  Web: {}', "cluster.yml:2:3: 'Web' cannot name a host; use lower-case letters, digits and dashes"],
  ['subnet: 10.0.0.0/16\nhosts: {a: }', 'cluster.yml:1:9: 10.0.0.0/16 is not a subnet for hosts; write a /24, such as 172.31.240.0/24'],
  ['hosts: {a: {labels: {x: [1]}}}', 'cluster.yml:1:25: label x must be a string'],
  ['hosts: {master: }', 'cluster.yml:1:9: a host cannot be called master; the cluster has a program of that name'],
  ['hosts: {}', 'cluster.yml:1:1: no hosts; name at least one under `hosts:`'],
  ['', 'cluster.yml:1:1: the file must be a mapping'],
])('%j', (text, expected) => {
  let message = '';
  try {
    parseClusterFile('cluster.yml', text);
  } catch (error) {
    if (!(error instanceof TsorchError)) throw error;
    message = `${error.at?.file}:${error.at?.line}:${error.at?.column}: ${error.message}${error.hint ? `; ${error.hint}` : ''}`;
  }
  if (typeof expected === 'string') expect(message).toBe(expected);
  else expect(message).toMatch(expected);
});

test('counted resources, by number and by name', () => {
  expect(parseClusterFile('cluster.yml', 'hosts: {a: {resources: {gpu: 2, fpga: [left, right]}}}').hosts).toEqual([{ name: 'a', labels: {}, resources: ['gpu=2', 'fpga=left,right'] }]);
  expect(() => parseClusterFile('cluster.yml', 'hosts: {a: {resources: {gpu: [x, x]}}}')).toThrow('gpu has a name twice: x');
});
