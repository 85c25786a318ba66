/** `/v1/exec`, `/v1/attach`, `/v1/port-forward` (WebSockets): into running containers. */
import type { FastifyInstance } from 'fastify';
import Type, { type Static, type TSchema } from 'typebox';
import { Errors } from 'typebox/value';
import type { AttachInfo, AttachStreamParams, ExecStreamParams, PortForwardStreamParams } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import { podName } from '../../model/pod.ts';
import type { Context } from '../context.ts';
import { bridge, type BridgeOptions } from './bridge.ts';
import { runningPod } from './targets.ts';

const querystring = Type.Object({ q: Type.String({ maxLength: 65_536 }) });
const exact = { additionalProperties: false } as const;
const text = Type.String({ minLength: 1 });

const execQuery = Type.Object({
  target: text, container: Type.Optional(Type.String()), argv: Type.Array(Type.String(), { minItems: 1 }), env: Type.Optional(Type.Record(Type.String(), Type.String())), user: Type.Optional(text),
  workingDir: Type.Optional(text), tty: Type.Optional(Type.Boolean()), stdin: Type.Optional(Type.Boolean()), privileged: Type.Optional(Type.Boolean()), detach: Type.Optional(Type.Boolean()),
}, exact);
const place = Type.Integer({ minimum: 0 });
const attachQuery = Type.Object({
  target: text, container: Type.Optional(Type.String()), stdin: Type.Optional(Type.Boolean()),
  again: Type.Optional(Type.Object({ podId: text, attempt: Type.Integer({ minimum: 1 }), places: Type.Object({ stdout: place, stderr: place }, exact) }, exact)),
}, exact);
const forwardQuery = Type.Object({ target: text, port: Type.Integer({ minimum: 1, maximum: 65_535 }), protocol: Type.Union([Type.Literal('tcp'), Type.Literal('udp')]) }, exact);

export function execRoutes(app: FastifyInstance, context: Context): void {
  const route = <S extends TSchema>(path: string, summary: string, schema: S, options: (query: Static<S>) => BridgeOptions) =>
    app.get<{ Querystring: Static<typeof querystring> }>(path, { websocket: true, schema: { querystring, summary: `${summary} (WebSocket)` } }, (socket, request) => {
      void bridge(socket, later(() => options(parse(request.query.q, schema))));
    });

  route('/v1/exec', 'Run a process in a container', execQuery, ({ target, container: wanted, ...rest }) => {
    const { pod, container } = runningPod(context.world.maps, target, wanted);
    const params: ExecStreamParams = { podId: pod.id, ...(container === undefined ? {} : { container }), ...rest, env: rest.env ?? {}, tty: rest.tty ?? false, stdin: rest.stdin ?? false };
    return { open: () => context.sessions.openStream(pod.node, 'exec', params) };
  });

  route('/v1/attach', 'Input and output of a container\'s own process', attachQuery, ({ target, container: wanted, stdin, again }) => {
    const { pod, container } = runningPod(context.world.maps, again?.podId ?? target, wanted);
    const params: AttachStreamParams = { podId: pod.id, ...(container === undefined ? {} : { container }), stdin: stdin ?? false, ...(again ? { attempt: again.attempt, places: again.places } : {}) };
    const info = (said: string) => JSON.stringify({ ...(JSON.parse(said) as AttachInfo), podId: pod.id, pod: podName(pod.service, pod.slot) } satisfies AttachInfo);
    return { open: () => context.sessions.openStream(pod.node, 'attach', params), info };
  });

  route('/v1/port-forward', 'A connection to a port of a pod', forwardQuery, ({ target, port, protocol }) => {
    const { pod } = runningPod(context.world.maps, target);
    const params: PortForwardStreamParams = { podId: pod.id, port, protocol };
    return { open: () => context.sessions.openStream(pod.node, 'port-forward', params) };
  });
}

/** A target that cannot be had is told over the socket, as everything else is. */
function later(options: () => BridgeOptions): BridgeOptions {
  let made: BridgeOptions | undefined;
  return {
    open: async () => (made = options()).open(),
    info: (said) => made?.info?.(said) ?? said,
  };
}

function parse<S extends TSchema>(q: string, schema: S): Static<S> {
  let value: unknown;
  try {
    value = JSON.parse(q);
  } catch (cause) {
    throw new TsorchError('invalid', 'q is not JSON', { cause });
  }
  const [first] = Errors(schema, value);
  if (first) throw new TsorchError('invalid', `q${first.instancePath.replaceAll('/', '.')} ${first.message}`, { path: 'q' });
  return value as Static<S>;
}
