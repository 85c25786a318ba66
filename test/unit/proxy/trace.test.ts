import { describe, expect, test } from 'vitest';
import type { Packet, Trace, TraceHost } from '../../../proxy/rules/trace.ts';
import { trace } from '../../../proxy/rules/trace.ts';
import { RuleState } from '../../../proxy/rules/state.ts';
import { dnsAddress, pods, shop } from './fixture.ts';

const state = new RuleState({ nodeId: 'n1', addresses: ['192.168.50.1'], mode: 'nftables' });
state.update(shop);
const local = ['192.168.50.1', '10.32.1.0', dnsAddress, '127.0.0.1'];
const host: TraceHost = { dnsAddress, local };
const unknown = '10.32.1.99';
const internet = '203.0.113.7';

function walk(packet: Partial<Packet> & Pick<Packet, 'from' | 'to'>, over: Partial<TraceHost> = {}, start?: 'outside' | 'here'): Trace {
  return trace(state, { protocol: 'tcp', port: 80, ...packet }, { ...host, ...over }, start);
}

describe('pod to pod', () => {
  test.each([
    ['share a network', pods.web1, pods.api1, 'forwarded'],
    ['share a network, from another host', pods.web2, pods.web1, 'forwarded'],
    ['share none', pods.web1, pods.cache1, 'reset'],
    ['share none, from another host', pods.db1, pods.web1, 'reset'],
    ['other stack', pods.other1, pods.web1, 'reset'],
    ['destination elsewhere: decided there', pods.web1, pods.db1, 'forwarded'],
  ] as const)('%s', (_, from, to, verdict) => {
    expect(walk({ from: from.ip, to: to.ip }).verdict).toBe(verdict);
  });

  test('what is not tcp is told so too', () => {
    expect(walk({ from: pods.web1.ip, to: pods.cache1.ip, protocol: 'udp', port: 53 }).verdict).toBe('prohibited');
    expect(walk({ from: pods.web1.ip, to: pods.cache1.ip, protocol: 'icmp' }).verdict).toBe('prohibited');
  });

  test('answers pass', () => {
    expect(walk({ from: pods.cache1.ip, to: pods.web1.ip, established: true }).verdict).toBe('forwarded');
  });
});

describe('who is not known talks to nobody', () => {
  test.each([[pods.web1.ip, 'reset'], [internet, 'reset'], [pods.db1.ip, 'reset']] as const)('unknown local pod to %s', (to, verdict) => {
    expect(walk({ from: unknown, to }).verdict).toBe(verdict);
  });
  test('unknown pod elsewhere to a local pod', () => {
    expect(walk({ from: '10.32.2.99', to: pods.web1.ip }).verdict).toBe('reset');
  });
  test('unknown local pod to this host', () => {
    expect(walk({ from: unknown, to: '192.168.50.1', port: 22 }).verdict).toBe('reset');
  });
  test('a known pod to an unknown one', () => {
    expect(walk({ from: pods.web1.ip, to: unknown }).verdict).toBe('reset');
  });
  test.each([pods.api1.ip, pods.db1.ip, '192.168.50.2', '10.32.2.0'])('a sender that is not %s', (from) => {
    expect(walk({ from, to: pods.web1.ip }, { sourceIsTrue: () => false }).verdict).toBe('dropped');
  });
  test('nor on the way to other hosts', () => {
    expect(walk({ from: '192.168.50.2', to: pods.db1.ip }, { sourceIsTrue: () => false }).verdict).toBe('dropped');
  });
  test('a stranger to a pod', () => {
    expect(walk({ from: internet, to: pods.web1.ip }).verdict).toBe('reset');
  });
  test('other hosts reach pods as themselves', () => {
    expect(walk({ from: '192.168.50.2', to: pods.web1.ip }).verdict).toBe('forwarded');
    expect(walk({ from: '10.32.2.0', to: pods.web1.ip }).verdict).toBe('forwarded');
  });
  test('this host reaches itself by its address on the overlay', () => {
    expect(walk({ from: '10.32.1.0', to: '10.32.1.0', port: 2379 }).verdict).toBe('delivered');
  });
  test('traffic that is not about pods is left alone', () => {
    expect(walk({ from: internet, to: '198.51.100.1' })).toMatchObject({ verdict: 'forwarded', masqueraded: false, path: [] });
  });
});

