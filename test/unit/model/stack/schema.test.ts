/** The key table against the Compose specification, and against the loader: no key works only on paper, none is dropped. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Compile } from 'typebox/schema';
import { renderSchema, renderTypes } from '../../../../model/stack/schema/canonical.ts';
import { deploy } from '../../../../model/stack/schema/deploy.ts';
import { renderDocs } from '../../../../model/stack/schema/docs.ts';
import { serviceKeys } from '../../../../model/stack/schema/service.ts';
import type { Field } from '../../../../model/stack/schema/shape.ts';
import { definitions, topKeys } from '../../../../model/stack/schema/top.ts';
import type { ComposeModel, JsonObject } from '../../../../model/stack/types.ts';
import { errorsOf, load, type Options } from './load.ts';

/** The specification's keys, spelt out so that a key that gets lost from the table is missed. */
const specification = {
  service: `annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent command configs container_name cpu_count cpu_percent cpu_period
    cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset credential_spec depends_on deploy develop device_cgroup_rules devices dns dns_opt dns_search domainname
    entrypoint env_file environment expose extends external_links extra_hosts gpus group_add healthcheck hostname image init ipc isolation label_file labels links logging
    mac_address mem_limit mem_reservation mem_swappiness memswap_limit models network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform ports post_start
    pre_start pre_stop privileged profiles provider pull_policy pull_refresh_after read_only restart runtime scale secrets security_opt shm_size stdin_open
    stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits use_api_socket user userns_mode uts volumes volumes_from working_dir`,
  top: 'configs include jobs models name networks secrets services version volumes',
  deploy: 'endpoint_mode labels mode placement replicas resources restart_policy rollback_config update_config',
  network: 'attachable driver driver_opts enable_ipv4 enable_ipv6 external internal ipam labels name',
  volume: 'driver driver_opts external labels name',
  secret: 'content driver driver_opts environment external file labels name template_driver',
  config: 'content environment external file labels name template_driver',
};

test.each<[keyof typeof specification, Readonly<Record<string, Field>>]>([
  ['service', serviceKeys], ['top', topKeys], ['deploy', deploy.keys], ['network', definitions.network.keys], ['volume', definitions.volume.keys], ['secret', definitions.secret.keys], ['config', definitions.config.keys],
])('all keys of %s', (name, keys) => {
  expect(Object.keys(keys).filter((key) => !key.startsWith('x-')).toSorted()).toEqual(specification[name].split(/\s+/).toSorted());
});

test.each([['docs/compose.md', renderDocs], ['docs/compose.schema.json', renderSchema], ['model/stack/gen/compose.ts', renderTypes]])('%s is the tables\', else run node docs/generate.ts', (file, render) => {
  expect(readFileSync(join(import.meta.dirname, '../../../..', file), 'utf8')).toBe(render());
});

describe('the canonical model', () => {
  const checker = Compile(JSON.parse(renderSchema()) as object);
  const errors = (value: unknown): readonly string[] => checker.Errors(value)[1].map(({ instancePath, message }) => `${instancePath} ${message}`);

  test.each(Object.entries(serviceKeys).filter(([, { verdict }]) => verdict.kind !== 'refused').map(([key]) => key))('with %s', (key) => {
    const result = load(stack({ ...companions[key], [key]: samples[key] }), options);
    if (result.ok) expect(errors(result.compose)).toEqual([]);
    else expect(['logging', 'cpu_period']).toContain(key);
  });

  test('whole stacks', () => {
    const folder = join(import.meta.dirname, '../../../golden/model/stack');
    for (const names of [['shop.yml'], ['shop.yml', 'shop.override.yml']]) {
      const result = load(names.map((name) => readFileSync(join(folder, name), 'utf8')), { env: { TAG: '1', TOKEN: 'x' }, profiles: ['*'], on: { '/work/shop/password.txt': 'x', '/work/shop/api.env': 'A=1' } });
      expect(result.ok ? errors(result.compose) : result.errors).toEqual([]);
    }
  });

  test('says no', () => {
    const web = { image: 'x' };
    const bad: readonly unknown[] = [{ services: {} }, { name: 'A', services: {} }, { name: 'a', services: { web: { ...web, comand: [] } } }, { name: 'a', services: { web: { ...web, ports: ['80:80'] } } }, { name: 'a', services: { web }, networks: { n: { external: 'yes' } } }];
    for (const value of bad) expect(errors(value)).not.toEqual([]);
    expect(errors({ name: 'a', services: { web: { ...web, 'x-y': 1 } }, 'x-z': [] })).toEqual([]);
  });

  test('its types hold what is loaded', () => {
    const result = load(stack({ ports: ['8080:80'], deploy: { replicas: 2 } }), options);
    if (!result.ok) throw new Error('it must load');
    const model: ComposeModel = result.compose;
    const json: JsonObject = model;
    expect(Object.keys(json)).toEqual(['name', 'services', 'networks', 'volumes', 'secrets', 'configs']);
    const [port] = model.services['web']?.ports ?? [];
    expect([port?.target, port?.published, port?.mode, model.services['web']?.deploy?.replicas]).toEqual([80, '8080', 'ingress', 2]);
    expect(model.services['web']?.networks).toEqual({ default: {} });
  });
});

