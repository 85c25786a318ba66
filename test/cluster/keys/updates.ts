/** `deploy.update_config` and `rollback_config`: what the containers themselves write down while one version takes another's place. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { ServiceListItem } from '../../../model/api.ts';
import type { Row, Theme } from './row.ts';
import { Seen } from './seen.ts';

interface Moment {
  readonly what: 'start' | 'stop';
  readonly version: number;
  readonly slot: number;
  /** Seconds since the machine began. */
  readonly at: number;
}

/** A service of several versions, in a stack of its own. A version fails where a file beside it says so. */
class Rolling {
  readonly #seen: Seen;
  readonly #name: string;
  readonly #dir: string;

  constructor(seen: Seen, name: string) {
    this.#seen = seen;
    this.#name = name;
    this.#dir = join(seen.dir, name);
    mkdirSync(this.#dir, { recursive: true });
  }

  /** From here on pods of the version (of one slot) exit with an error before they are ready. */
  fail(version: number, slot: number | 'all'): void {
    writeFileSync(join(this.#dir, `fails-${version}-${slot}`), '');
  }

  /** Or after so many seconds of being ready. */
  failLater(version: number, seconds: number): void {
    writeFileSync(join(this.#dir, `later-${version}`), String(seconds));
  }

  async apply(version: number, deploy: string, wait = true): Promise<void> {
    const script = `say() { echo "$1 $V $SLOT $(busybox cut -d' ' -f1 /proc/uptime)" >>/out/log; }
      say start
      if [ -e /out/fails-$V-$SLOT ] || [ -e /out/fails-$V-all ]; then exit 1; fi
      if [ -e /out/later-$V ]; then sleep $(cat /out/later-$V); exit 1; fi
      trap 'say stop; exit 0' TERM
      sleep 100000 &
      wait`;
    const text = `services:
  web:
    image: t-keys:1
    restart: "no"
    stop_grace_period: 20s
    healthcheck: { test: "[ ! -e /out/fails-$$V-$$SLOT ] && [ ! -e /out/fails-$$V-all ]", interval: 2s, timeout: 20s, start_period: 20s, start_interval: 500ms }
    environment: { V: "${version}", SLOT: "{{.Task.Slot}}" }
    volumes: ["${this.#dir}:/out"]
    command: ${JSON.stringify(['sh', '-c', script]).replaceAll('$', '$$$$')}
    deploy: ${deploy}
`;
    const output = await this.#seen.cluster.tsorch(['apply', '-f', '-', '-p', this.#stack, ...(wait ? ['--wait', '--timeout', '60s'] : [])], { input: text });
    expect(output.code, output.stdout + output.stderr).toBe(0);
  }

  get #stack(): string {
    return `${this.#seen.stack}-${this.#name}`;
  }

  async rollback(): Promise<void> {
    await this.#seen.cluster.ok(['rollback', `${this.#stack}_web`]);
  }

  async #listed(): Promise<ServiceListItem | undefined> {
    return (await this.#seen.cluster.services()).find(({ id }) => id === `${this.#stack}_web`);
  }

  /** Waits until the update, or the rollback, has come to this. */
  async comesTo(state: ServiceListItem['update']['state']): Promise<void> {
    await this.#seen.until(`the update to be ${state}`, async () => {
      const { update } = (await this.#listed()) ?? {};
      if (update?.state !== state) throw new Error(JSON.stringify(update));
      return true;
    });
  }

  /** Pods of the version in force, and others. */
  async shares(): Promise<{ readonly current: number; readonly other: number }> {
    const revision = (await this.#listed())?.revision;
    const pods = (await this.#seen.cluster.pods(`${this.#stack}_web`)).filter(({ desired }) => desired === 'running');
    const current = pods.filter((pod) => pod.revision === revision).length;
    return { current, other: pods.length - current };
  }

  log(): readonly Moment[] {
    const file = join(this.#dir, 'log');
    if (!existsSync(file)) return [];
    return readFileSync(file, 'utf8').trim().split('\n').map((line) => {
      const [what, version, slot, at] = line.split(' ');
      return { what: what === 'start' ? 'start' : 'stop', version: Number(version), slot: Number(slot), at: Number(at) };
    });
  }

  /** `start 1, start 2, stop 1`. */
  order(): string {
    return this.log().map(({ what, version }) => `${what} ${version}`).join(', ');
  }

  starts(version: number): readonly number[] {
    return this.log().filter((moment) => moment.what === 'start' && moment.version === version).map(({ at }) => at);
  }
}

const quick = 'monitor: 100ms';

function updates(seen: Seen, name: string): Rolling {
  return new Rolling(seen, name);
}

const update: readonly Row[] = [
  { keys: ['services.deploy.update_config', 'services.deploy.update_config.order'], form: 'stop-first', service: 'environment: {}', see: async (seen) => {
    const rolling = updates(seen, 'stop-first');
    for (const version of [1, 2]) await rolling.apply(version, `{ update_config: { order: stop-first, ${quick} } }`);
    expect(rolling.order()).toBe('start 1, stop 1, start 2');
  } },
  { keys: ['services.deploy.update_config.order'], form: 'start-first', see: async (seen) => {
    const rolling = updates(seen, 'start-first');
    for (const version of [1, 2]) await rolling.apply(version, `{ update_config: { order: start-first, ${quick} } }`);
    await seen.until('the old one to have stopped', async () => rolling.order().endsWith('stop 1'));
    expect(rolling.order()).toBe('start 1, start 2, stop 1');
  } },
  { keys: ['services.deploy.update_config.delay'], see: async (seen) => {
    const rolling = updates(seen, 'delay');
    for (const version of [1, 2]) await rolling.apply(version, `{ replicas: 2, update_config: { delay: 2s, ${quick} } }`);
    const [first = 0, second = 0] = rolling.starts(2).toSorted((a, b) => a - b);
    expect(second - first).toBeGreaterThanOrEqual(2);
  } },
  ...[[1, 1], [2, 2], [0, 4]].map(([parallelism, replaced]): Row => ({
    keys: ['services.deploy.update_config.parallelism', 'services.deploy.update_config.failure_action'], form: `${parallelism} at a time, and pause`, see: async (seen) => {
      const rolling = updates(seen, `pause-${parallelism}`);
      const config = `{ replicas: 4, update_config: { parallelism: ${parallelism}, failure_action: pause, monitor: 5s } }`;
      await rolling.apply(1, config);
      rolling.fail(2, 'all');
      await rolling.apply(2, config, false);
      await rolling.comesTo('paused');
      expect(await rolling.shares()).toEqual({ current: replaced, other: 4 - (replaced ?? 0) });
    },
  })),
  { keys: ['services.deploy.update_config.failure_action'], form: 'rollback', see: async (seen) => {
    const rolling = updates(seen, 'rollback');
    const config = '{ replicas: 2, update_config: { failure_action: rollback, monitor: 5s } }';
    await rolling.apply(1, config);
    rolling.fail(2, 'all');
    await rolling.apply(2, config, false);
    await rolling.comesTo('rolled-back');
    await seen.until('all to be of the old version', async () => (await rolling.shares()).current === 2);
    expect(rolling.starts(1).length).toBeGreaterThan(2);
  } },
  { keys: ['services.deploy.update_config.failure_action'], form: 'continue', see: async (seen) => {
    const rolling = updates(seen, 'continue');
    const config = `{ replicas: 2, update_config: { failure_action: continue, monitor: 1s } }`;
    await rolling.apply(1, config);
    rolling.fail(2, 'all');
    await rolling.apply(2, config, false);
    await seen.until('both to be replaced', async () => (await rolling.shares()).other === 0);
  } },
  { keys: ['services.deploy.update_config.max_failure_ratio'], form: 'one of four may fail', see: async (seen) => {
    const rolling = updates(seen, 'ratio');
    const config = '{ replicas: 4, update_config: { max_failure_ratio: 0.3, monitor: 1s } }';
    await rolling.apply(1, config);
    rolling.fail(2, 1);
    await rolling.apply(2, config, false);
    await rolling.comesTo('completed');
    expect((await rolling.shares()).other).toBe(0);
  } },
  { keys: ['services.deploy.update_config.monitor'], form: 'a failure later than the usual five seconds counts', see: async (seen) => {
    const rolling = updates(seen, 'monitor');
    const config = '{ replicas: 2, update_config: { monitor: 40s } }';
    await rolling.apply(1, config);
    rolling.failLater(2, 8);
    await rolling.apply(2, config, false);
    await rolling.comesTo('paused');
  } },
];

const rollback: readonly Row[] = [
  { keys: ['services.deploy.rollback_config', 'services.deploy.rollback_config.order', 'services.deploy.rollback_config.delay'], form: 'order: start-first, and delay', see: async (seen) => {
    const rolling = updates(seen, 'back');
    const config = `{ replicas: 2, update_config: { parallelism: 0, ${quick} }, rollback_config: { order: start-first, delay: 2s, ${quick} } }`;
    for (const version of [1, 2]) await rolling.apply(version, config);
    const before = rolling.log().length;
    await rolling.rollback();
    await rolling.comesTo('rolled-back');
    await seen.until('the old ones to have stopped', async () => rolling.log().filter(({ what, version }) => what === 'stop' && version === 2).length === 2);
    const [first, , third] = rolling.log().slice(before);
    expect(first).toMatchObject({ what: 'start', version: 1 });
    const [one = 0, two = 0] = rolling.log().slice(before).filter(({ what }) => what === 'start').map(({ at }) => at);
    expect(two - one).toBeGreaterThanOrEqual(2);
    expect(third).toMatchObject({ what: 'start', version: 1 });
  } },
  { keys: ['services.deploy.rollback_config.failure_action', 'services.deploy.rollback_config.parallelism', 'services.deploy.rollback_config.monitor'], form: 'pause, two at a time', see: async (seen) => {
    const rolling = updates(seen, 'back-pause');
    const config = `{ replicas: 4, update_config: { parallelism: 0, ${quick} }, rollback_config: { parallelism: 2, failure_action: pause, monitor: 5s } }`;
    for (const version of [1, 2]) await rolling.apply(version, config);
    rolling.fail(1, 'all');
    await rolling.rollback();
    await rolling.comesTo('paused');
    expect(await rolling.shares()).toEqual({ current: 2, other: 2 });
  } },
  { keys: ['services.deploy.rollback_config.failure_action', 'services.deploy.rollback_config.max_failure_ratio'], form: 'continue; and as many as the ratio allows', see: async (seen) => {
    for (const [name, more] of [['back-on', 'failure_action: continue'], ['back-ratio', 'max_failure_ratio: 0.6']] as const) {
      const rolling = updates(seen, name);
      const config = `{ replicas: 2, update_config: { parallelism: 0, ${quick} }, rollback_config: { ${more}, monitor: 1s } }`;
      for (const version of [1, 2]) await rolling.apply(version, config);
      rolling.fail(1, 1);
      await rolling.rollback();
      await seen.until('both to be taken back', async () => (await rolling.shares()).other === 0);
    }
  } },
];

export const updating: Theme = { name: 'k-updates', rows: [...update, ...rollback] };
