/** nf_tables and conntrack by raw netlink, in a namespace of their own and against what `nft` says. */
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync } from 'node:fs';
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Conntrack, udp } from '../../../../lib/linux/conntrack.ts';
import { inNetns } from '../../../../lib/linux/netns.ts';
import { NftSocket, NftTransaction, nftHook, nftSetFlag, nftVerdictType } from '../../../../lib/linux/nfnetlink.ts';
import { dnat, immediate, lookupInto, numgen, payload, nftPayload, register, verdict } from '../../../../lib/linux/nft-expressions.ts';
import { check, libc, socketDomain, socketType } from '../../../../lib/linux/libc.ts';

const name = `t-proxy-${process.pid}-nft`;
const table = 't-proxy';
let netns: number;
let nft: NftSocket;

function sh(command: string): string {
  return execFileSync('sh', ['-ec', command], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function remove(): void {
  for (const left of readdirSync('/run/netns').filter((each) => /^t-proxy-\d+-nft$/.test(each))) {
    const pid = /\d+/.exec(left)?.[0];
    if (left === name || !existsSync(`/proc/${pid}`)) sh(`ip netns del ${left}`);
  }
}

function listed(): string {
  return sh(`ip netns exec ${name} nft list ruleset`);
}

beforeAll(() => {
  if (existsSync('/run/netns')) remove();
  sh(`ip netns add ${name} && ip -n ${name} link set lo up`);
  netns = openSync(`/run/netns/${name}`, 'r');
  nft = inNetns(netns, () => new NftSocket());
});
afterAll(() => {
  nft[Symbol.dispose]();
  closeSync(netns);
  remove();
});
beforeEach(() => {
  nft.commit(new NftTransaction(table).deleteTable());
});

const ip4Type = 7;
const markType = 19;
const one = Buffer.from([10, 0, 0, 1]);
const two = Buffer.from([10, 0, 0, 2]);

function addSet(transaction: NftTransaction): NftTransaction {
  return transaction.addSet({ name: 's', flags: 0, keyType: ip4Type, keyLength: 4 });
}

describe('transactions', () => {
  test('make tables, chains, sets and rules that other tools read', () => {
    const transaction = addSet(new NftTransaction(table)).addElements('s', [{ key: one }, { key: two }])
      .addBaseChain('in', { type: 'nat', hook: nftHook.prerouting, priority: -100 }).addChain('way')
      .addRule('in', [verdict({ verdict: 'jump', chain: 'way' })]);
    nft.commit(transaction);
    expect(nft.hasTable(table)).toBe(true);
    expect([...nft.chains(table)].sort()).toEqual(['in', 'way']);
    expect(listed()).toMatch(/elements = \{ 10\.0\.0\.1, 10\.0\.0\.2 \}[^]*type nat hook prerouting priority dstnat[^]*jump way/);
  });

  test('are made whole or not at all', () => {
    nft.commit(addSet(new NftTransaction(table)).addElements('s', [{ key: one }]));
    const bad = new NftTransaction(table).addElements('s', [{ key: two }]).addRule('no-such-chain', [verdict({ verdict: 'accept' })]);
    expect(() => nft.commit(bad)).toThrow(/ENOENT/);
    expect(nft.elements(table, 's').map(({ key }) => Buffer.from(key))).toEqual([one]);
  });

  test('replace a table that is there, and one that is not', () => {
    for (const element of [one, two]) {
      nft.commit(addSet(new NftTransaction(table).replaceTable()).addElements('s', [{ key: element }]));
      expect(nft.elements(table, 's').map(({ key }) => Buffer.from(key))).toEqual([element]);
    }
  });

  test('change the value of a key', () => {
    const map = { name: 'm', flags: nftSetFlag.map, keyType: ip4Type, keyLength: 4, dataType: ip4Type, dataLength: 4 };
    nft.commit(new NftTransaction(table).addSet(map).addElements('m', [{ key: one, data: one }]));
    nft.commit(new NftTransaction(table).deleteElements('m', [{ key: one }]).addElements('m', [{ key: one, data: two }]));
    expect(nft.elements(table, 'm')).toEqual([{ key: one, data: two }]);
    expect(() => nft.commit(new NftTransaction(table).deleteElements('m', [{ key: two }]))).toThrow(/ENOENT/);
  });

  test('carry many elements, verdicts and intervals', () => {
    const many = Array.from({ length: 5000 }, (_, i) => ({ key: Buffer.from([10, 1, i >> 8, i & 255]) }));
    nft.commit(addSet(new NftTransaction(table)).addElements('s', many));
    expect(nft.elements(table, 's')).toHaveLength(5000);
    nft.commit(new NftTransaction(table).addChain('way')
      .addSet({ name: 'v', flags: nftSetFlag.map, keyType: ip4Type, keyLength: 4, dataType: nftVerdictType, dataLength: 0 })
      .addElements('v', [{ key: one, data: { verdict: 'goto', chain: 'way' } }])
      .addSet({ name: 'i', flags: nftSetFlag.interval, keyType: ip4Type, keyLength: 4 })
      // Neighbours, as subnets of hosts are.
      .addElements('i', [{ key: Buffer.from([10, 1, 0, 0]) }, { key: Buffer.from([10, 2, 0, 0]), end: true }, { key: Buffer.from([10, 2, 0, 0]) }, { key: Buffer.from([10, 3, 0, 0]), end: true }]));
    expect(nft.elements(table, 'v')).toEqual([{ key: one, data: { verdict: 'goto', chain: 'way' } }]);
    expect(listed()).toMatch(/10\.1\.0\.0\/16, 10\.2\.0\.0\/16|10\.1\.0\.0-10\.2\.255\.255/);
    nft.commit(new NftTransaction(table).deleteElements('i', [{ key: Buffer.from([10, 1, 0, 0]) }, { key: Buffer.from([10, 2, 0, 0]), end: true }]));
    expect(listed()).toMatch(/elements = \{ 10\.2\.0\.0\/16 \}/);
  });

  test('a table that is not there', () => {
    expect(nft.hasTable('t-proxy-none')).toBe(false);
    expect(nft.chains('t-proxy-none')).toEqual([]);
    expect(() => nft.elements('t-proxy-none', 's')).toThrow(/ENOENT/);
  });
});

describe('flows', () => {
  const loopback = (last: number) => Buffer.from([127, 0, 0, last]);
  let conntrack: Conntrack;
  const open: Socket[] = [];

  beforeAll(() => { conntrack = inNetns(netns, () => new Conntrack()); });
  afterAll(() => {
    conntrack[Symbol.dispose]();
    for (const socket of open) socket.close();
  });

  /** A UDP socket in the namespace; Node takes it over by its descriptor. */
  function socketAt(address: string, port: number): Socket {
    const fd = inNetns(netns, () => {
      const made = check(libc.socket(socketDomain.inet, socketType.datagram | socketType.closeOnExec, 0), 'socket');
      const target = Buffer.alloc(16);
      target.writeUInt16LE(socketDomain.inet, 0);
      target.writeUInt16BE(port, 2);
      target.set(address.split('.').map(Number), 4);
      check(libc.bind(made, target, target.length), 'bind');
      return made;
    });
    const socket = createSocket('udp4');
    open.push(socket);
    socket.bind({ fd });
    return socket;
  }

  test('are forgotten by the endpoint they were led to, or by a port they asked for in vain', async () => {
    const serve = (last: number) => {
      const server = socketAt(`127.0.0.${last}`, 7000);
      server.on('message', (_, from) => server.send(String(last), from.port, from.address));
    };
    serve(11);
    serve(12);
    const client = socketAt('127.0.0.1', 0);
    const ask = async () => {
      client.send('?', 7000, '127.0.0.100');
      const [data] = (await once(client, 'message', { signal: AbortSignal.timeout(5000) })) as [Buffer];
      return data.toString();
    };
    const lead = (last: number) => nft.commit(new NftTransaction(table).replaceTable()
      .addSet({ name: 'm', flags: nftSetFlag.map, keyType: (ip4Type << 6) | markType, keyLength: 8, dataType: ip4Type, dataLength: 4 })
      .addElements('m', [{ key: Buffer.from([127, 0, 0, 100, 0, 0, 0, 0]), data: loopback(last) }])
      .addBaseChain('out', { type: 'nat', hook: nftHook.output, priority: -100 })
      .addRule('out', [payload(register(0), nftPayload.ipDestination), numgen(register(1), 1, 'inc'), lookupInto('m', register(0), register(8)), dnat(register(8))])
      .addBaseChain('back', { type: 'filter', hook: nftHook.output, priority: 0 })
      .addRule('back', [immediate(register(0), loopback(1)), verdict({ verdict: 'accept' })]));

    lead(11);
    expect(await ask()).toBe('11');
    lead(12);
    // The flow knows its way.
    expect(await ask()).toBe('11');
    expect(conntrack.forgetTranslatedTo([loopback(12)], udp)).toBe(0);
    expect(conntrack.forgetTranslatedTo([], udp)).toBe(0);
    expect(conntrack.forgetTranslatedTo([loopback(11), loopback(13)], 6)).toBe(0);
    expect(conntrack.forgetTranslatedTo([loopback(11), loopback(13)], udp)).toBe(1);
    expect(await ask()).toBe('12');

    for (const port of [7999, 7998]) await new Promise((resolve) => { client.send('?', port, '127.0.0.55', resolve); });
    expect(conntrack.forgetUntranslated(7999, 6)).toBe(0);
    expect(conntrack.forgetUntranslated(7999, udp)).toBe(1);
    expect(conntrack.forgetUntranslated(7999, udp)).toBe(0);
    expect(conntrack.forgetUntranslated(7000, udp)).toBe(0);
  });
});