/** A value for every key of a service that asks for something. Beside it stands a stack with all that it refers to. */
const samples: Readonly<Record<string, unknown>> = {
  annotations: { a: 'b' }, attach: true, blkio_config: { weight: 10 }, build: '.', cap_add: ['NET_ADMIN'], cap_drop: ['ALL'], cgroup: 'host', cgroup_parent: '/x', command: 'run', configs: ['thing'], container_name: 'named',
  cpu_count: 1, cpu_percent: 10, cpu_period: 50_000, cpu_quota: 20_000, cpu_rt_period: 10, cpu_rt_runtime: 10, cpu_shares: 10, cpus: 1, cpuset: '0', credential_spec: { file: 'x' }, depends_on: ['other'], deploy: { replicas: 3 }, develop: { watch: [] },
  device_cgroup_rules: ['c 1:3 mr'], devices: ['/dev/fuse'], dns: '1.1.1.1', dns_opt: ['use-vc'], dns_search: 'x.example', domainname: 'x.example', entrypoint: 'e', env_file: 'some.env', environment: { A: 'b' }, expose: [80], extends: 'other', external_links: ['x'],
  extra_hosts: { a: '1.1.1.1' }, gpus: 'all', group_add: ['1'], healthcheck: { test: 'x' }, hostname: 'h', image: 'other', init: true, ipc: 'host', isolation: 'hyperv', label_file: 'some.env', labels: { a: 'b' }, links: ['other:alias'], logging: { driver: 'syslog' },
  mac_address: '02:00:00:00:00:01', mem_limit: '64m', mem_reservation: '64m', mem_swappiness: 10, memswap_limit: -1, models: ['m'], network_mode: 'host', networks: ['front'], oom_kill_disable: true, oom_score_adj: 10, pid: 'host', pids_limit: 10,
  platform: 'linux/arm64', ports: ['80:80'], post_start: [{ command: 'x' }], pre_start: [{ command: 'x' }], pre_stop: [{ command: 'x' }], privileged: true, profiles: ['off'], provider: { type: 'x' }, pull_policy: 'always', pull_refresh_after: '1d', read_only: true, restart: 'no', runtime: 'runc',
  scale: 2, secrets: ['thing'], security_opt: ['no-new-privileges'], shm_size: '1m', stdin_open: true, stop_grace_period: '1s', stop_signal: 'SIGINT', storage_opt: { size: '1g' }, sysctls: { 'net.core.somaxconn': 1 }, tmpfs: '/run', tty: true, ulimits: { nofile: 10 },
  use_api_socket: true, user: '1', userns_mode: 'private', uts: 'host', volumes: ['/data'], volumes_from: ['other'], working_dir: '/w', 'x-affinities': ['container==other'], 'x-constraints': ['hostname:UNIQUE'], 'x-placement': { strategy: 'binpack' },
  'x-on-disconnect': { action: 'stop', after: '1m' }, 'x-pod': { sidecars: { helper: { image: 'x' } } }, 'x-probes': { readiness: 8080 },
};

/** What must be there for a key to say something. */
const companions: Readonly<Record<string, Readonly<Record<string, unknown>>>> = { oom_kill_disable: { mem_limit: '64m' }, pull_refresh_after: { pull_policy: 'refresh' } };

const deploySamples: Readonly<Record<string, unknown>> = {
  endpoint_mode: 'dnsrr', labels: { a: 'b' }, mode: 'global', placement: { constraints: ['a==b'] }, replicas: 2, resources: { limits: { cpus: 1 } }, restart_policy: { condition: 'none' }, rollback_config: { parallelism: 2 }, update_config: { parallelism: 2 },
};

const options: Options = { on: { '/work/shop/some.env': 'X=1\n' } };

function stack(web: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({
    services: { web: { image: 'nginx', ...web }, other: { image: 'x', labels: { l: '1' }, volumes: ['lent:/lent'] } },
    volumes: { lent: {} },
    networks: { front: {} }, secrets: { thing: { content: 's' } }, configs: { thing: { content: 'c' } },
  });
}

function specOf(web: Readonly<Record<string, unknown>>): unknown {
  const result = load(stack(web), options);
  return result.ok ? result.stack.services : result.errors.map(({ path, message }) => `${path}: ${message}`);
}

describe.each<[string, Readonly<Record<string, Field>>, Readonly<Record<string, unknown>>, (key: string, value: unknown) => Readonly<Record<string, unknown>>]>([
  ['services', serviceKeys, samples, (key, value) => ({ ...companions[key], [key]: value })],
  ['deploy', deploy.keys, deploySamples, (key, value) => ({ deploy: { [key]: value } })],
])('%s', (_, keys, values, make) => {
  const base = specOf({});
  test.each(Object.entries(keys))('%s', (key, { verdict, shape }) => {
    expect(Object.hasOwn(values, key)).toBe(true);
    const made = specOf(make(key, values[key]));
    switch (verdict.kind) {
      case 'works': {
        // A key that works changes what is asked of the cluster, or is refused for this value (logging's driver).
        expect(made).not.toEqual(key === 'cpu_period' ? [] : companions[key] ? specOf(companions[key]) : base);
        if (Array.isArray(made)) expect(['logging', 'cpu_period']).toContain(key);
        break;
      }
      case 'harmless': expect(made).toEqual(base); break;
      case 'refused': {
        const [first] = errorsOf(stack(make(key, values[key])), options);
        expect(first).toContain(`${key}`);
        expect(first).toMatch(/is refused:|is not supported yet/);
        expect(first).toContain(verdict.instead);
        for (const accepted of verdict.except ?? []) expect(specOf(make(key, accepted))).toEqual(base);
        for (const nothing of [null, [], '', ...(shape.kind === 'bool' ? [false] : [])]) {
          const result = load(stack(make(key, nothing)), options);
          expect(result.ok || result.errors.every(({ message }) => /must be/.test(message))).toBe(true);
        }
      }
    }
  });
});
