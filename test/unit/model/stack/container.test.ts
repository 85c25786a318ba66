/** Keys of a container and what they ask of an agent: namespaces, devices, hooks, probes, pulls, mounts. */
import { describe, expect, test } from 'vitest';
import { containerOf, errorsOf, expectDefined, stackOf, warningsOf, webOf, webStack } from './load.ts';
import type { ContainerSpec } from '../../../../model/spec.ts';

/** The first error's sentence, without its place. */
function wrong(body: string, rest = ''): string {
  return errorsOf(webStack(body) + rest)[0]?.replace(/^\S+ \S*: /, '') ?? 'it loads';
}

describe('hooks', () => {
  test('a command is words; the environment of the file; bare variables from outside', () => {
    const body = 'post_start:\n- command: ./up --fast "a b"\n  user: root\n  privileged: true\n  working_dir: /srv\n  environment: [FOO=BAR, OUT]\n- command: [echo, "$$HOME"]\npre_stop:\n- { command: sleep 1, environment: { A: 1 } }';
    expect(containerOf(body, { env: { OUT: 'side' } })).toMatchObject({
      postStart: [
        { command: { kind: 'exec', argv: ['./up', '--fast', 'a b'] }, user: 'root', privileged: true, workingDir: '/srv', env: { FOO: 'BAR', OUT: 'side' } },
        { command: { kind: 'exec', argv: ['echo', '$HOME'] }, privileged: false, env: {} },
      ],
      preStop: [{ command: { kind: 'exec', argv: ['sleep', '1'] }, env: { A: '1' } }],
    });
    expect(containerOf('post_start: []')).not.toHaveProperty('postStart');
  });
  test('two files: one list after the other', () => {
    const web = stackOf([webStack('post_start: [{ command: a }]'), 'services: { web: { post_start: [{ command: b }] } }']).services['web'];
    expect(web?.template.containers[0]?.postStart?.map(({ command }) => command)).toEqual([{ kind: 'exec', argv: ['a'] }, { kind: 'exec', argv: ['b'] }]);
  });
  test.each([
    ['post_start: [{ user: root }]', 'post_start[0] lacks command'], ['pre_stop: [{ command: "" }]', 'a hook needs a command'], ['pre_stop: [{ command: [x], comand: y }]', 'unknown key comand; did you mean command?'], ['post_start: [echo]', 'post_start[0] must be a mapping, not "echo"'],
  ])('%s', (body, message) => expect(wrong(body)).toBe(message));
});

describe('healthcheck without a test', () => {
  test.each<[string, object | undefined]>([
    ['{ interval: 5s, retries: 2 }', { test: { kind: 'image' }, intervalMs: 5000, retries: 2 }], ['{ start_period: 1m, start_interval: 2s, timeout: 3s }', { test: { kind: 'image' }, startPeriodMs: 60_000, startIntervalMs: 2000, timeoutMs: 3000 }],
    ['{ test: [], timeout: 3s }', { test: { kind: 'image' }, timeoutMs: 3000 }], ['{ interval: 0s }', undefined], ['{}', undefined], ['{ disable: false }', undefined], ['{ disable: true, interval: 5s }', { test: { kind: 'none' }, intervalMs: 5000, timeoutMs: 30_000, retries: 3, startPeriodMs: 0, startIntervalMs: 5000 }],
  ])('%s', (text, expected) => expect(containerOf(`healthcheck: ${text}`).healthcheck).toEqual(expected));
});

