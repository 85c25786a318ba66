/** containerd's events as calls: exits and OOM kills, in order, with a resync after every gap. */
import { ContainersService } from '../../proto/gen/containerd/containers.ts';
import { type Envelope, EventsService, TaskExit, TaskOOM } from '../../proto/gen/containerd/events.ts';
import { oomKills } from './cgroup.ts';
import { decodeKnown, type Known, milliseconds, orNothing, type RuntimeContext } from './context.ts';
import type { ExitStatus, RuntimeContainer } from './port.ts';
import { containerdId } from './ids.ts';

export interface WatchHandlers {
  exit(id: string, status: ExitStatus): void;
  oom(id: string): void;
  resync(): void;
}

const marker = '/tsorch/watching';
const confirmMs = 5000;
const retryMs = 100;

/** Returns when the signal fires. `list` tells of stopped containers after a gap. */
export async function watchEvents(context: RuntimeContext, handlers: WatchHandlers, list: () => Promise<readonly RuntimeContainer[]>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await subscription(context, handlers, list, signal);
    } catch (error) {
      if (signal.aborted) return;
      context.log.info('event stream ended, subscribing again', { error });
    }
    await context.clock.sleep(retryMs, signal).catch(() => {});
  }
}

async function subscription(context: RuntimeContext, handlers: WatchHandlers, list: () => Promise<readonly RuntimeContainer[]>, signal: AbortSignal): Promise<void> {
  const { client } = context;
  const here = `namespace==${client.namespace}`;
  const filters = ['/tasks/exit', '/tasks/oom', marker].map((topic) => `${here},topic=="${topic}"`);
  const stream = client.stream(EventsService.subscribe, { filters });
  const cancel = () => stream.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  // containerd says nothing when a subscription has begun. An event of our own does, and goes on until it is seen.
  const confirmed = new AbortController();
  const confirming = confirm(context, AbortSignal.any([confirmed.signal, signal]), cancel);
  try {
    for await (const envelope of stream as AsyncIterable<Envelope>) {
      if (envelope.topic !== marker) await dispatch(context, handlers, envelope);
      else if (!confirmed.signal.aborted) {
        confirmed.abort();
        await reportMissedOoms(context, handlers, await list());
        handlers.resync();
      }
    }
  } finally {
    signal.removeEventListener('abort', cancel);
    confirmed.abort();
    stream.on('error', () => {});
    stream.cancel();
    await confirming;
  }
}

async function confirm(context: RuntimeContext, signal: AbortSignal, giveUp: () => void): Promise<void> {
  const { client, clock } = context;
  const until = clock.monotonic() + confirmMs;
  while (!signal.aborted) {
    await client.call(EventsService.publish, { topic: marker, event: { typeUrl: 'tsorch.watching', value: Buffer.alloc(0) } }, { deadlineMs: confirmMs }).catch(() => {});
    if (clock.monotonic() > until) return giveUp();
    await clock.sleep(20, signal).catch(() => {});
  }
}

async function dispatch(context: RuntimeContext, handlers: WatchHandlers, envelope: Envelope): Promise<void> {
  const value = envelope.event?.value ?? Buffer.alloc(0);
  if (envelope.topic === '/tasks/oom') {
    const known = await lookUp(context, TaskOOM.decode(value).containerId);
    if (known) reportOom(handlers, known);
    return;
  }
  const event = TaskExit.decode(value);
  // Execs end too; they have their own waiters.
  if (event.id !== event.containerId) return;
  const known = await lookUp(context, event.containerId);
  if (!known) return;
  // The event of an OOM kill may come after that of the exit it caused, but the cgroup knows already.
  if (!known.oom && (await oomKills(context.layout, known.cgroup)) > 0) reportOom(handlers, known);
  handlers.exit(known.id, { code: event.exitStatus, at: milliseconds(event.exitedAt, context.clock.now()) });
}

async function reportMissedOoms(context: RuntimeContext, handlers: WatchHandlers, containers: readonly RuntimeContainer[]): Promise<void> {
  for (const container of containers) {
    if (container.state !== 'stopped') continue;
    const known = await lookUp(context, containerdId(container.id));
    if (known && !known.oom && (await oomKills(context.layout, known.cgroup)) > 0) reportOom(handlers, known);
  }
}

function reportOom(handlers: WatchHandlers, known: Known): void {
  if (known.oom) return;
  known.oom = true;
  handlers.oom(known.id);
}

async function lookUp(context: RuntimeContext, containerId: string): Promise<Known | null> {
  const known = context.known.get(containerId);
  if (known) return known;
  const reply = await orNothing(context.client.call(ContainersService.get, { id: containerId }));
  return reply?.container ? decodeKnown(context, reply.container) : null;
}
