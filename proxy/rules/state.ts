/**
 * From the service table to what the kernel shall hold, change by change. Deterministic: the same tables in the same
 * order give the same state, and the state after many updates is the state of a fresh start at the last table (up to
 * the numbers of signatures, which stay with their set of networks).
 */
import { emptyTable } from '../../model/table.ts';
import type { ServiceTable } from '../../model/table.ts';
import { changedKeys } from './changed.ts';
import { emptyFragment } from './fragment.ts';
import type { Backend, Fragment, HostContext } from './fragment.ts';
import { nodeFragment } from './nodes.ts';
import { Overlay } from './overlay.ts';
import { addSignatures, noSignatures, podFragment } from './pods.ts';
import type { Signatures } from './pods.ts';
import { printRule } from './print.ts';
import type { Rule, SetElement } from './rule.ts';
import { endpointAddresses, publishesUdp, serviceFragment } from './services.ts';

/** One key of a set. `before` and `after` are its data (empty for plain sets), undefined where there is none. */
export interface ElementChange {
  readonly set: string;
  readonly key: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
}

export interface ChainChange {
  readonly name: string;
  /** undefined: it goes. */
  readonly rules: readonly Rule[] | undefined;
  readonly existed: boolean;
}

export interface RuleChanges {
  readonly elements: readonly ElementChange[];
  readonly chains: readonly ChainChange[];
  /** undefined: the key goes. */
  readonly balancers: ReadonlyMap<string, readonly Backend[] | undefined>;
  /** Addresses that were endpoints of a published UDP port and are none any more: flows must find another. */
  readonly goneUdpEndpoints: readonly string[];
  /** Other addresses that were endpoints: there may be flows to them, by virtual addresses, but most likely there are none. */
  readonly goneEndpoints: readonly string[];
  /** Published UDP ports that had nobody behind them until now: flows from before must be translated after all. */
  readonly newUdpPorts: readonly number[];
}

const elementKey = (element: SetElement) => `${element.set} ${element.key}`;

export class RuleState {
  readonly #elements = new Overlay<string>();
  readonly #chains = new Overlay<readonly Rule[]>();
  readonly #balancers = new Overlay<readonly Backend[]>();
  #table: ServiceTable = emptyTable;
  #signatures: Signatures = noSignatures;
  #host: HostContext;

  constructor(host: HostContext) {
    this.#host = host;
  }

  get table(): ServiceTable {
    return this.#table;
  }

  *elements(): Generator<SetElement> {
    for (const [key, data] of this.#elements.entries()) {
      const { set, key: name } = splitKey(key);
      yield data === '' ? { set, key: name } : { set, key: name, data };
    }
  }

  chains(): Iterable<readonly [string, readonly Rule[]]> {
    return this.#chains.entries();
  }

  balancers(): Iterable<readonly [string, readonly Backend[]]> {
    return this.#balancers.entries();
  }

