/**
 * cluster.yml, the hosts of a local cluster:
 *
 *     name: local
 *     subnet: 172.31.240.0/24
 *     hosts:
 *       node-1: { labels: { type: frontend } }
 *       node-2: { manifests: ./node-2, resources: { gpu: 2, fpga: [left, right] } }
 *
 * `manifests` is a directory of stack files that the host runs by itself, `resources` what it counts besides CPUs and memory. Everything but `hosts` may be left away. Errors are `invalid` with file, line and column.
 */
import { isMap, isScalar, isSeq, LineCounter, parseDocument, type Node, type YAMLMap } from 'yaml';
import { TsorchError } from '../../model/errors.ts';
import { parseGeneric } from '../../model/generic.ts';
import type { WantedHost } from './spec.ts';

export interface ClusterFile {
  readonly name?: string;
  readonly subnet?: string;
  readonly hosts: readonly WantedHost[];
}

export function parseClusterFile(file: string, text: string): ClusterFile {
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false });
  const fail = (offset: number, message: string, hint?: string): never => {
    const { line, col } = counter.linePos(offset);
    throw new TsorchError('invalid', message, { at: { file, line, column: col }, ...(hint ? { hint } : {}) });
  };
  const [problem] = document.errors;
  if (problem) fail(problem.pos[0], problem.message);

  const start = (node: unknown): number => (node as Node | null)?.range?.[0] ?? 0;
  const map = (node: unknown, what: string, near: unknown = node): YAMLMap => (isMap(node) ? node : fail(start(node ?? near), `${what} must be a mapping`));
  const text1 = (node: unknown, what: string): string => {
    if (isScalar(node) && (typeof node.value === 'string' || typeof node.value === 'number' || typeof node.value === 'boolean')) return String(node.value);
    return fail(start(node), `${what} must be a string`);
  };
  const entries = (node: YAMLMap, known: readonly string[] | null, what: string): [string, unknown, unknown][] =>
    node.items.map((pair) => {
      const key = text1(pair.key, `a key of ${what}`);
      if (known && !known.includes(key)) fail(start(pair.key), `${what} has no key '${key}'`, `known are ${known.join(', ')}`);
      return [key, pair.value, pair.key];
    });

  const resourcesOf = (node: unknown): string[] =>
    entries(map(node, 'resources'), null, 'resources').map(([kind, value, key]) => {
      const text = `${kind}=${isSeq(value) ? value.items.map((item) => text1(item, `a name of ${kind}`)).join(',') : text1(value, `resource ${kind}`)}`;
      const parsed = parseGeneric([text]);
      return 'error' in parsed ? fail(start(key), parsed.error) : text;
    });

  const top = map(document.contents, 'the file');
  let name: string | undefined;
  let subnet: string | undefined;
  const hosts: WantedHost[] = [];
  for (const [key, value] of entries(top, ['name', 'subnet', 'hosts'], 'the file')) {
    if (key === 'name') name = text1(value, 'name');
    if (key === 'subnet') {
      subnet = text1(value, 'subnet');
      if (!/^(\d{1,3}\.){3}0\/24$/.test(subnet)) fail(start(value), `${subnet} is not a subnet for hosts`, 'write a /24, such as 172.31.240.0/24');
    }
    if (key !== 'hosts') continue;
    for (const [host, body, hostKey] of entries(map(value, 'hosts'), null, 'hosts')) {
      if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(host)) fail(start(hostKey), `'${host}' cannot name a host`, 'use lower-case letters, digits and dashes');
      if (host === 'master' || host === 'supervisor') fail(start(hostKey), `a host cannot be called ${host}`, 'the cluster has a program of that name');
      const labels: Record<string, string> = {};
      let manifests: string | undefined;
      let resources: string[] | undefined;
      if (!(isScalar(body) && body.value === null) && body !== null) {
        for (const [key2, given] of entries(map(body, `host ${host}`), ['labels', 'manifests', 'resources'], `host ${host}`)) {
          if (key2 === 'manifests') manifests = text1(given, 'manifests');
          else if (key2 === 'resources') resources = resourcesOf(given);
          else for (const [label, labelValue] of entries(map(given, 'labels'), null, 'labels')) labels[label] = text1(labelValue, `label ${label}`);
        }
      }
      hosts.push({ name: host, labels, ...(manifests === undefined ? {} : { manifests }), ...(resources === undefined ? {} : { resources }) });
    }
  }
  if (hosts.length === 0) fail(start(document.contents), 'no hosts', 'name at least one under `hosts:`');
  return { ...(name === undefined ? {} : { name }), ...(subnet === undefined ? {} : { subnet }), hosts };
}