describe('published ports', () => {
  test.each([0, 1, 2])('slot %i of all of the cluster', (slot) => {
    const result = walk({ from: internet, to: '192.168.50.1', port: 8080 }, { counter: () => slot });
    expect(result).toMatchObject({ verdict: 'forwarded', port: 80 });
    // Clients of pods on this host keep their address.
    expect(result.masqueraded).toBe(result.to === pods.web2.ip);
  });
  test('each endpoint has one slot', () => {
    const reached = [0, 1, 2].map((slot) => walk({ from: internet, to: '192.168.50.1', port: 8080 }, { counter: () => slot }).to);
    expect(new Set(reached)).toEqual(new Set([pods.web1.ip, pods.web2.ip, pods.web3.ip]));
  });
  test('host mode leads to local pods only', () => {
    for (const slot of [0, 1, 2]) {
      expect([pods.web1.ip, pods.web3.ip]).toContain(walk({ from: internet, to: '192.168.50.1', port: 8443 }, { counter: () => slot }).to);
    }
  });
  test('bound to one address it is not on others', () => {
    expect(walk({ from: internet, to: '10.32.1.0', port: 8443 })).toMatchObject({ verdict: 'delivered', to: '10.32.1.0' });
  });
  test('udp', () => {
    expect(walk({ from: internet, to: '192.168.50.1', protocol: 'udp', port: 5353 })).toMatchObject({ verdict: 'forwarded', to: pods.api1.ip, port: 53 });
    expect(walk({ from: internet, to: '192.168.50.1', protocol: 'tcp', port: 5353 })).toMatchObject({ verdict: 'delivered', port: 5353 });
  });
  test('anybody may use them, pods of other networks and sealed ones too', () => {
    const toRemote = (from: string) => [0, 1, 2].map((slot) => walk({ from, to: '192.168.50.1', port: 8080 }, { counter: () => slot }));
    for (const from of [pods.other1.ip, pods.cache1.ip]) {
      for (const result of toRemote(from)) {
        expect(result.verdict).toBe('forwarded');
        // On the other host the pod itself would be refused.
        expect(result.masqueraded).toBe(result.to === pods.web2.ip);
      }
    }
  });
  test('from this host itself', () => {
    expect(walk({ from: '192.168.50.1', to: '192.168.50.1', port: 9090 }, {}, 'here')).toMatchObject({ verdict: 'sent', to: pods.other1.ip, port: 80 });
  });
  test('not on the name server’s address nor on loopback', () => {
    expect(walk({ from: pods.web1.ip, to: dnsAddress, port: 8080 }).to).toBe(dnsAddress);
    expect(walk({ from: '127.0.0.1', to: '127.0.0.1', port: 8080 }, {}, 'here')).toMatchObject({ verdict: 'sent', to: '127.0.0.1' });
  });
  test('a pod that reaches itself through it gets answers', () => {
    const through = [0, 1, 2].map((slot) => walk({ from: pods.web1.ip, to: '192.168.50.1', port: 8080 }, { counter: () => slot }));
    expect(through.find((result) => result.to === pods.web1.ip)).toMatchObject({ verdict: 'forwarded', masqueraded: true });
  });
});

describe('virtual addresses that nothing translated at connect', () => {
  test('any port and protocol, the port kept', () => {
    expect(walk({ from: pods.web1.ip, to: '10.48.0.3', port: 6543 })).toMatchObject({ verdict: 'forwarded', to: pods.api1.ip, port: 6543, masqueraded: false });
    expect(walk({ from: pods.web1.ip, to: '10.48.0.3', protocol: 'icmp' })).toMatchObject({ verdict: 'forwarded', to: pods.api1.ip });
  });
  test('isolation holds behind them', () => {
    expect(walk({ from: pods.other1.ip, to: '10.48.0.3' }).verdict).toBe('reset');
    expect(walk({ from: unknown, to: '10.48.0.3' }).verdict).toBe('reset');
  });
  test('nobody behind it: refused at once, by pods and by this host', () => {
    expect(walk({ from: pods.web1.ip, to: '10.48.0.5' }).verdict).toBe('reset');
    expect(walk({ from: '192.168.50.1', to: '10.48.0.5' }, {}, 'here').verdict).toBe('reset');
  });
  test('an endpoint on another host sees the pod, so that it can judge', () => {
    expect(walk({ from: pods.api1.ip, to: '10.48.0.4', port: 5432 })).toMatchObject({ verdict: 'forwarded', to: pods.db1.ip, masqueraded: false });
  });
  test('from this host: comes back through it', () => {
    expect(walk({ from: '192.168.50.1', to: '10.48.0.4', port: 5432 }, {}, 'here')).toMatchObject({ verdict: 'sent', to: pods.db1.ip, masqueraded: true });
  });
});

describe('the way out', () => {
  test('pods go out as this host', () => {
    expect(walk({ from: pods.web1.ip, to: internet })).toMatchObject({ verdict: 'forwarded', masqueraded: true });
    expect(walk({ from: pods.web1.ip, to: pods.web2.ip }).masqueraded).toBe(false);
  });
  test('internal networks have none', () => {
    expect(walk({ from: pods.cache1.ip, to: internet }).verdict).toBe('reset');
    expect(walk({ from: pods.cache1.ip, to: '192.168.50.1', port: 22 }).verdict).toBe('reset');
    expect(walk({ from: pods.cache1.ip, to: '192.168.50.2', port: 22 }).verdict).toBe('reset');
  });
  test('but names, and their own network', () => {
    expect(walk({ from: pods.cache1.ip, to: dnsAddress, protocol: 'udp', port: 53 }).verdict).toBe('delivered');
    expect(walk({ from: pods.cache1.ip, to: pods.api1.ip }).verdict).toBe('forwarded');
    expect(walk({ from: pods.cache1.ip, to: pods.db1.ip }).verdict).toBe('forwarded');
  });
  test('a pod on an internal and another network goes out by the other', () => {
    expect(walk({ from: pods.api1.ip, to: internet }).verdict).toBe('forwarded');
  });
});