  /** Goes on to `table`; `addresses` when the host's own have changed. Returns what differs in the kernel. */
  update(table: ServiceTable, addresses: readonly string[] = this.#host.addresses): RuleChanges {
    const old = this.#table;
    const moved = addresses.join() !== this.#host.addresses.join();
    if (moved) this.#host = { ...this.#host, addresses };
    const edit = new Edit(this.#elements, this.#chains, this.#balancers);
    const gone = new Set<string>();
    const goneUdp = new Set<string>();

    for (const id of changedKeys(old.nodes, table.nodes)) {
      const node = table.nodes.get(id);
      edit.replace(`node ${id}`, node ? nodeFragment(node, this.#host) : emptyFragment);
    }
    const services = moved ? new Set([...old.services.keys(), ...table.services.keys()]) : changedKeys(old.services, table.services);
    for (const id of services) {
      const service = table.services.get(id);
      const before = old.services.get(id);
      for (const ip of endpointAddresses(before)) (publishesUdp(before) ? goneUdp : gone).add(ip);
      edit.replace(`service ${id}`, service ? serviceFragment(service, this.#host) : emptyFragment);
    }
    // An address may serve under another service's name by now.
    for (const id of services) {
      for (const ip of endpointAddresses(table.services.get(id))) {
        gone.delete(ip);
        goneUdp.delete(ip);
      }
    }
    this.#updatePods(old, table, edit);
    this.#table = table;
    return { ...edit.changes(), goneEndpoints: [...gone], goneUdpEndpoints: [...goneUdp] };
  }

  #updatePods(old: ServiceTable, table: ServiceTable, edit: Edit): void {
    const changed = new Set(changedKeys(old.pods, table.pods));
    const present = function* () {
      for (const id of changed) {
        const pod = table.pods.get(id);
        if (pod) yield pod;
      }
    };
    const signatures = addSignatures(this.#signatures, present());
    const networksChanged = changedKeys(old.networks, table.networks).length > 0;
    // A new signature, or a network that became internal, concerns pods of this host that did not change themselves.
    if (signatures !== this.#signatures || networksChanged) {
      for (const pod of table.pods.values()) if (pod.node === this.#host.nodeId) changed.add(pod.id);
    }
    this.#signatures = signatures;
    for (const id of changed) {
      const pod = table.pods.get(id);
      edit.replace(`pod ${id}`, pod ? podFragment(pod, this.#host, signatures, table.networks) : emptyFragment);
    }
  }
}

/** Collects one update's differences: each key with what it had before and has now. */
class Edit {
  readonly #elements: Overlay<string>;
  readonly #chains: Overlay<readonly Rule[]>;
  readonly #balancers: Overlay<readonly Backend[]>;
  readonly #elementsBefore = new Map<string, string | undefined>();
  readonly #chainsBefore = new Map<string, readonly Rule[] | undefined>();
  readonly #balancersBefore = new Map<string, readonly Backend[] | undefined>();

  constructor(elements: Overlay<string>, chains: Overlay<readonly Rule[]>, balancers: Overlay<readonly Backend[]>) {
    this.#elements = elements;
    this.#chains = chains;
    this.#balancers = balancers;
  }

  replace(owner: string, fragment: Fragment): void {
    this.#elements.replace(owner, fragment.elements.map((element) => [elementKey(element), element.data ?? ''] as const), this.#elementsBefore);
    this.#chains.replace(owner, fragment.chains.map((chain) => [chain.name, chain.rules] as const), this.#chainsBefore);
    this.#balancers.replace(owner, fragment.balancers.map((balancer) => [balancer.key, balancer.backends] as const), this.#balancersBefore);
  }

  changes(): Omit<RuleChanges, 'goneEndpoints' | 'goneUdpEndpoints'> {
    const elements: ElementChange[] = [];
    const newUdpPorts: number[] = [];
    for (const [full, before] of this.#elementsBefore) {
      const after = this.#elements.get(full);
      if (before === after) continue;
      const { set, key } = splitKey(full);
      elements.push({ set, key, before, after });
      const udp = before === undefined && (set === 'ports' || set === 'ports-at') ? /(?:^| )udp \. (\d+)$/.exec(key) : null;
      if (udp) newUdpPorts.push(Number(udp[1]));
    }
    const chains: ChainChange[] = [];
    for (const [name, before] of this.#chainsBefore) {
      const after = this.#chains.get(name);
      if (!sameRules(before, after)) chains.push({ name, rules: after, existed: before !== undefined });
    }
    const balancers = new Map<string, readonly Backend[] | undefined>();
    for (const [key, before] of this.#balancersBefore) {
      const after = this.#balancers.get(key);
      if (!sameBackends(before, after)) balancers.set(key, after);
    }
    return { elements, chains, balancers, newUdpPorts };
  }
}

function splitKey(full: string): { readonly set: string; readonly key: string } {
  const space = full.indexOf(' ');
  return { set: full.slice(0, space), key: full.slice(space + 1) };
}

function sameRules(a: readonly Rule[] | undefined, b: readonly Rule[] | undefined): boolean {
  if (a === b) return true;
  return a !== undefined && b !== undefined && a.length === b.length && a.every((rule, i) => printRule(rule) === printRule(b[i] as Rule));
}

function sameBackends(a: readonly Backend[] | undefined, b: readonly Backend[] | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined || a.length !== b.length) return false;
  return a.every((backend, i) => backend.ip === b[i]?.ip && backend.port === b[i]?.port);
}
