/** `services.*.deploy`. */
import { genericResources, reservedDevices } from './devices.ts';
import { map, scalar, type Node, type ScalarNode } from '../parse/tree.ts';
import { bytes, count, duration, labels, list, object, string, works, type Shape } from './shape.ts';

const ratio: Shape = { kind: 'number', min: 0, max: 1 };
const cpus: Shape = { kind: 'number', min: 0 };
const order: Shape = { kind: 'enum', values: ['stop-first', 'start-first'] };

const update = object({
  parallelism: works(count, '0 is all at once'),
  delay: works(duration),
  failure_action: works({ kind: 'enum', values: ['pause', 'continue', 'rollback'] }),
  monitor: works(duration),
  max_failure_ratio: works(ratio),
  order: works(order),
});

const rollback = object({ ...update.keys, failure_action: works({ kind: 'enum', values: ['pause', 'continue'] }) });

/** `datacenter=us-east`, as the deploy specification has it. */
function expandPreference(node: ScalarNode): readonly Node[] {
  const spread = /^\s*spread\s*=\s*(?=[^=])/i.exec(node.text)?.[0].length;
  return [map(node, [spread === undefined ? ['x-prefer', node] : ['spread', scalar(node, node.text.slice(spread).trim())]])];
}

export const resources = object({
  limits: works(object({ cpus: works(cpus), memory: works(bytes), pids: works({ kind: 'int', min: -1 }) })),
  reservations: works(object({
    cpus: works(cpus),
    memory: works(bytes),
    generic_resources: works(genericResources, 'counted resources that nodes say they have'),
    devices: works(reservedDevices, 'as `gpus`'),
  })),
});

export const deploy = object({
  endpoint_mode: works({ kind: 'enum', values: ['vip', 'dnsrr'] }),
  labels: works(labels, 'labels of the service, not of its containers'),
  mode: works({ kind: 'enum', values: ['replicated', 'global', 'replicated-job', 'global-job'] }),
  placement: works(object({
    constraints: works(list(string, { pairs: '==' }), '`node.labels.type == frontend`, or shorter `type==frontend`, `type=frontend`, or a mapping `type: frontend`'),
    preferences: works(list(object({ spread: works(string, 'evenly over the values of a label'), 'x-prefer': works(string, 'what `type=frontend` and `type: frontend` stand for: a wish, as the constraint `type==~frontend`') }), { entry: expandPreference, pairs: '=' }), '`spread: node.labels.zone`; `type=frontend` or a mapping `type: frontend`, which is a wish'),
    max_replicas_per_node: works(count, '0 is no limit'),
  })),
  replicas: works(count),
  resources: works(resources),
  restart_policy: works(object({
    condition: works({ kind: 'enum', values: ['none', 'on-failure', 'any', 'unless-stopped'] }),
    delay: works(duration),
    max_attempts: works(count, '0 is no limit'),
    window: works(duration),
  })),
  rollback_config: works(rollback),
  update_config: works(update),
}, { nullable: true });