describe('x-probes', () => {
  const defaults = { initialDelayMs: 0, periodMs: 10_000, timeoutMs: 1000, successThreshold: 1, failureThreshold: 3 };
  test.each<[string, object]>([
    ['8080', { kind: 'tcp', port: 8080 }], ['tcp://:5432', { kind: 'tcp', port: 5432 }], ['tcp://127.0.0.1:5432', { kind: 'tcp', port: 5432, host: '127.0.0.1' }],
    ['http://:8080/healthz', { kind: 'http', scheme: 'http', port: 8080, path: '/healthz', headers: {} }], ['https://:8443', { kind: 'http', scheme: 'https', port: 8443, path: '/', headers: {} }], ['http://localhost:80/a?b=c', { kind: 'http', scheme: 'http', port: 80, host: 'localhost', path: '/a?b=c', headers: {} }],
    ['grpc://:9000', { kind: 'grpc', port: 9000, service: '' }], ['grpc://:9000/shop.Cart', { kind: 'grpc', port: 9000, service: 'shop.Cart' }], ['pg_isready -U me', { kind: 'exec', argv: ['/bin/sh', '-c', 'pg_isready -U me'] }], ['[pg_isready, -q]', { kind: 'exec', argv: ['pg_isready', '-q'] }],
    ['{ exec: [a, b] }', { kind: 'exec', argv: ['a', 'b'] }], ['{ exec: a && b }', { kind: 'exec', argv: ['/bin/sh', '-c', 'a && b'] }], ['{ tcp: 5432 }', { kind: 'tcp', port: 5432 }], ['{ tcp: { port: 1, host: h } }', { kind: 'tcp', port: 1, host: 'h' }], ['{ grpc: 9000/x }', { kind: 'grpc', port: 9000, service: 'x' }],
    ['{ http: 8080 }', { kind: 'http', scheme: 'http', port: 8080, path: '/', headers: {} }], ['{ http: ":8080/up" }', { kind: 'http', scheme: 'http', port: 8080, path: '/up', headers: {} }], ['{ http: { port: 80, path: /x, scheme: https, host: h.example, headers: [A=b] } }', { kind: 'http', scheme: 'https', port: 80, path: '/x', host: 'h.example', headers: { A: 'b' } }],
  ])('%s', (text, ask) => expect(containerOf(`x-probes: { liveness: ${/^[[{]/.test(text) ? text : JSON.stringify(text)} }`).livenessProbe).toEqual({ ask, ...defaults }));

  test('all three, with their times', () => {
    const body = 'x-probes:\n  startup: { http: 80, period: 1s, failure_threshold: 60 }\n  readiness: { tcp: 80, initial_delay: 500ms, timeout: 2s, success_threshold: 2 }\n  liveness: { exec: [x], period: 1m }';
    expect(containerOf(body)).toMatchObject({
      startupProbe: { periodMs: 1000, failureThreshold: 60 }, readinessProbe: { initialDelayMs: 500, timeoutMs: 2000, successThreshold: 2 }, livenessProbe: { periodMs: 60_000 },
    });
  });
  test('a later file asks another way', () => {
    const web = stackOf([webStack('x-probes: { liveness: { tcp: 80, period: 5s } }'), 'services: { web: { x-probes: { liveness: { http: 80 } } } }']).services['web'];
    expect(web?.template.containers[0]?.livenessProbe).toMatchObject({ ask: { kind: 'http' }, periodMs: 5000 });
  });
  test.each([
    ['{ liveness: {} }', 'the liveness probe asks nothing; give it exec, http, tcp or grpc'], ['{ liveness: { tcp: 1, http: 1 } }', 'the liveness probe asks by http and by tcp, but may only by one of them; give it exec, http, tcp or grpc'],
    ['{ readyness: 80 }', 'unknown key readyness; did you mean readiness?'], ['{ liveness: { tcp: 70000 } }', 'port must be 65535 or less, not 70000'], ['{ liveness: "tcp://db" }', '"tcp://db" names no port to ask; write the port, such as 5432'], ['{ liveness: { http: /x } }', '"/x" names no port to ask; write such as http://:8080/healthz'],
    ['{ startup: { tcp: 1, success_threshold: 2 } }', 'one success is enough for a startup probe; remove it'], ['{ liveness: { tcp: 1, period: 10 } }', 'period: "10" is no duration; give the unit, such as 10s'], ['{ liveness: { http: { port: 1, path: x } } }', 'a path begins with /, unlike "x"'], ['{ liveness: { exec: [] } }', 'the probe has no command'],
    ['{ liveness: { tcp: 1, periodSeconds: 3 } }', 'unknown key periodSeconds; the keys here are exec, http, tcp, grpc, initial_delay, period, timeout, success_threshold, failure_threshold'],
  ])('%s', (text, message) => expect(wrong(`x-probes: ${text}`)).toBe(message));
  test('misspelt', () => expect(warningsOf(webStack('x-probe: { liveness: 80 }'))).toEqual(['4:5 services.web.x-probe: x-probe has no effect']));
});

