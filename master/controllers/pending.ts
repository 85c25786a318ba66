/** Why pods without a node have none, from the last scheduling pass: for `tsorch ps` and `inspect`. Not stored: it is recomputed. */
import type { FilterReason } from '../../model/api.ts';

export interface PendingReason {
  /** One line: `no suitable node: constraint type==frontend: …`. */
  readonly summary: string;
  readonly why: readonly FilterReason[];
}

export class Pending {
  #reasons: ReadonlyMap<string, PendingReason> = new Map();

  get all(): ReadonlyMap<string, PendingReason> {
    return this.#reasons;
  }

  get(pod: string): PendingReason | undefined {
    return this.#reasons.get(pod);
  }

  replace(reasons: ReadonlyMap<string, PendingReason>): void {
    this.#reasons = reasons;
  }
}
