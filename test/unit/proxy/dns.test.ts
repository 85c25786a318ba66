import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FakeClock } from '../../../lib/clock.ts';
import { answer } from '../../../proxy/dns/answer.ts';
import { dnsType, encodeAnswer, encodeMalformed, parseQuery, rcode } from '../../../proxy/dns/message.ts';
import type { Query } from '../../../proxy/dns/message.ts';
import { Names } from '../../../proxy/dns/names.ts';
import { parseResolvConf, resolversOf } from '../../../proxy/dns/resolvers.ts';
import { readReply, writeQuery } from './dns-client.ts';
import { network, node, pod, pods, service, shop, table } from './fixture.ts';

function namesOf(...tables: readonly Parameters<Names['update']>[0][]): Names {
  const names = new Names();
  for (const each of tables) names.update(each);
  return names;
}

function queryFor(name: string, type: number = dnsType.a, over: { class?: number; opcode?: number } = {}): Query {
  const parsed = parseQuery(writeQuery({ id: 1, name, type, ...over }));
  if (parsed.kind !== 'query') throw new Error(parsed.kind);
  return parsed.query;
}

/** What a pod is told, as text: `10.48.0.1`, `NXDOMAIN`, `forward`, … */
function ask(asker: string, name: string, type: number = dnsType.a, names = namesOf(shop), turn = 0): string {
  const result = answer(queryFor(name, type), { names, asker, turn });
  if (result.kind === 'forward') return 'forward';
  if (result.rcode !== rcode.noError) return { [rcode.nameError]: 'NXDOMAIN', [rcode.serverFailure]: 'SERVFAIL', [rcode.refused]: 'REFUSED', [rcode.notImplemented]: 'NOTIMP', [rcode.formatError]: 'FORMERR' }[result.rcode];
  return result.records.map((record) => (record.type === 'a' ? [...record.address].join('.') : record.name)).join(' ') || 'nothing';
}

const { web1, api1, db1, cache1, other1 } = pods;

