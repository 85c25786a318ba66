/** `ports`. */
import { harmless, list, object, string, works, type Shape } from './shape.ts';
import { expandPort } from './short/ports.ts';
import { portKey } from './unique.ts';

const port = object({
  name: harmless(string, 'only a name for people'),
  mode: works({ kind: 'enum', values: ['ingress', 'host'] }, 'ingress: the port answers on every node; host: only where a pod runs'),
  host_ip: works(string),
  target: works({ kind: 'int', min: 1, max: 65_535 }),
  published: works(string, 'one port, or a range of which the master picks a free one; without it any free one'),
  protocol: works({ kind: 'enum', values: ['tcp', 'udp'] }),
  app_protocol: harmless(string, 'only a note for people'),
}, { required: ['target'] });

export const ports: Shape = list(port, { entry: expandPort, merge: { kind: 'unique', key: portKey } });
