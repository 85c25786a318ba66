/** What only shows when all services are there. */
import type { ServiceSpec } from '../../spec.ts';
import type { Reader } from './reader.ts';

/** `depends_on` in a ring: none of them could start first. */
export function checkCycles(services: Readonly<Record<string, ServiceSpec>>, at: (name: string) => Reader): void {
  const state = new Map<string, 'open' | 'done'>();
  for (const start of Object.keys(services)) {
    // Depth first without recursion: a chain may be as long as the stack.
    const trail: { readonly name: string; readonly next: Iterator<string> }[] = [];
    const enter = (name: string): void => {
      state.set(name, 'open');
      trail.push({ name, next: (services[name]?.dependsOn ?? []).map((dependency) => dependency.service)[Symbol.iterator]() });
    };
    if (!state.has(start)) enter(start);
    for (let top = trail.at(-1); top; top = trail.at(-1)) {
      const { value, done } = top.next.next();
      if (done === true) {
        state.set(top.name, 'done');
        trail.pop();
      } else if (state.get(value) === 'open') {
        const ring = trail.slice(trail.findIndex((link) => link.name === value)).map((link) => link.name);
        const reader = at(top.name);
        (reader.has('depends_on') ? reader.at('depends_on') : reader.at('links')).error(`services depend on each other: ${[...(ring.length > 10 ? [...ring.slice(0, 5), '…', ...ring.slice(-4)] : ring), value].join(' → ')}`, 'remove one of the dependencies');
      } else if (!state.has(value)) enter(value);
    }
  }
}

/** An ingress port answers on every node, so two services cannot both have it; nor can a host port be shared with one. */
export function checkPorts(services: Readonly<Record<string, ServiceSpec>>, at: (name: string, published: number) => Reader): void {
  const taken = new Map<string, { readonly service: string; readonly ip: string; readonly mode: string }[]>();
  for (const [name, service] of Object.entries(services)) {
    for (const port of service.ports) {
      // Of a range the master takes a free one.
      if (port.published === undefined || port.publishedTo !== undefined) continue;
      const key = `${port.published}/${port.protocol}`;
      const ip = port.hostIp === undefined || port.hostIp === '0.0.0.0' || port.hostIp === '::' ? '' : port.hostIp;
      const holders = taken.get(key) ?? [];
      const clash = holders.find((other) => (other.ip === '' || ip === '' || other.ip === ip) && (port.mode === 'ingress' || other.mode === 'ingress'));
      if (clash) at(name, port.published).error(`port ${key} is published ${clash.service === name ? 'twice' : `by ${clash.service} already`}`, 'publish it under another number');
      taken.set(key, [...holders, { service: name, ip, mode: port.mode }]);
    }
  }
}