describe('namespaces', () => {
  test.each<[string, Partial<ContainerSpec>]>([
    ['pid: host', { pid: 'host' }], ['ipc: host', { ipc: 'host' }], ['ipc: none', { ipc: 'none' }], ['ipc: shareable', { ipc: 'shareable' }], ['uts: host', { uts: 'host' }], ['cgroup: host', { cgroupns: 'host' }], ['cgroup: private', { cgroupns: 'private' }],
    ['userns_mode: private', { userns: 'private' }], ['cgroup_parent: /batch/night', { cgroupParent: 'batch/night' }], ['cgroup_parent: m-executor-abcd', { cgroupParent: 'm-executor-abcd' }],
  ])('%s', (body, expected) => expect(containerOf(body)).toMatchObject(expected));
  test('what is as without', () => {
    expect(containerOf('ipc: private\nuserns_mode: host\npid: ""\ncgroup_parent: /')).toEqual(containerOf('tty: false'));
  });
  test.each([
    ['pid: private', 'there is no pid mode "private"; the modes are host, service:NAME and container:NAME'], ['pid: "service:web"', 'the container web cannot share its own pid namespace; remove it'], ['ipc: "service:nope"', 'there is no service "nope"; name a container of the pod: this one is alone in it'],
    ['pid: "service:db"', 'pid: service:db needs both in one pod, and db has pods of its own; add network_mode: service:db'], ['pid: "container:shop_db"', 'pid: container:shop_db needs both in one pod, and db has pods of its own; add network_mode: container:shop_db'],
    ['userns_mode: keep-id', 'userns_mode: "keep-id" is none of host, private'], ['userns_mode: private\nprivileged: true', 'a privileged container has the host\'s users; remove privileged, or userns_mode'], ['uts: host\nhostname: x', 'with uts: host the host\'s name is the container\'s; remove hostname, or uts'],
    ['cgroup_parent: ../x', '"../x" cannot be a cgroup; write such as batch, or batch/night'], ['cgroup: x', 'cgroup: "x" is none of host, private'],
  ])('%s', (body, message) => expect(wrong(body, '  db: { image: x }\n')).toBe(message));
});