describe('who asks decides', () => {
  test('names of the outside are asked of the name servers that the pod has for itself', () => {
    const table = { ...shop, pods: new Map([...shop.pods, [web1.id, { ...web1, dns: ['10.9.9.9'] }]]) };
    const outside = (asker: string) => answer(queryFor('example.org', dnsType.a), { names: namesOf(table), asker, turn: 0 });
    expect(outside(web1.ip)).toEqual({ kind: 'forward', servers: ['10.9.9.9'] });
    expect(outside(api1.ip)).toEqual({ kind: 'forward' });
    expect(ask(web1.ip, 'web', dnsType.a, namesOf(table))).toBe('10.48.0.1');
  });

  test.each([
    ['service of the own stack', web1, 'web', '10.48.0.1'],
    ['in capitals', web1, 'WEB', '10.48.0.1'],
    ['its alias on a shared network', web1, 'www', '10.48.0.1'],
    ['service.stack', web1, 'web.shop', '10.48.0.1'],
    ['stack_service', web1, 'shop_web', '10.48.0.1'],
    ['the address of the network they share', web1, 'api', '10.48.0.3'],
    ['the address of the network they share, other network', db1, 'api', '10.48.0.2'],
    ['the first network of the service when they share several', api1, 'api', '10.48.0.2'],
    ['no endpoints yet: the address all the same', web1, 'idle', '10.48.0.5'],
    ['all endpoints', web1, 'tasks.web', '10.32.1.11 10.32.2.11 10.32.1.12'],
    ['all endpoints by full name', web1, 'tasks.shop_web', '10.32.1.11 10.32.2.11 10.32.1.12'],
    ['endpoint mode dnsrr', api1, 'cache', '10.32.1.41'],
    ['host name of a pod', web1, 'api-host', '10.32.1.21'],
    ['service.slot of a pod', web1, 'shop_api.1', '10.32.1.21'],
    ['pod by id', web1, 'api1', '10.32.1.21'],
    ['itself', web1, 'web1', '10.32.1.11'],
    ['same short name, the own stack’s', other1, 'web', '10.48.0.6'],
    ['same stack, no shared network', web1, 'db', 'NXDOMAIN'],
    ['same stack, alias elsewhere', web1, 'postgres', 'NXDOMAIN'],
    ['same stack, tasks elsewhere', web1, 'tasks.db', 'NXDOMAIN'],
    ['other stack by full name', other1, 'shop_web', 'NXDOMAIN'],
    ['other stack by service.stack', other1, 'web.shop', 'NXDOMAIN'],
    ['other stack by short name', other1, 'api', 'NXDOMAIN'],
    ['other stack’s pod', other1, 'shop_api.1', 'NXDOMAIN'],
    ['alias with dots on a shared network', web1, 'api.example.com', '10.48.0.3'],
    ['same stack, alias with dots elsewhere', db1, 'api.example.com', 'NXDOMAIN'],
    ['other stack’s alias with dots hides no public name', other1, 'api.example.com', 'forward'],
    ['the outside', web1, 'example.org', 'forward'],
    ['a name of one label nobody has', web1, 'printer', 'forward'],
    ['tasks. of the outside', web1, 'tasks.example.org', 'forward'],
    ['the outside from an internal network', db1, 'example.org', 'NXDOMAIN'],
    ['the root', web1, '', 'forward'],
  ] as const)('%s', (_, who, name, expected) => {
    expect(ask(who.ip, name)).toBe(expected);
  });

  test('a pod not listed yet shall ask again, strangers shall not', () => {
    expect(ask('10.32.1.99', 'web')).toBe('SERVFAIL');
    expect(ask('203.0.113.5', 'example.org')).toBe('REFUSED');
    expect(ask('nonsense', 'example.org')).toBe('REFUSED');
  });

  test('IPv6 addresses: the name is there, an address is not', () => {
    expect(ask(web1.ip, 'web', dnsType.aaaa)).toBe('nothing');
    expect(ask(web1.ip, 'db', dnsType.aaaa)).toBe('NXDOMAIN');
    expect(ask(web1.ip, 'web', dnsType.any)).toBe('10.48.0.1');
    expect(ask(web1.ip, 'web', 15)).toBe('nothing');
  });

  test('endpoints take turns', () => {
    const names = namesOf(shop);
    expect([0, 1, 2, 3].map((turn) => ask(web1.ip, 'tasks.web', dnsType.a, names, turn).split(' ')[0])).toEqual(['10.32.1.11', '10.32.2.11', '10.32.1.12', '10.32.1.11']);
  });

  test('addresses back to names', () => {
    expect(ask(web1.ip, '21.1.32.10.in-addr.arpa', dnsType.ptr)).toBe('shop_api.1');
    expect(ask(web1.ip, '1.0.48.10.in-addr.arpa', dnsType.ptr)).toBe('web.shop');
    expect(ask(web1.ip, '31.2.32.10.in-addr.arpa', dnsType.ptr)).toBe('NXDOMAIN');
    expect(ask(web1.ip, '4.0.48.10.in-addr.arpa', dnsType.ptr)).toBe('NXDOMAIN');
    expect(ask(web1.ip, '200.1.32.10.in-addr.arpa', dnsType.ptr)).toBe('NXDOMAIN');
    expect(ask(web1.ip, '8.8.8.8.in-addr.arpa', dnsType.ptr)).toBe('forward');
    expect(ask(db1.ip, '8.8.8.8.in-addr.arpa', dnsType.ptr)).toBe('NXDOMAIN');
    expect(ask(web1.ip, 'x.8.8.8.in-addr.arpa', dnsType.ptr)).toBe('forward');
    // The name leads back to the address.
    expect(ask(web1.ip, 'shop_api.1')).toBe('10.32.1.21');
  });

  test('other operations and classes', () => {
    const view = { names: namesOf(shop), asker: web1.ip, turn: 0 };
    expect(answer(queryFor('web', dnsType.a, { opcode: 2 }), view)).toMatchObject({ rcode: rcode.notImplemented });
    expect(answer(queryFor('version.bind', 16, { class: 3 }), view)).toMatchObject({ rcode: rcode.refused });
  });
});

