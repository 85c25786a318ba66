/** A data plane without a kernel. */
import type { ServiceTable } from '../model/table.ts';
import type { DataPlane } from './dataplane.ts';
import { printBackend } from './rules/print.ts';
import { RuleState } from './rules/state.ts';
import type { HostContext } from './rules/fragment.ts';

export class FakeDataPlane implements DataPlane {
  /** Every table applied, in order. */
  readonly applied: ServiceTable[] = [];
  /** Set to make the next calls fail. */
  failure: Error | undefined;
  readonly #state: RuleState;

  constructor(host: HostContext = { nodeId: 'n1', addresses: [], mode: 'ebpf' }) {
    this.#state = new RuleState(host);
  }

  async apply(table: ServiceTable): Promise<void> {
    if (this.failure) throw this.failure;
    this.#state.update(table);
    this.applied.push(table);
  }

  balancers(): ReadonlyMap<string, readonly string[]> {
    return new Map([...this.#state.balancers()].map(([key, backends]) => [key, backends.map(printBackend)]));
  }

  close(): void {}
}
