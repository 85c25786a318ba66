import { mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeClock } from '../../../lib/clock.ts';
import { silentLog } from '../../../lib/log.ts';
import { emptyTable } from '../../../model/table.ts';
import type { ServiceTable, TableUpdate } from '../../../model/table.ts';
import { FakeDataPlane } from '../../../proxy/fake.ts';
import { runProxy } from '../../../proxy/main.ts';
import { loadTable, saveTable } from '../../../proxy/saved.ts';
import { decodeChange } from '../../../proxy/stream.ts';
import type { TableStream } from '../../../proxy/stream.ts';
import { pod, service, shop, table } from './fixture.ts';

let directory: string;
let stop: AbortController;
const running: Promise<void>[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 't-proxy-unit-'));
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  // It saves once more at its end.
  await Promise.all(running.splice(0));
  rmSync(directory, { recursive: true, force: true });
});

/** A stream that a test speaks on. */
class TestStream implements TableStream {
  readonly acknowledged: number[] = [];
  readonly #queue: (TableUpdate | Error | null)[] = [];
  #wake: (() => void) | undefined;

  send(...items: readonly (TableUpdate | Error | null)[]): void {
    this.#queue.push(...items);
    this.#wake?.();
  }

  async *updates(): AsyncGenerator<TableUpdate> {
    for (;;) {
      const item = this.#queue.shift();
      if (item === null) return;
      if (item instanceof Error) throw item;
      if (item) yield item;
      else await new Promise<void>((resolve) => { this.#wake = resolve; });
    }
  }

  acknowledge(revision: number): void {
    this.acknowledged.push(revision);
  }

  close(): void {
    this.send(null);
  }
}

function full(table: ServiceTable, revision: number): TableUpdate {
  return { revision, full: true, services: Object.fromEntries(table.services), pods: Object.fromEntries(table.pods), nodes: Object.fromEntries(table.nodes), networks: Object.fromEntries(table.networks) };
}

function change(revision: number, services: TableUpdate['services'] = {}): TableUpdate {
  return { revision, full: false, services, pods: {}, nodes: {}, networks: {} };
}

interface Run {
  readonly plane: FakeDataPlane;
  readonly streams: TestStream[];
  readonly clock: FakeClock;
  readonly done: Promise<void>;
}

function start(streams: readonly TestStream[], plane = new FakeDataPlane()): Run {
  const clock = new FakeClock();
  const opened: TestStream[] = [];
  const left = [...streams];
  const done = runProxy({
    nodeId: 'n1', cgroupRoot: '', bpfDir: '', mode: 'ebpf', stateDir: directory, resolvers: [],
    // An address that is certainly this machine's, and a port of the kernel's choice.
    dnsAddress: '127.0.0.1', dnsPort: 0,
    clock, log: silentLog, signal: stop.signal, random: () => 1, dataPlane: plane,
    connect: () => {
      const next = left.shift();
      if (!next) throw new Error('no master');
      opened.push(next);
      return next;
    },
  });
  running.push(done);
  return { plane, streams: opened, clock, done };
}

/** Lets everything that can happen without time passing happen. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => { setImmediate(resolve); });
}

describe('following the table', () => {
  test('a revision is acknowledged when the kernel has it, and not before', async () => {
    const stream = new TestStream();
    const plane = new FakeDataPlane();
    plane.failure = new Error('the kernel is not in the mood');
    const { clock } = start([stream], plane);
    stream.send(full(shop, 7));
    await settle();
    expect(stream.acknowledged).toEqual([]);
    plane.failure = undefined;
    await clock.advance(100);
    await settle();
    expect(stream.acknowledged).toEqual([7]);
    expect(plane.applied.at(-1)?.services.size).toBe(shop.services.size);
  });

  test('a burst is applied together and acknowledged by its last', async () => {
    const stream = new TestStream();
    const { plane } = start([stream]);
    stream.send(full(shop, 1));
    await settle();
    const before = plane.applied.length;
    for (let revision = 2; revision <= 101; revision++) stream.send(change(revision, { [`s_${revision}`]: { id: `s_${revision}`, stack: 's', name: String(revision), networks: [], ports: [], endpoints: [] } }));
    await settle();
    expect(stream.acknowledged.at(-1)).toBe(101);
    expect(plane.applied.length - before).toBeLessThan(50);
    expect(plane.applied.at(-1)?.services.size).toBe(shop.services.size + 100);
  });

  test('a change of nothing is acknowledged too: that is how masters ask', async () => {
    const stream = new TestStream();
    start([stream]);
    stream.send(full(shop, 1));
    await settle();
    stream.send(change(9));
    await settle();
    expect(stream.acknowledged).toEqual([1, 9]);
  });

  test('it connects again with growing pauses, and acknowledges anew', async () => {
    const [first, second] = [new TestStream(), new TestStream()];
    const { streams, clock, plane } = start([first, second]);
    first.send(full(shop, 50));
    await settle();
    first.send(new Error('cut'));
    await settle();
    expect(streams).toHaveLength(1);
    await clock.advance(50);
    await settle();
    expect(streams).toHaveLength(2);
    // Another master, whose revisions are lower.
    second.send(full(emptyTable, 3));
    await settle();
    expect(second.acknowledged).toEqual([3]);
    expect(plane.applied.at(-1)?.services.size).toBe(0);
    second.send(null);
    await settle();
    for (const pause of [50, 100, 200, 400, 800, 1600, 2000, 2000]) {
      await settle();
      expect(clock.sleeping).toBeGreaterThan(0);
      await clock.advance(pause);
    }
  });

  test('a stream that begins with a change is not to be trusted', async () => {
    const stream = new TestStream();
    const { plane } = start([stream]);
    stream.send(change(5, { x: null }));
    await settle();
    expect(plane.applied).toEqual([]);
    expect(stream.acknowledged).toEqual([]);
  });
});

describe('the saved table', () => {
  test('is what a start without a master goes on with, after a moment', async () => {
    await saveTable(directory, { revision: 12, table: shop });
    const { plane, clock } = start([]);
    await settle();
    expect(plane.applied).toEqual([]);
    for (let i = 0; i < 30; i++) {
      await clock.advance(50);
      await settle();
    }
    expect(plane.applied[0]).toEqual(shop);
  });

  test('is not put into the kernel when a master answers in time', async () => {
    await saveTable(directory, { revision: 12, table: shop });
    const stream = new TestStream();
    const { plane, clock } = start([stream]);
    stream.send(full(emptyTable, 13));
    await settle();
    await clock.advance(5000);
    await settle();
    expect(plane.applied.every((table) => table.services.size === 0)).toBe(true);
  });

  test('nothing known, nothing done: what the kernel has is left alone', async () => {
    const { plane, clock } = start([]);
    await settle();
    await clock.advance(20_000);
    expect(plane.applied).toEqual([]);
  });

  test('holds the last table when the proxy ends', async () => {
    const stream = new TestStream();
    const { done } = start([stream]);
    stream.send(full(emptyTable, 1));
    await settle();
    stream.send(full(shop, 2));
    await settle();
    stop.abort();
    await done;
    expect(loadTable(directory, silentLog)).toEqual({ revision: 2, table: shop });
    expect(readdirSync(directory)).toEqual(['table.json']);
  });

  test('that cannot be read is none', async () => {
    expect(loadTable(directory, silentLog)).toBeUndefined();
    writeFileSync(join(directory, 'table.json'), '{"revision": 3, "services"');
    expect(loadTable(directory, silentLog)).toBeUndefined();
    await saveTable(directory, { revision: 4, table: shop });
    expect(JSON.parse(readFileSync(join(directory, 'table.json'), 'utf8'))).toMatchObject({ revision: 4, full: true });
    expect(loadTable(directory, silentLog)?.table).toEqual(shop);
  });
});

describe('updates off the wire', () => {
  const wire = (table: ServiceTable) => Object.fromEntries([...table.services].map(([key, value]) => [key, JSON.stringify(value)]));

  test('what is as known keeps its identity', () => {
    const update = decodeChange({ revision: 1, full: true, services: wire(shop), pods: {}, nodes: {}, networks: {} }, shop);
    for (const [key, value] of Object.entries(update.services)) expect(value).toBe(shop.services.get(key));
  });

  test('what is new, changed or gone', () => {
    const web = shop.services.get('shop_web');
    const changed = { ...web, endpoints: [] };
    const update = decodeChange({ revision: 1, full: false, services: { shop_web: JSON.stringify(changed), shop_db: '', __proto__x: '{"id":"x"}' }, pods: {}, nodes: {}, networks: {} }, shop);
    expect({ ...update.services }).toEqual({ shop_web: changed, shop_db: null, __proto__x: { id: 'x' } });
  });
});

describe('the table of the host\'s own manifests', () => {
  const own = table({
    services: [service('edge_web', { pods: [pod('s1', 'edge_web', 1, 'here', '10.31.0.1', ['manifest/edge'])] })],
    pods: [pod('s1', 'edge_web', 1, 'here', '10.31.0.1', ['manifest/edge'])],
  });
  const localDir = () => join(directory, 'local');
  const leave = (of: ServiceTable, revision: number) => {
    mkdirSync(localDir(), { recursive: true });
    // As the agent does it.
    writeFileSync(join(localDir(), 'table.json.tmp'), JSON.stringify(full(of, revision)));
    renameSync(join(localDir(), 'table.json.tmp'), join(localDir(), 'table.json'));
  };
  const applied = () => {
    try {
      return (JSON.parse(readFileSync(join(localDir(), 'applied.json'), 'utf8')) as { revision: number }).revision;
    } catch {
      return 0;
    }
  };
  async function until(what: () => boolean): Promise<void> {
    const end = performance.now() + 10_000;
    while (!what()) {
      if (performance.now() > end) throw new Error(`it did not come to be: ${what.toString()}`);
      await new Promise((resolve) => { setImmediate(resolve); });
    }
  }
  const begin = (connect: (() => TableStream) | null) => {
    const clock = new FakeClock();
    const plane = new FakeDataPlane();
    running.push(runProxy({
      nodeId: 'n1', cgroupRoot: '', bpfDir: '', mode: 'ebpf', stateDir: directory, resolvers: [], dnsAddress: '127.0.0.1', dnsPort: 0, clock, log: silentLog, signal: stop.signal, random: () => 1, dataPlane: plane,
      localDir: localDir(), ...(connect ? { connect } : {}),
    }));
    return { clock, plane };
  };
  /** What this kernel was told last. */
  const last = (plane: FakeDataPlane) => plane.applied.at(-1);

  test('stands alone where there is no master, is followed, and acknowledged', async () => {
    leave(own, 4);
    const { clock, plane } = begin(null);
    await settle();
    await clock.advance(0);
    await until(() => applied() === 4);
    expect(last(plane)?.services.get('local/edge_web')?.endpoints).toEqual([{ pod: 's1', ip: '10.31.0.1', node: 'n1' }]);
    leave(emptyTable, 5);
    await until(() => applied() === 5);
    expect(last(plane)?.services.size).toBe(0);
    expect(readdirSync(directory)).not.toContain('table.json');
  });

  test('is put beside the cluster\'s, whichever comes first', async () => {
    const stream = new TestStream();
    const { plane } = begin(() => stream);
    await settle();
    // Rules of an earlier run are better than none: the cluster's table is not known yet.
    leave(own, 1);
    await settle();
    expect(plane.applied).toEqual([]);
    stream.send(full(shop, 7));
    await until(() => applied() === 1);
    expect(stream.acknowledged).toEqual([7]);
    expect(last(plane)?.services.get('local/edge_web')).toBeDefined();
    expect(last(plane)?.services.get('shop_web')).toEqual(shop.services.get('shop_web'));
    leave(emptyTable, 2);
    await until(() => applied() === 2);
    expect([...(last(plane)?.services.keys() ?? [])]).toEqual([...shop.services.keys()]);
    stream.send(change(8, { shop_web: null }));
    await until(() => stream.acknowledged.includes(8));
  });

  test('with a master that never spoke it is waited for a moment, and then gone on without', async () => {
    leave(own, 3);
    const { clock, plane } = begin(() => {
      throw new Error('no master');
    });
    await settle();
    expect(plane.applied).toEqual([]);
    await clock.advance(1000);
    await until(() => applied() === 3);
    expect(last(plane)?.pods.get('local/s1')).toMatchObject({ node: 'n1' });
  });

  test('a torn file changes nothing', async () => {
    leave(own, 3);
    const { clock, plane } = begin(null);
    await settle();
    await clock.advance(0);
    await until(() => applied() === 3);
    writeFileSync(join(localDir(), 'table.json'), '{"revision": 9');
    await settle();
    await clock.advance(10_000);
    await settle();
    expect(last(plane)?.pods.has('local/s1')).toBe(true);
    expect(applied()).toBe(3);
  });
});