describe('devices', () => {
  const all = (body: string) => containerOf(body).devices.map(({ source, target, permissions }) => `${source} ${target} ${permissions}`);
  test.each<[string, readonly string[]]>([
    ['devices: [/dev/fuse]', ['/dev/fuse /dev/fuse rwm']], ['devices: ["/dev/sda:/dev/xvda:r"]', ['/dev/sda /dev/xvda r']], ['devices: ["vendor1.com/device=gpu"]', ['vendor1.com/device=gpu vendor1.com/device=gpu rwm']], ['devices: [{ source: nvidia.com/gpu=0 }, { source: "nvidia.com/gpu=1:0" }]', ['nvidia.com/gpu=0 nvidia.com/gpu=0 rwm', 'nvidia.com/gpu=1:0 nvidia.com/gpu=1:0 rwm']],
    ['gpus: all', ['nvidia.com/gpu=all nvidia.com/gpu=all rwm']], ['gpus: [{ count: 2 }]', ['nvidia.com/gpu=0 nvidia.com/gpu=0 rwm', 'nvidia.com/gpu=1 nvidia.com/gpu=1 rwm']], ['gpus: [{ driver: amd, device_ids: ["3"] }]', ['amd.com/gpu=3 amd.com/gpu=3 rwm']], ['gpus: [{ count: all, driver: intel }]', ['intel.com/gpu=all intel.com/gpu=all rwm']],
    ['deploy: { resources: { reservations: { devices: [{ driver: nvidia, count: 1, capabilities: [gpu] }] } } }', ['nvidia.com/gpu=0 nvidia.com/gpu=0 rwm']], ['deploy: { resources: { reservations: { devices: [{ capabilities: [gpu] }] } } }', ['nvidia.com/gpu=all nvidia.com/gpu=all rwm']],
    ['gpus: [{ driver: cdi, device_ids: ["vendor.com/fpga=a"] }]', ['vendor.com/fpga=a vendor.com/fpga=a rwm']], ['gpus: [{ count: 0 }]', []],
  ])('%s', (body, expected) => expect(all(body)).toEqual(expected));

  test('what is reserved: kinds of the file, and GPUs', () => {
    const of = (reservations: string, more = '') => webOf(`deploy: { resources: { reservations: { ${reservations} } } }\n${more}`).template.reservations.generic;
    expect(of('generic_resources: [{ discrete_resource_spec: { kind: ssd, value: 1 } }, { discrete_resource_spec: { kind: gpu, value: "2" } }]')).toEqual({ ssd: 1, gpu: 2 });
    expect(of('devices: [{ capabilities: [gpu], count: 3 }]')).toEqual({ gpu: 3 });
    expect(of('devices: [{ capabilities: [gpu], count: 1 }]', 'gpus: [{ count: 1 }]')).toEqual({ gpu: 1 });
    expect(of('devices: [{ capabilities: [gpu], device_ids: [a, b] }], generic_resources: [{ discrete_resource_spec: { kind: gpu, value: 5 } }]')).toEqual({ gpu: 5 });
    expect(webOf('gpus: all').template.reservations).toEqual({ cpus: 0, memory: 0, generic: { gpu: 1 } });
    expect(webOf('gpus: [{ driver: cdi, device_ids: ["a.b/c=d"] }]').template.reservations).toEqual({ cpus: 0, memory: 0 });
    expect(of('generic_resources: [{ discrete_resource_spec: { kind: ssd, value: 0 } }]')).toBeUndefined();
  });
  test('rules and block I/O', () => {
    expect(containerOf('device_cgroup_rules: ["c 1:3 mr", "a 7:* rmw"]').deviceCgroupRules).toEqual(['c 1:3 mr', 'a 7:* rmw']);
    expect(containerOf('blkio_config:\n  weight: 300\n  weight_device: [{ path: /dev/sda, weight: 400 }]\n  device_read_bps: [{ path: /dev/sdb, rate: 12mb }]\n  device_read_iops: [{ path: /dev/sdb, rate: 120 }]\n  device_write_bps: [{ path: /dev/sdb, rate: 1024k }]\n  device_write_iops: [{ path: /dev/sdb, rate: "30" }]').blkio).toEqual({
      weight: 300, weightDevice: [{ path: '/dev/sda', weight: 400 }], deviceReadBps: [{ path: '/dev/sdb', rate: 12 * 1024 ** 2 }], deviceReadIops: [{ path: '/dev/sdb', rate: 120 }],
      deviceWriteBps: [{ path: '/dev/sdb', rate: 1024 ** 2 }], deviceWriteIops: [{ path: '/dev/sdb', rate: 30 }],
    });
    expect(containerOf('blkio_config: {}')).not.toHaveProperty('blkio');
  });
  test.each([
    ['gpus: some', 'gpus must be all or a list of devices, not "some"; write gpus: all, or - count: 1'], ['gpus: [{ count: 1, device_ids: ["0"] }]', 'count and device_ids exclude each other; keep one of them'], ['gpus: [{ driver: voodoo }]', 'there is no device driver "voodoo"; the drivers are nvidia, amd, intel; any other device by driver: cdi and device_ids'],
    ['gpus: [{ capabilities: [tpu] }]', 'no driver is known for tpu; name it with driver, or the devices by driver: cdi and device_ids'], ['gpus: [{ driver: cdi }]', 'driver: cdi needs device_ids; write such as device_ids: ["vendor.com/class=name"]'], ['gpus: [{ driver: cdi, device_ids: ["0"] }]', '"0" is no CDI name; write such as vendor.com/class=name'],
    ['gpus: [{ options: { a: b } }]', 'options is refused: CDI takes no options; remove it, or name devices with device_ids'], ['gpus: [{ count: 100 }]', '100 devices are more than 64, the limit'], ['devices: [fuse]', '"fuse" is no device; write SOURCE[:TARGET[:PERMISSIONS]], such as /dev/fuse:/dev/fuse:rwm'],
    ['devices: [{ source: a.b/c=d, target: /dev/x }]', 'target says nothing about a device with a CDI name: its file on the host does; remove it'], ['device_cgroup_rules: [c 1 r]', '"c 1 r" is no device rule; write TYPE MAJOR:MINOR PERMISSIONS, such as "c 1:3 rwm"'],
    ['blkio_config: { weight: 5 }', 'a weight is from 10 to 1000, not 5'], ['blkio_config: { weight: 2000 }', 'weight must be 1000 or less, not 2000'], ['blkio_config: { device_read_bps: [{ path: sda, rate: 1 }] }', 'a device is a path on the host, unlike "sda"; write such as /dev/sda'],
    ['deploy: { resources: { reservations: { generic_resources: [{}] } } }', 'a generic resource needs a discrete_resource_spec; write discrete_resource_spec: { kind: gpu, value: 1 }'],
  ])('%s', (body, message) => expect(wrong(body)).toBe(message));
});

