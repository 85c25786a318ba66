/** One connection to a master: Hello and heartbeats up, orders down. Ends with the stream, with silence, or with the signal. */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { Clock } from '../lib/clock.ts';
import { TsorchError } from '../model/errors.ts';
import type { AgentMessage, AgentsClient, MasterMessage, Welcome } from '../proto/gen/tsorch/node.ts';

export interface LinkOptions {
  readonly client: AgentsClient;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Called for each message, one after another; a rejection ends the link. */
  readonly onMessage: (message: MasterMessage) => Promise<void>;
}

/** How long a master may take to say Welcome. */
const welcomeMs = 5000;
/** Heartbeats that may stay unanswered. */
const patience = 3;

export class Link {
  readonly #options: LinkOptions;
  readonly #call: ClientDuplexStream<AgentMessage, MasterMessage>;
  readonly #over = new AbortController();
  #heartbeatMs: number | undefined;
  #heardAt: number;
  /** When heartbeats were sent that are not answered yet, by number. */
  readonly #sent = new Map<number, number>();

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#call = options.client.session();
    this.#heardAt = options.clock.monotonic();
  }

  /** Writes, and waits when the connection cannot take more. False when it is over. */
  async send(kind: AgentMessage['kind']): Promise<boolean> {
    if (this.#over.signal.aborted) return false;
    if (this.#call.write({ kind })) return true;
    await new Promise<void>((resolve) => {
      this.#call.once('drain', resolve);
      this.#over.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    return !this.#over.signal.aborted;
  }

  /** The master has answered this heartbeat: when it was sent. */
  answered(sequence: number): number | undefined {
    const sentAt = this.#sent.get(sequence);
    for (const earlier of this.#sent.keys()) if (earlier <= sequence) this.#sent.delete(earlier);
    return sentAt;
  }

  /** From the master's Welcome on: its pace of heartbeats. */
  welcomed(welcome: Welcome): void {
    const first = this.#heartbeatMs === undefined;
    this.#heartbeatMs = Math.max(10, welcome.heartbeatMs || 1000);
    if (first) this.#beat(this.#heartbeatMs).catch(() => {});
  }

  /** Resolves when the link has ended as it should; rejects with the reason otherwise. */
  async run(): Promise<void> {
    const { signal, onMessage } = this.#options;
    const stop = () => this.#end(new TsorchError('aborted', 'the agent stops'));
    signal.addEventListener('abort', stop, { once: true });
    const silence = this.#watchSilence();
    try {
      for await (const message of this.#call as AsyncIterable<MasterMessage>) {
        this.#heardAt = this.#options.clock.monotonic();
        await onMessage(message);
      }
      throw this.#over.signal.reason ?? new TsorchError('unavailable', 'the master ended the session');
    } catch (error) {
      // What we ended it for says more than the cancelled call.
      throw this.#over.signal.aborted ? this.#over.signal.reason : error;
    } finally {
      signal.removeEventListener('abort', stop);
      this.#end(new TsorchError('unavailable', 'the session is over'));
      await silence;
    }
  }

  #end(reason: TsorchError): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort(reason);
    this.#call.on('error', () => {});
    this.#call.cancel();
  }

  async #beat(ms: number): Promise<void> {
    for (let sequence = 1; !this.#over.signal.aborted; sequence++) {
      await this.#options.clock.sleep(this.#heartbeatMs ?? ms, this.#over.signal);
      this.#sent.set(sequence, this.#options.clock.monotonic());
      await this.send({ $case: 'heartbeat', value: { sequence } });
    }
  }

  async #watchSilence(): Promise<void> {
    const { clock } = this.#options;
    try {
      for (;;) {
        const allowed = this.#heartbeatMs === undefined ? welcomeMs : Math.max(1000, this.#heartbeatMs * patience);
        const left = this.#heardAt + allowed - clock.monotonic();
        if (left <= 0) return this.#end(new TsorchError('timeout', `the master has been silent for ${allowed} ms`));
        // Looked at often enough that a shorter allowance after the Welcome is noticed.
        await clock.sleep(Math.min(left, 250), this.#over.signal);
      }
    } catch {
      // The link is over.
    }
  }
}
