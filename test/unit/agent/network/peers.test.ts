import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeChange, desiredPeers, planPeers } from '../../../../agent/network/peers.ts';
import type { Change, PeerRoute, PeerState } from '../../../../agent/network/peers.ts';

const devices = { tunnel: 7, underlay: 3 };
const empty: PeerState = { routes: new Map(), neighbours: new Map(), forwarding: new Map() };
const peer = (n: number) => ({ id: `n${n}`, address: `10.0.0.${n}`, subnet: `10.32.${n}.0/24`, vtepMac: `0E:74:0a:20:${n.toString(16).padStart(2, '0')}:00` });

describe('a plan', () => {
  it('names what each peer takes', () => {
    const wanted = desiredPeers([peer(2), peer(3)], devices, (p) => p.id === 'n3');
    expect(planPeers(empty, wanted).map(describeChange)).toEqual([
      '+ fdb 0e:74:0a:20:02:00 dst 10.0.0.2',
      '+ neigh 10.32.2.0 lladdr 0e:74:0a:20:02:00',
      '+ route 10.32.2.0/24 via 10.32.2.0 onlink',
      '+ route 10.32.3.0/24 via 10.0.0.3',
    ]);
    expect(planPeers(wanted, wanted)).toEqual([]);
  });

  it('moves a peer from the tunnel to a plain route without a gap', () => {
    const before = desiredPeers([peer(2)], devices, () => false);
    const after = desiredPeers([peer(2)], devices, () => true);
    expect(planPeers(before, after).map(describeChange)).toEqual([
      '+ route 10.32.2.0/24 via 10.0.0.2',
      '- neigh 10.32.2.0',
      '- fdb 0e:74:0a:20:02:00 dst 10.0.0.2',
    ]);
  });

  it('follows a peer to another address', () => {
    const before = desiredPeers([peer(2)], devices, () => false);
    const after = desiredPeers([{ ...peer(2), address: '10.0.9.9' }], devices, () => false);
    expect(planPeers(before, after).map(describeChange)).toEqual(['+ fdb 0e:74:0a:20:02:00 dst 10.0.9.9']);
  });

  it('leads from any state to any other, and every route’s entries are there whenever the route is', () => {
    const set = fc.uniqueArray(fc.record({ n: fc.integer({ min: 2, max: 12 }), near: fc.boolean(), moved: fc.boolean() }), { selector: (p) => p.n });
    const stateOf = (of: readonly { n: number; near: boolean; moved: boolean }[]) => desiredPeers(
      of.map((p) => (p.moved ? { ...peer(p.n), address: `10.0.1.${p.n}` } : peer(p.n))), devices,
      (p) => of.find((o) => `n${o.n}` === p.id)?.near === true,
    );
    fc.assert(fc.property(set, set, (from, to) => {
      const [before, after] = [stateOf(from), stateOf(to)];
      let state = before;
      for (const change of planPeers(before, after)) {
        state = apply(state, change);
        for (const route of state.routes.values()) {
          if (!route.onlink) continue;
          const mac = state.neighbours.get(route.gateway);
          expect(mac && state.forwarding.get(mac)).toBeDefined();
        }
      }
      expect(state).toEqual(after);
    }));
  });
});

/** What the kernel does with a change. */
function apply(state: PeerState, change: Change): PeerState {
  const routes = new Map<string, PeerRoute>(state.routes);
  const neighbours = new Map(state.neighbours);
  const forwarding = new Map(state.forwarding);
  switch (change.kind) {
    case 'forward': forwarding.set(change.mac, change.address); break;
    case 'neighbour': neighbours.set(change.address, change.mac); break;
    case 'route': routes.set(change.subnet, change.to); break;
    case 'unroute': routes.delete(change.subnet); break;
    case 'unneighbour': neighbours.delete(change.address); break;
    case 'unforward': forwarding.delete(change.mac); break;
  }
  return { routes, neighbours, forwarding };
}
