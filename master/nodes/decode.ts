/**
 * What agents say of themselves and their pods, checked before it goes any further: everything behind here, and every other master,
 * takes it at its word. More fields than ours are fine, an agent may be newer.
 */
import Type from 'typebox';
import { Compile } from 'typebox/compile';
import { TsorchError } from '../../model/errors.ts';
import type { HeldImage } from '../../model/image.ts';
import type { NodeStatus } from '../../model/node.ts';
import type { PodStatus, StaticPod } from '../../model/pod.ts';
import type { AgentStats } from '../../model/stats.ts';

/** Of one status: many of them share a commit. */
const mostBytes = 65_536;
/** A thousand names, a thousand layers. */
const mostImageBytes = 1 << 20;
const mostStatsBytes = 4 << 20;

const text = Type.String({ maxLength: 4096 });
const amount = Type.Number({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

const nodeStatus = Compile(Type.Object({
  address: Type.String({ minLength: 1, maxLength: 256 }), capacity: Type.Object({ cpus: amount, memory: amount, generic: Type.Optional(Type.Record(Type.String({ maxLength: 64 }), Type.Union([amount, Type.Array(Type.String({ maxLength: 128 }), { maxItems: 1000 })]), { maxProperties: 100 })) }), os: text, arch: text,
  engineLabels: Type.Record(Type.String(), text), vtepMac: text, version: text, bootId: text, blobPort: Type.Optional(Type.Integer({ minimum: 0, maximum: 65_535 })),
  manifests: Type.Optional(Type.Object({ stacks: amount, problems: Type.Array(text, { maxItems: 100 }) })),
  pressure: Type.Optional(Type.Array(Type.Literal('disk'), { maxItems: 1 })),
  volumeDrivers: Type.Optional(Type.Array(Type.Object({ name: text, scope: Type.Union([Type.Literal('local'), Type.Literal('global')]) }), { maxItems: 1000 })),
}));

const podStatusShape = Type.Object({
  id: Type.String({ minLength: 1, maxLength: 256 }), node: text,
  phase: Type.Union((['pending', 'assigned', 'preparing', 'starting', 'running', 'stopping', 'succeeded', 'failed', 'lost'] as const).map((phase) => Type.Literal(phase))),
  ready: Type.Boolean(), message: text, restarts: amount, since: Type.Number(),
  containers: Type.Array(Type.Object({
    name: text, image: text, imageDigest: Type.Optional(text), pid: Type.Optional(Type.Number()), exitCode: Type.Optional(Type.Number()), oomKilled: Type.Optional(Type.Boolean()), warnings: Type.Optional(Type.Array(text, { maxItems: 100 })),
    health: Type.Optional(Type.Union([Type.Literal('starting'), Type.Literal('healthy'), Type.Literal('unhealthy')])),
  }), { maxItems: 1000 }),
});
const podStatus = Compile(podStatusShape);

const name = Type.String({ minLength: 1, maxLength: 256 });
const staticPod = Compile(Type.Object({
  pod: Type.Object({
    id: name, service: name, stack: name, slot: Type.Union([amount, name]), revision: text, desired: Type.Union([Type.Literal('running'), Type.Literal('draining'), Type.Literal('stopped')]),
    reason: text, node: Type.Union([text, Type.Null()]), ip: Type.Union([text, Type.Null()]), generic: Type.Optional(Type.Record(Type.String(), Type.Array(text, { maxItems: 1000 }))), createdAt: Type.Number(),
  }),
  origin: text, image: text, reservations: Type.Object({ cpus: amount, memory: amount, generic: Type.Optional(Type.Record(Type.String(), amount)) }),
  ports: Type.Array(Type.Object({
    target: Type.Integer({ minimum: 1, maximum: 65_535 }), published: Type.Integer({ minimum: 1, maximum: 65_535 }), protocol: Type.Union([Type.Literal('tcp'), Type.Literal('udp')]),
    mode: Type.Union([Type.Literal('ingress'), Type.Literal('host')]), hostIp: Type.Optional(text),
  }), { maxItems: 1000 }),
  status: podStatusShape,
}));

const digest = Type.String({ pattern: '^sha256:[0-9a-f]{64}$' });
const blob = { mediaType: text, digest, size: amount };

const heldImage = Compile(Type.Object({
  target: Type.Object(blob), names: Type.Array(Type.Object({ name: text, since: Type.Number(), from: Type.Optional(Type.Union([Type.Literal('archive'), Type.Literal('registry')])) }), { maxItems: 1000 }), config: digest, size: amount,
  documents: Type.Array(digest, { maxItems: 100 }), layers: Type.Array(Type.Object({ ...blob, diffId: digest, here: Type.Boolean() }), { maxItems: 1000 }),
}));

const limit = Type.Union([amount, Type.Null()]);
const agentStats = Compile(Type.Object({
  host: Type.Object({ cpus: amount, memory: amount }),
  containers: Type.Array(Type.Object({
    podId: name, container: name, attempt: amount, cpu: Type.Object({ percent: limit, seconds: amount }), memory: Type.Object({ used: amount, limit }), pids: Type.Object({ current: amount, limit }),
    block: Type.Object({ read: amount, written: amount }), network: Type.Union([Type.Object({ received: amount, sent: amount }), Type.Null()]),
  }), { maxItems: 10_000 }),
}));

/** What this node uses. Throws `invalid`. */
export function decodeAgentStats(json: string, node: string): AgentStats {
  const value = parse(json, mostStatsBytes);
  if (!agentStats.Check(value)) throw new TsorchError('invalid', `what node ${node} says of its use makes no sense`);
  return value as AgentStats;
}

/** An image of a node. Throws `invalid`. */
export function decodeHeldImage(json: string): HeldImage {
  const value = parse(json, mostImageBytes);
  if (!heldImage.Check(value)) throw new TsorchError('invalid', `an image makes no sense: ${json.slice(0, 200)}`);
  return value as HeldImage;
}

/** The status of the node that has this id by its certificate. Throws `invalid`. */
export function decodeNodeStatus(json: string, id: string): NodeStatus {
  const value = parse(json);
  if (!nodeStatus.Check(value)) throw new TsorchError('invalid', `the status of node ${id} makes no sense`);
  return { ...(value as Omit<NodeStatus, 'id'>), id };
}

/** Throws `invalid`. */
export function decodePodStatus(json: string): PodStatus {
  const value = parse(json);
  if (!podStatus.Check(value)) throw new TsorchError('invalid', `the status of a pod makes no sense: ${json.slice(0, 200)}`);
  return value as PodStatus;
}

/** A pod of a host's own manifests, told by the node with this id. Throws `invalid`. */
export function decodeStaticPod(json: string, node: string): StaticPod {
  const value = parse(json);
  if (!staticPod.Check(value) || (value as StaticPod).status.id !== (value as StaticPod).pod.id) throw new TsorchError('invalid', `a pod of a manifest makes no sense: ${json.slice(0, 200)}`);
  const { pod, status, ...rest } = value as StaticPod;
  return { ...rest, pod: { ...pod, node }, status: { ...status, node } };
}

function parse(json: string, most = mostBytes): unknown {
  if (json.length > most) throw new TsorchError('invalid', `a status of ${json.length} bytes is too large: ${json.slice(0, 200)}`);
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new TsorchError('invalid', `a status is not JSON: ${json.slice(0, 200)}`, { cause });
  }
}
