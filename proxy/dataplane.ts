/**
 * What a proxy needs of the kernel: that it holds what the service table says. `linux.ts` is the real one, `fake.ts` is for
 * tests and for hosts without pods; both pass test/contract/proxy/dataplane.
 */
import type { ServiceTable } from '../model/table.ts';

export interface DataPlane {
  /**
   * Resolves when the kernel has the table: new connections go where it says. Established ones go on wherever they lead.
   * After a failure the next call begins from scratch; what the kernel had stays in force until then.
   */
  apply(table: ServiceTable): Promise<void>;
  /**
   * Where virtual addresses and ports lead by the kernel's own word: `10.48.0.3` or `192.168.50.1:8080/tcp` to
   * `10.32.1.4` or `10.32.1.4:80`, in no order.
   */
  balancers(): ReadonlyMap<string, readonly string[]>;
  /** Lets go of it. The kernel works on. */
  close(): void;
}