describe('a network shared by stacks', () => {
  const shared = table({
    nodes: [node('n1', 1)],
    networks: [network('proxy', 1), network('a_x', 2)],
    pods: [pod('a1', 'a_web', 1, 'n1', '10.32.1.2', ['proxy', 'a_x']), pod('b1', 'b_api', 1, 'n1', '10.32.1.3', ['proxy']), pod('c1', 'c_api', 1, 'n1', '10.32.1.4', ['proxy'])],
    services: [
      service('a_web', { networks: [{ network: 'a_x', vip: '10.48.0.1', aliases: [] }, { network: 'proxy', vip: '10.48.0.2', aliases: ['front'] }] }),
      service('b_api', { networks: [{ network: 'proxy', vip: '10.48.0.3', aliases: [] }] }),
      service('c_api', { networks: [{ network: 'proxy', vip: '10.48.0.4', aliases: ['front'] }] }),
    ],
  });
  test.each([
    ['10.32.1.2', 'b_api', '10.48.0.3'],
    ['10.32.1.2', 'api.c', '10.48.0.4'],
    ['10.32.1.2', 'api', '10.48.0.3 10.48.0.4'],
    ['10.32.1.3', 'api', '10.48.0.3'],
    ['10.32.1.4', 'api', '10.48.0.4'],
    ['10.32.1.3', 'web', '10.48.0.2'],
    ['10.32.1.3', 'front', '10.48.0.2 10.48.0.4'],
    ['10.32.1.4', 'front', '10.48.0.4'],
  ])('%s asks for %s', (asker, name, expected) => {
    expect(ask(asker, name, dnsType.a, namesOf(shared))).toBe(expected);
  });
});

test('the index after changes is the index of a fresh start', () => {
  const web = shop.services.get('shop_web');
  if (!web) throw new Error('no web');
  const renamed = { ...shop, services: new Map(shop.services).set('shop_web', { ...web, networks: [{ network: 'shop_back', vip: '10.48.0.9', aliases: ['later'] }] }), pods: new Map([...shop.pods].filter(([id]) => id !== 'api1')) };
  const names = ['web', 'www', 'later', 'shop_web', 'tasks.web', 'api-host', 'api1', 'api'];
  const gone = namesOf(shop, renamed);
  const back = namesOf(shop, renamed, shop);
  for (const who of [web1.ip, cache1.ip, api1.ip]) {
    for (const name of names) {
      expect(`${who} ${name} ${ask(who, name, dnsType.a, gone)}`).toBe(`${who} ${name} ${ask(who, name, dnsType.a, namesOf(renamed))}`);
      expect(`${who} ${name} ${ask(who, name, dnsType.a, back)}`).toBe(`${who} ${name} ${ask(who, name)}`);
    }
  }
});

