/** `[[IP:]HOST:]CONTAINER[/PROTOCOL]`, each port also as a range `8000-8010`. */
import { inside, map, scalar, type Node, type ScalarNode } from '../../parse/tree.ts';
import type { Path } from '../../path.ts';
import { isAddress } from '../../values/address.ts';
import type { ShapeContext } from '../shape.ts';

export interface Range {
  readonly from: number;
  readonly to: number;
}

/** More than this in one range is a mistake, or an attack. */
const maxRange = 1024;

export function expandPort(node: ScalarNode, path: Path | null, { sink }: ShapeContext): readonly Node[] | null {
  const text = node.text.trim();
  const fail = (message: string, index = 0, hint?: string): null => {
    sink.error(inside(node, index), path, message, hint);
    return null;
  };
  const slash = text.lastIndexOf('/');
  const protocol = slash < 0 ? 'tcp' : text.slice(slash + 1).toLowerCase();
  if (protocol !== 'tcp' && protocol !== 'udp') return fail(`the protocol must be tcp or udp, not ${JSON.stringify(protocol)}`, slash + 1);

  const main = slash < 0 ? text : text.slice(0, slash);
  const last = main.lastIndexOf(':');
  const target = parseRange(main.slice(last + 1));
  if (typeof target === 'string') return fail(target, last + 1, /^\d/.test(main.slice(last + 1)) ? undefined : 'write HOST:CONTAINER, such as "8080:80"');
  const front = last < 0 ? '' : main.slice(0, last);
  const split = front.endsWith(']') ? front.length : front.lastIndexOf(':');
  const publishedText = front.slice(split + 1);
  const ip = split < 0 ? undefined : front.slice(0, split).replace(/^\[(.*)\]$/, '$1');
  if (ip !== undefined && !isAddress(ip)) return fail(`${JSON.stringify(ip)} is no IP address`, 0, 'write IP:HOST:CONTAINER');
  if (last >= 0 && front === '') return fail('the host port before the colon is missing');

  const published = publishedText === '' ? undefined : parseRange(publishedText);
  if (typeof published === 'string') return fail(published, split + 1);
  const size = target.to - target.from;
  if (published && size > 0 && published.to - published.from !== size) return fail('the two ranges differ in length');
  return Array.from({ length: size + 1 }, (_, index) => {
    const entries: [string, Node][] = [['mode', scalar(node, 'ingress')]];
    if (ip !== undefined) entries.push(['host_ip', scalar(node, ip)]);
    entries.push(['target', scalar(node, target.from + index)]);
    // A range for one port: any free one of it.
    if (published) entries.push(['published', scalar(node, size === 0 ? publishedText : String(published.from + index))]);
    entries.push(['protocol', scalar(node, protocol)]);
    return map(node, entries);
  });
}

/** A message when it is none. Port 0 is refused: it means "any" to kernels, "none" to people. */
export function parseRange(text: string): Range | string {
  const parts = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (!parts) return text === '' ? 'the container port is missing' : `${JSON.stringify(text)} is no port or range of ports`;
  const from = Number(parts[1]);
  const to = Number(parts[2] ?? parts[1]);
  if (from < 1 || to > 65_535) return `ports go from 1 to 65535, not ${from < 1 ? from : to}`;
  if (to < from) return `the range ${text} ends before it begins`;
  return to - from >= maxRange ? `a range has at most ${maxRange} ports` : { from, to };
}
