/** What every data plane does, the fake as well as this kernel's (in a namespace of its own). */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { emptyTable } from '../../../model/table.ts';
import type { ServiceTable } from '../../../model/table.ts';
import { FakeDataPlane } from '../../../proxy/fake.ts';
import { pods, shop } from '../../unit/proxy/fixture.ts';
import { cgroupMount, end, prefix, removeLeftovers, sh } from './world.ts';
import { tableText } from './peers/plane.ts';

/** The port, with a process boundary in between where the kernel needs one. */
interface Subject {
  apply(table: ServiceTable): Promise<void>;
  /** `key → a, b` lines, sorted. */
  balancers(): Promise<readonly string[]>;
  close(): Promise<void>;
}

function lines(balancers: Iterable<readonly [string, readonly string[]]>): readonly string[] {
  return [...balancers].filter(([key]) => key.startsWith('10.')).map(([key, backends]) => `${key} → ${[...backends].sort().join(', ')}`).sort();
}

async function openFake(): Promise<Subject> {
  const plane = new FakeDataPlane({ nodeId: 'n1', addresses: [], mode: 'ebpf' });
  return { apply: (table) => plane.apply(table), balancers: () => Promise.resolve(lines(plane.balancers())), close: () => Promise.resolve(plane.close()) };
}

async function openLinux(mode: 'ebpf' | 'nftables'): Promise<Subject> {
  const node = join(import.meta.dirname, '../../../node_modules/.bin/node');
  const child: ChildProcess = spawn('nsenter', [`--net=/run/netns/${prefix}plane`, node, join(import.meta.dirname, 'peers/plane.ts'), mode, join(cgroupMount, `${prefix}plane`), `/sys/fs/bpf/${prefix}plane`], { stdio: ['pipe', 'pipe', 'inherit'] });
  const replies = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  const ask = async (message: unknown): Promise<unknown> => {
    child.stdin?.write(`${JSON.stringify(message)}\n`);
    const { value, done } = await replies.next();
    if (done) throw new Error('the data plane ended');
    const reply = JSON.parse(value as string) as { error?: string; result?: unknown };
    if (reply.error) throw new Error(reply.error);
    return reply.result;
  };
  return {
    apply: async (table) => { await ask({ apply: tableText(table) }); },
    balancers: async () => lines((await ask({ balancers: true })) as [string, string[]][]),
    close: () => end(child, 'SIGKILL'),
  };
}

describe.each([
  ['fake', openFake],
  ['ebpf', () => openLinux('ebpf')],
  ['nftables', () => openLinux('nftables')],
] as const)('%s', (name, open) => {
  let subject: Subject;
  beforeEach(async () => {
    if (name !== 'fake') {
      removeLeftovers();
      sh(`ip netns add ${prefix}plane && ip -n ${prefix}plane link set lo up`);
    }
    subject = await open();
  });
  afterEach(async () => {
    await subject.close();
    if (name !== 'fake') removeLeftovers();
  });

  const served = (table: ServiceTable): readonly string[] => [...table.services.values()]
    .flatMap((service) => service.networks.flatMap(({ vip }) => (vip === '' || (name === 'nftables' && service.endpoints.length === 0) ? [] : [`${vip} → ${service.endpoints.map(({ ip }) => ip).sort().join(', ')}`])))
    .sort();

  test('holds what the table says', async () => {
    await subject.apply(shop);
    expect(await subject.balancers()).toEqual(served(shop));
  });

  test('the same again changes nothing', async () => {
    await subject.apply(shop);
    await subject.apply(shop);
    await subject.apply({ ...shop, services: new Map(shop.services) });
    expect(await subject.balancers()).toEqual(served(shop));
  });

  test('follows changes, and forgets what is gone', async () => {
    await subject.apply(emptyTable);
    expect(await subject.balancers()).toEqual([]);
    await subject.apply(shop);
    const web = shop.services.get('shop_web');
    if (!web) throw new Error('no web');
    for (const members of [[pods.web1], [pods.web1, pods.web2, pods.web3], [pods.web3, pods.web2], []]) {
      const next = { ...shop, services: new Map(shop.services).set('shop_web', { ...web, endpoints: members.map((pod) => ({ pod: pod.id, ip: pod.ip, node: pod.node })) }) };
      await subject.apply(next);
      expect(await subject.balancers()).toEqual(served(next));
    }
    const without = { ...shop, services: new Map([...shop.services].filter(([id]) => id !== 'shop_web')) };
    await subject.apply(without);
    expect(await subject.balancers()).toEqual(served(without));
    await subject.apply(emptyTable);
    expect(await subject.balancers()).toEqual([]);
  });

  test.skipIf(name === 'fake')('a new one takes over what an earlier one left', async () => {
    await subject.apply(shop);
    await subject.close();
    subject = await open();
    expect(await subject.balancers()).toEqual(served(shop));
    const without = { ...shop, services: new Map([...shop.services].filter(([id]) => id !== 'shop_api')) };
    await subject.apply(without);
    expect(await subject.balancers()).toEqual(served(without));
  });
});
