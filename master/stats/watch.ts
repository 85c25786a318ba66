/** Asks nodes what they use, all at once, once or for as long as somebody watches. A node that does not answer holds up nobody. */
import type { AgentStats, StatsStreamParams } from '../../model/stats.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import type { Context } from '../context.ts';
import { toErrorCode } from '../api/errors.ts';
import { decodeAgentStats } from '../nodes/decode.ts';
import { framesOf } from '../nodes/frames.ts';
import type { NodeAnswer } from './view.ts';

type Ports = Pick<Context, 'sessions' | 'liveness' | 'world' | 'clock'>;

interface Asked {
  /** Of what was asked for. */
  readonly key: string;
  readonly stop: AbortController;
  stats: AgentStats | null;
  failure: string | null;
  heardAt: number;
}

const retryMs = 1000;
/** A node that is silent for longer than this, or three times the interval, does not answer. */
const silentMs = 4000;

export class StatsWatch {
  readonly #ports: Ports;
  readonly #everyMs: number | null;
  readonly #signal: AbortSignal;
  readonly #asked = new Map<string, Asked>();
  #heard = Promise.withResolvers<void>();

  /** Until the signal fires; `everyMs` null asks once. */
  constructor(ports: Ports, everyMs: number | null, signal: AbortSignal) {
    this.#ports = ports;
    this.#everyMs = everyMs;
    this.#signal = signal;
  }

  /** Asks these nodes for these pods (null: all), and no others any more. */
  ask(nodes: ReadonlyMap<string, readonly string[] | null>): void {
    for (const [node, asked] of this.#asked) {
      if (nodes.has(node)) continue;
      asked.stop.abort();
      this.#asked.delete(node);
    }
    for (const [node, pods] of nodes) {
      const key = JSON.stringify(pods);
      const old = this.#asked.get(node);
      if (old?.key === key) continue;
      old?.stop.abort();
      const stop = new AbortController();
      // What it said of others is better than nothing until it has answered.
      const asked: Asked = { key, stop, stats: old?.stats ?? null, failure: null, heardAt: old?.heardAt ?? this.#ports.clock.monotonic() };
      this.#asked.set(node, asked);
      void this.#follow(node, { pods, ...(this.#everyMs === null ? {} : { everyMs: this.#everyMs }) }, asked, AbortSignal.any([stop.signal, this.#signal]));
    }
  }

  /** Resolves when every node has said something, or why it has not, or the time is up. */
  async settled(): Promise<void> {
    const { clock } = this.#ports;
    const over = new AbortController();
    const up = clock.sleep(silentMs, AbortSignal.any([over.signal, this.#signal])).then(() => true, () => true);
    while ([...this.#asked.values()].some(({ stats, failure }) => stats === null && failure === null)) {
      if (await Promise.race([up, this.#heard.promise.then(() => false)])) break;
    }
    over.abort();
  }

  answers(): ReadonlyMap<string, NodeAnswer> {
    const oldest = this.#ports.clock.monotonic() - Math.max(silentMs, 3 * (this.#everyMs ?? 0));
    return new Map(Array.from(this.#asked, ([node, { stats, failure, heardAt }]): [string, NodeAnswer] => {
      if (failure !== null) return [node, { failure }];
      return [node, stats && heardAt >= oldest ? { stats } : { failure: 'does not answer' }];
    }));
  }

  async #follow(node: string, params: StatsStreamParams, asked: Asked, signal: AbortSignal): Promise<void> {
    const { clock } = this.#ports;
    while (!signal.aborted) {
      try {
        for await (const stats of this.#read(node, params, signal)) this.#hear(asked, { stats, failure: null });
      } catch (error) {
        if (!signal.aborted) this.#hear(asked, { stats: null, failure: this.#reason(node, error) });
      }
      if (this.#everyMs === null) return;
      await clock.sleep(retryMs, signal).catch(() => {});
    }
  }

  #hear(asked: Asked, said: Pick<Asked, 'stats' | 'failure'>): void {
    Object.assign(asked, said, { heardAt: this.#ports.clock.monotonic() });
    this.#heard.resolve();
    this.#heard = Promise.withResolvers();
  }

  async *#read(node: string, params: StatsStreamParams, signal: AbortSignal): AsyncGenerator<AgentStats> {
    const stream = await this.#ports.sessions.openStream(node, 'stats', params);
    const stop = () => stream.end();
    signal.addEventListener('abort', stop, { once: true });
    // Whoever watched may have gone while the node was asked.
    if (signal.aborted) stop();
    try {
      for await (const frame of framesOf(stream)) {
        if (frame.$case === 'message') yield decodeAgentStats(frame.value, node);
        else if (frame.$case === 'error') throw new TsorchError(toErrorCode(frame.value.code), frame.value.message);
        else if (frame.$case === 'done') return;
      }
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  #reason(node: string, error: unknown): string {
    const { sessions, liveness, world } = this.#ports;
    if (sessions.has(node)) return isCode(error, 'timeout') ? 'does not answer' : error instanceof Error ? error.message : String(error);
    const elsewhere = world.get('sessions', node);
    if (liveness.state(node) === 'ready' && elsewhere) return `is connected to master ${elsewhere.master}: ask that one`;
    return liveness.state(node) === 'down' ? 'is down' : 'is not connected';
  }
}
