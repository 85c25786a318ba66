/** Hosts that have joined a lab's master, each with a running pod of `shop_web`, slot by slot; and their answers to what the master asks. */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { DataFrame } from '../../../../proto/gen/tsorch/node.ts';
import { makeContainer, makePod, makeSpec } from '../../../unit/master/scheduler/make.ts';
import { SessionHost, type HostOptions } from './host.ts';
import { type Lab, until } from './lab.ts';

export type Frame = NonNullable<DataFrame['kind']>;

/** A data stream that a host has opened because it was asked to. */
export interface Answer {
  readonly call: ClientDuplexStream<DataFrame, DataFrame>;
  readonly params: Record<string, unknown>;
  readonly received: readonly Frame[];
  readonly over: boolean;
  send(...frames: readonly Frame[]): void;
}

export class Joined {
  readonly hosts: SessionHost[] = [];
  /** All there were. */
  readonly answers: Answer[] = [];
  readonly #lab: Lab;

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  /** Once its pod is known. */
  async connect(name: string, options: Pick<HostOptions, 'capacity'> = {}): Promise<SessionHost> {
    const lab = this.#lab;
    const { id, credentials } = await lab.join(name);
    const host = new SessionHost({ id, credentials, port: lab.serving.grpcPort, heartbeatMs: 200, ...options }).hello();
    this.hosts.push(host);
    await until(`${name} is there`, () => lab.serving.context.sessions.has(id));
    await this.addPod(host, this.hosts.length);
    return host;
  }

  async addPod(host: SessionHost, slot: number): Promise<void> {
    const spec = makeSpec({ mode: { kind: 'replicated', replicas: slot }, template: { containers: [makeContainer({ name: 'web' })] } });
    const { revision } = await this.#lab.store.commit([
      { op: 'put', kind: 'services', id: 'shop_web', value: { id: 'shop_web', spec, revision: 'r1', previous: null } },
      { op: 'put', kind: 'revisions', id: 'shop_web.r1', value: { service: 'shop_web', revision: 'r1', spec } },
      { op: 'put', kind: 'pods', id: `p${slot}`, value: makePod(`p${slot}`, { slot, node: host.id, ip: `10.32.${slot}.9` }) },
      { op: 'put', kind: 'podstatus', id: `p${slot}`, value: { id: `p${slot}`, node: host.id, phase: 'running', ready: true, message: '', restarts: 0, since: 1, containers: [] } },
    ]);
    await this.#lab.world.waitFor(revision, AbortSignal.timeout(5000));
  }

  /** Dials back for the host's next request of the kind. */
  async answer(host: SessionHost, kind: string): Promise<Answer> {
    const next = () => host.requests.findIndex((request) => request.kind === kind);
    await until(`${kind} is asked for; ${host.requests.map((request) => request.kind).join(' ')} was`, () => next() >= 0);
    const [asked] = host.requests.splice(next(), 1);
    if (!asked) throw new Error('it was there');
    const call = host.dial(asked.id);
    const received: Frame[] = [];
    const answer = {
      call, received, over: false, params: JSON.parse(asked.params) as Record<string, unknown>,
      send: (...frames: readonly Frame[]) => { for (const frame of frames) call.write({ kind: frame }); },
    };
    call.on('data', (frame: DataFrame) => { if (frame.kind) received.push(frame.kind); });
    call.on('status', () => { answer.over = true; });
    this.answers.push(answer);
    return answer;
  }

  close(): void {
    for (const host of this.hosts) host.close();
  }
}

export const message = (value: unknown) => ({ $case: 'message', value: JSON.stringify(value) }) as const;