describe('limits', () => {
  test.each<[string, object]>([
    ['mem_swappiness: 60', { memorySwappiness: 60 }], ['mem_swappiness: 0', { memorySwappiness: 0 }], ['mem_swappiness: -1', {}], ['oom_kill_disable: true\nmem_limit: 64m', { oomKillDisable: true, memory: 64 * 1024 ** 2 }], ['cpu_rt_runtime: 400ms', { cpuRealtimeRuntime: 400_000 }],
    ['cpu_rt_runtime: 9500\ncpu_rt_period: "11000"', { cpuRealtimeRuntime: 9500, cpuRealtimePeriod: 11_000 }], ['cpu_rt_period: 1400us', { cpuRealtimePeriod: 1400 }],
  ])('%s', (body, expected) => expect(containerOf(body).limits).toEqual(expected));
  test.each([
    ['oom_kill_disable: true', 'oom_kill_disable needs a memory limit: without one the container takes the node down with it; give mem_limit too'], ['mem_swappiness: 101', 'mem_swappiness must be 100 or less, not 101'], ['cpu_rt_runtime: soon', 'cpu_rt_runtime: "soon" is neither a number of microseconds nor a duration; write such as 95000 or 400ms'],
    ['cpu_rt_runtime: 2s', 'cpu_rt_runtime is more than the period of 1000000 microseconds; make it smaller, or cpu_rt_period larger'], ['storage_opt: { size: big }', '"big" is no size; write such as 10g'], ['storage_opt: { dm.basesize: 1g }', 'there is no storage option "dm.basesize"; the option is size'],
  ])('%s', (body, message) => expect(wrong(body)).toBe(message));
  test('the writable layer', () => expect(containerOf('storage_opt: { size: 1g }').storageOpt).toEqual({ size: String(1024 ** 3) }));
});

describe('pulls', () => {
  test.each<[string, object]>([
    ['daily', { pullPolicy: 'missing', pullRefreshMs: 86_400_000 }], ['weekly', { pullPolicy: 'missing', pullRefreshMs: 7 * 86_400_000 }], ['every_12h', { pullPolicy: 'missing', pullRefreshMs: 12 * 3_600_000 }], ['every_1w2d3h4m5s', { pullPolicy: 'missing', pullRefreshMs: ((9 * 24 + 3) * 3600 + 245) * 1000 }],
    ['every_0s', { pullPolicy: 'always' }], ['refresh\npull_refresh_after: 90m', { pullPolicy: 'missing', pullRefreshMs: 5_400_000 }],
  ])('%s', (policy, expected) => expect(containerOf(`pull_policy: ${policy}`)).toMatchObject(expected));
  test.each([
    ['pull_policy: refresh', 'pull_policy: refresh needs pull_refresh_after; add such as pull_refresh_after: 24h'], ['pull_refresh_after: 1h', 'pull_refresh_after says nothing without pull_policy: refresh; add it, or remove this'],
    ['pull_policy: build', 'pull_policy: build is refused: images are not built on the hosts; build it with your tool, then `tsorch image load FILE`'], ['pull_policy: every_day', 'there is no pull policy "every_day"; the policies are always, missing, never, daily, weekly, every_12h and refresh'],
  ])('%s', (body, message) => expect(wrong(body)).toBe(message));
});

