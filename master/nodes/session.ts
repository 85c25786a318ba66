/** One agent's session on this master: what was sent, so that only differences are sent again. */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { AgentMessage, MasterMessage } from '../../proto/gen/tsorch/node.ts';
import type { Maps } from '../world.ts';
import { buildAssignment } from './assignments.ts';

export type SessionStream = ServerDuplexStream<AgentMessage, MasterMessage>;

export class Session {
  readonly node: string;
  readonly stream: SessionStream;
  /** Monotonic time of the last word from the agent. */
  heardAt: number;
  /** False until its Hello was answered. */
  open = false;
  readonly #assignments = new Map<string, string>();
  readonly #peers = new Map<string, string>();
  /** Whether the agent has a full list of its pods from this session. */
  #whole = false;

  constructor(node: string, stream: SessionStream, now: number) {
    this.node = node;
    this.stream = stream;
    this.heardAt = now;
  }

  send(kind: MasterMessage['kind']): void {
    if (!this.stream.destroyed) this.stream.write({ kind });
  }

  /**
   * Sends what differs from what the agent has; everything the first time. "Everything" tells the agent to drop what is not listed, so
   * it is only said once every pod's assignment can be built.
   */
  sendAssignments(maps: Maps, podIds: ReadonlySet<string>, epoch: number): void {
    const upsert: string[] = [];
    const remove: string[] = [];
    let complete = true;
    for (const id of podIds) {
      const pod = maps.pods.get(id)?.value;
      const assignment = pod && buildAssignment(maps, pod);
      if (!assignment) {
        complete &&= pod === undefined;
        continue;
      }
      const text = JSON.stringify(assignment);
      if (this.#whole && this.#assignments.get(id) === text) continue;
      this.#assignments.set(id, text);
      upsert.push(text);
    }
    for (const id of this.#assignments.keys()) {
      if (podIds.has(id)) continue;
      this.#assignments.delete(id);
      remove.push(id);
    }
    const full = !this.#whole && complete;
    if (full) this.#whole = true;
    if (full || upsert.length > 0 || remove.length > 0) this.send({ $case: 'assignments', value: { epoch, upsert, remove: full ? [] : remove, full } });
  }

  /** The agent asked anew: it is told everything again. */
  restart(): void {
    this.#whole = false;
  }

  sendPeers(maps: Maps, full: boolean): void {
    const upsert = [];
    const remove: string[] = [];
    for (const { value: node } of maps.nodes.values()) {
      const status = maps.nodestatus.get(node.id)?.value;
      if (node.id === this.node || !status) continue;
      const peer = { id: node.id, address: status.address, subnet: node.subnet, vtepMac: status.vtepMac, blobPort: status.blobPort ?? 0 };
      const text = JSON.stringify(peer);
      if (!full && this.#peers.get(node.id) === text) continue;
      this.#peers.set(node.id, text);
      upsert.push(peer);
    }
    for (const id of this.#peers.keys()) {
      if (maps.nodes.has(id)) continue;
      this.#peers.delete(id);
      remove.push(id);
    }
    if (full || upsert.length > 0 || remove.length > 0) this.send({ $case: 'peers', value: { upsert, remove: full ? [] : remove, full } });
  }
}