describe('messages', () => {
  const label = fc.stringMatching(/^[a-zA-Z0-9_-]{1,20}$/);
  const someName = fc.array(label, { maxLength: 8 }).map((labels) => labels.join('.'));

  test('questions are read as written, and answers repeat them letter by letter', () => {
    fc.assert(fc.property(fc.nat(0xffff), someName, fc.nat(0xffff), fc.boolean(), (id, name, type, edns) => {
      const parsed = parseQuery(writeQuery({ id, name, type, ...(edns ? { edns: 4096 } : {}) }));
      if (parsed.kind !== 'query') throw new Error(parsed.kind);
      expect(parsed.query).toMatchObject({ id, edns, udpSize: edns ? 1232 : 512, question: { name: name.toLowerCase(), type, class: 1 } });
      const reply = readReply(encodeAnswer(parsed.query, rcode.noError, [], 512));
      expect(reply).toMatchObject({ id, rcode: 0, question: name, type, authoritative: true, truncated: false });
    }));
  });

  test('any bytes at all: never an exception, never a loop', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      parseQuery(Buffer.from(bytes));
    }), { numRuns: 2000 });
  });

  test('a valid question with any part changed', () => {
    const original = writeQuery({ id: 7, name: 'some.longer.name.example.org', type: 1, edns: 1232 });
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(original.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }), fc.nat(original.length), (changes, end) => {
      const bytes = Buffer.from(original);
      for (const [at, value] of changes) bytes[at] = value;
      const parsed = parseQuery(bytes.subarray(0, end));
      if (parsed.kind === 'query') encodeAnswer(parsed.query, rcode.noError, [], 512);
    }), { numRuns: 2000 });
  });

  test.each([
    ['a pointer to itself', [0xc0, 12]],
    ['a pointer forward', [0xc0, 40]],
    ['two that lead to one another', [1, 97, 0xc0, 12]],
    ['beyond the end', [63, 97]],
    ['an unknown kind of label', [0x80, 1, 0]],
    ['without end', []],
  ])('%s is malformed', (_, name) => {
    const bytes = Buffer.concat([writeQuery({ id: 9, name: '', type: 1 }).subarray(0, 12), Buffer.from(name), Buffer.from([0, 1, 0, 1])]);
    expect(parseQuery(name.length === 0 ? bytes.subarray(0, 12) : bytes)).toEqual({ kind: 'malformed', id: 9, opcode: 0 });
  });

  test('more than one question, answers and rubbish', () => {
    const two = writeQuery({ id: 3, name: 'a', type: 1 });
    two.writeUInt16BE(2, 4);
    expect(parseQuery(two).kind).toBe('malformed');
    const reply = writeQuery({ id: 3, name: 'a', type: 1 });
    reply.writeUInt16BE(0x8000, 2);
    expect(parseQuery(reply).kind).toBe('ignored');
    expect(parseQuery(Buffer.from('short')).kind).toBe('ignored');
    expect(readReply(encodeMalformed(3, 0))).toMatchObject({ id: 3, rcode: rcode.formatError });
  });

  test('a dot inside a label is not a border between labels', () => {
    const bytes = writeQuery({ id: 1, name: 'axb', type: 1 });
    bytes[14] = 46;
    const parsed = parseQuery(bytes);
    expect(parsed).toMatchObject({ kind: 'query', query: { question: { name: 'a\\.b' } } });
  });

  test('what does not fit into a datagram is left out and said', () => {
    const records = Array.from({ length: 100 }, (_, i) => ({ type: 'a' as const, address: Uint8Array.of(10, 0, 0, i), ttl: 0 }));
    const over = (edns: number | undefined, most?: number) => {
      const parsed = parseQuery(writeQuery({ id: 1, name: 'tasks.web', type: 1, ...(edns === undefined ? {} : { edns }) }));
      if (parsed.kind !== 'query') throw new Error(parsed.kind);
      const bytes = encodeAnswer(parsed.query, rcode.noError, records, most ?? parsed.query.udpSize);
      return { size: bytes.length, ...readReply(bytes) };
    };
    const plain = over(undefined);
    expect(plain.truncated).toBe(true);
    expect(plain.size).toBeLessThanOrEqual(512);
    const large = over(4096);
    expect(large.truncated).toBe(true);
    expect(large.size).toBeLessThanOrEqual(1232);
    expect(large.addresses.length).toBeGreaterThan(plain.addresses.length);
    const tcp = over(undefined, Infinity);
    expect(tcp.truncated).toBe(false);
    expect(tcp.addresses).toHaveLength(100);
  });
});

describe('the host’s name servers', () => {
  test('are read, without ourselves', () => {
    const text = '# comment\nsearch lan\nnameserver 127.0.0.53\n nameserver\t169.254.1.1 # us\nnameserver fe80::1;x\nnameserver ::1\nnameserver bogus\noptions ndots:2\n';
    expect(parseResolvConf(text, '169.254.1.1')).toEqual(['127.0.0.53', 'fe80::1', '::1']);
  });
  test('a fixed list leaves us out too; a missing file is nobody', () => {
    expect(resolversOf(['169.254.1.1', '1.2.3.4'], '169.254.1.1', new FakeClock())()).toEqual(['1.2.3.4']);
    expect(resolversOf({ file: '/nonexistent/resolv.conf' }, '169.254.1.1', new FakeClock())()).toEqual([]);
  });
});
