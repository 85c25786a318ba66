/** What is remembered of other nodes: who could not be reached lately, and who has sent something that was not what it was taken for. */
import type { Clock } from '../../lib/clock.ts';

/** A node that failed is asked last for so long. */
const failedMs = 10_000;
/** A corrupt blob may have been made whole. */
const rememberedMs = 10 * 60_000;

interface Blame {
  /** They sent all of it, and it was not it. */
  readonly liars: Set<string>;
  /** Each of them sent a part of what was not it. */
  readonly suspects: Set<string>;
  readonly at: number;
}

export class Reputation {
  readonly #clock: Clock;
  readonly #failed = new Map<string, number>();
  readonly #blobs = new Map<string, Blame>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** It could not be reached, or broke off. */
  failed(node: string): void {
    this.#failed.set(node, this.#clock.monotonic());
  }

  /** What these have sent is not the blob. Of several nobody knows who it was. */
  corrupt(digest: string, senders: ReadonlySet<string>): void {
    const { liars = new Set<string>(), suspects = new Set<string>() } = this.#blobs.get(digest) ?? {};
    for (const node of senders) (senders.size === 1 ? liars : suspects).add(node);
    this.#blobs.set(digest, { liars, suspects, at: this.#clock.monotonic() });
  }

  /** Without liars; suspects and those that failed lately come last, and otherwise in the given order. */
  order(digest: string, nodes: readonly string[]): readonly string[] {
    const now = this.#clock.monotonic();
    for (const [known, { at }] of this.#blobs) if (now - at > rememberedMs) this.#blobs.delete(known);
    for (const [node, at] of this.#failed) if (now - at > failedMs) this.#failed.delete(node);
    const blame = this.#blobs.get(digest);
    const last = (node: string) => Number(blame?.suspects.has(node) === true) + Number(this.#failed.has(node));
    return nodes.filter((node) => blame?.liars.has(node) !== true).toSorted((a, b) => last(a) - last(b));
  }
}
