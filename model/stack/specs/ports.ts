/** `ports`, in long syntax by now, and `published` as a number. */
import type { PortSpec } from '../../spec.ts';
import { parseRange } from '../schema/short/ports.ts';
import { isAddress } from '../values/address.ts';
import type { Reader } from './reader.ts';

/** `taken`: ports of other containers of the pod. */
export function makePorts(service: Reader, taken: Set<string>): readonly PortSpec[] {
  const made: PortSpec[] = [];
  for (const item of service.at('ports').items()) {
    const target = item.number('target');
    if (target === undefined) continue;
    const published = publishedOf(item);
    if (published === null) continue;
    const protocol = (item.text('protocol') ?? 'tcp') as PortSpec['protocol'];
    const mode = (item.text('mode') ?? 'ingress') as PortSpec['mode'];
    const hostIp = item.text('host_ip');
    if (hostIp !== undefined && hostIp !== '' && !isAddress(hostIp)) item.at('host_ip').error(`${JSON.stringify(hostIp)} is no IP address`);
    const port: PortSpec = {
      target, protocol, mode,
      ...published,
      ...(hostIp === undefined || hostIp === '' ? {} : { hostIp }),
    };
    const key = JSON.stringify(port);
    if (taken.has(key)) item.error(`port ${item.text('published') ? `${item.text('published')}:` : ''}${target}/${protocol} is listed twice`);
    else made.push(port);
    taken.add(key);
  }
  return made;
}

/** Nothing: the master picks one. Null: it is wrong. */
function publishedOf(item: Reader): Pick<PortSpec, 'published' | 'publishedTo'> | null {
  const text = item.text('published');
  if (text === undefined || text === '' || text === '0') return {};
  const range = parseRange(text);
  if (typeof range !== 'string') return range.from === range.to ? { published: range.from } : { published: range.from, publishedTo: range.to };
  item.at('published').error(/^\d{1,5}$/.test(text) || range.includes(' range') ? range : `ports go from 1 to 65535, not ${JSON.stringify(text)}`);
  return null;
}