describe('mounts', () => {
  const mounts = (body: string, rest = '') => expectDefined(stackOf(webStack(body) + rest).services['web']).template.containers[0]?.mounts;
  test.each<[string, object]>([
    ['volumes: [{ type: image, source: "assets:1", target: /a }]', { kind: 'image', image: 'assets:1', target: '/a' }], ['volumes: [{ type: image, source: "assets:1", target: /a, image: { subpath: www } }]', { kind: 'image', image: 'assets:1', target: '/a', subpath: 'www' }],
    ['volumes: [{ type: volume, target: /a, volume: { labels: [a=b] } }]', { kind: 'volume', target: '/a', readOnly: false, noCopy: false, labels: { a: 'b' } }], ['volumes: [{ type: volume, source: v, target: /a, x-per-replica: true }]', { kind: 'volume', volume: 'shop_v', target: '/a', readOnly: false, noCopy: false, perReplica: true }],
    ['volumes: ["each:/a"]', { kind: 'volume', volume: 'shop_each', target: '/a', readOnly: false, noCopy: false, perReplica: true }], ['volumes: [{ type: volume, source: each, target: /a, x-per-replica: false }]', { kind: 'volume', volume: 'shop_each', target: '/a', readOnly: false, noCopy: false }],
    ['tmpfs: "/run:uid=1000,gid=1000,exec,size=64m,mode=1777"', { kind: 'tmpfs', target: '/run', readOnly: false, size: 64 * 1024 ** 2, mode: 0o1777, options: ['uid=1000', 'gid=1000', 'exec'] }], ['tmpfs: "/run:ro,noexec,nosuid,nodev,size=50%,nr_inodes=4k"', { kind: 'tmpfs', target: '/run', readOnly: true, options: ['size=50%', 'nr_inodes=4k'] }],
  ])('%s', (body, expected) => expect(mounts(body, 'volumes: { v: , each: { x-per-replica: true } }\n')).toEqual([expected]));
  test.each([
    ['volumes: [{ type: image, source: "As", target: /a }]', '"As" must be in small letters; name the image to mount with source'], ['volumes: [{ type: image, target: /a }]', 'the image is empty; name the image to mount with source'], ['volumes: [{ type: image, source: a, target: /a, image: { subpath: ../b } }]', 'a subpath stays inside, unlike "../b"'],
    ['volumes: [{ type: volume, source: v, target: /a, volume: { labels: [a=b] } }]', 'labels at a mount are for volumes without a name; give them to v under the top-level volumes'], ['volumes: [{ type: bind, source: /a, target: /a, x-per-replica: true }]', 'x-per-replica says nothing about a mount of type bind; it is for named volumes'],
    ['volumes: [{ type: volume, source: ext, target: /a, x-per-replica: true }]', 'the volume ext is external: there is one of it, not one for every slot; remove external, or x-per-replica'], ['volumes: [{ type: cluster, source: v, target: /a }]', 'mounts of type cluster are refused: hosts have no CSI plugins; use volume, bind, tmpfs or image'],
    ['tmpfs: "/run:uid=me"', 'there is no tmpfs option "uid=me"; the options are size, mode, uid, gid, nr_inodes, nr_blocks, exec, suid, dev, ro and other flags of mount'],
  ])('%s', (body, message) => expect(wrong(body, 'volumes: { v: , ext: { external: true } }\n')).toBe(message));
  test('what needs no telling', () => expect(warningsOf(webStack('volumes: [{ type: volume, target: /a, x-per-replica: true }]'))).toEqual(['4:58 services.web.volumes[0].x-per-replica: a volume without a name is every pod\'s own anyway']));
});
