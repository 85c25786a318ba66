/** Keys of a service → its spec: syntax, defaults, mistakes. */
import { describe, expect, test } from 'vitest';
import { parseConstraint } from '../../../../model/constraint/parse.ts';
import { containerOf, errorsOf, expectDefined, load, stackOf, warningsOf, webOf, webStack } from './load.ts';

/** The errors of a stack of one service with this body, without places. */
function wrong(body: string, rest = ''): readonly string[] {
  return errorsOf(`${webStack(body)}${rest}`).map((error) => error.replace(/^\S+ /, ''));
}

describe('ports', () => {
  test.each<[string, object[]]>([
    ['80', [{ target: 80, protocol: 'tcp', mode: 'ingress' }]],
    ['"80"', [{ target: 80 }]],
    ['"8080:80"', [{ target: 80, published: 8080 }]],
    ['8080:80', [{ target: 80, published: 8080 }]],
    ['"53:53/udp"', [{ target: 53, published: 53, protocol: 'udp' }]],
    ['"127.0.0.1:8080:80"', [{ target: 80, published: 8080, hostIp: '127.0.0.1' }]],
    ['"127.0.0.1::80"', [{ target: 80, hostIp: '127.0.0.1' }]],
    ['"[::1]:8080:80"', [{ target: 80, published: 8080, hostIp: '::1' }]],
    ['"3000-3001"', [{ target: 3000 }, { target: 3001 }]],
    ['"9000-9001:8000-8001"', [{ target: 8000, published: 9000 }, { target: 8001, published: 9001 }]],
    ['{ target: 80, published: "8080", mode: host, protocol: udp, host_ip: 10.0.0.1, name: web, app_protocol: http }', [{ target: 80, published: 8080, mode: 'host', protocol: 'udp', hostIp: '10.0.0.1' }]],
    ['{ target: 80, published: 8080 }', [{ target: 80, published: 8080, mode: 'ingress', protocol: 'tcp' }]],
  ])('%s', (text, ports) => {
    const made = webOf(`ports: [${text}]`).ports;
    expect(made).toHaveLength(ports.length);
    expect(made).toMatchObject(ports);
  });

  test.each([
    ['"80:"', 'the container port is missing; write HOST:CONTAINER, such as "8080:80"'], ['":80"', 'the host port before the colon is missing'], ['"0:80"', 'ports go from 1 to 65535, not 0'], ['"70000"', 'ports go from 1 to 65535, not 70000'],
    ['"80/sctp"', 'the protocol must be tcp or udp, not "sctp"'], ['"a:80"', '"a" is no port or range of ports'], ['"1.2.3:80:80"', '"1.2.3" is no IP address; write IP:HOST:CONTAINER'], ['"81-80"', 'the range 81-80 ends before it begins'],
    ['"8000-8001:80-82"', 'the two ranges differ in length'],
  ])('%s', (text, message) => expect(wrong(`ports: [${text}]`)).toEqual([`services.web.ports[0]: ${message}`]));

  test('twice, by two services, on host and ingress', () => {
    expect(warningsOf(webStack('ports: ["80", "80"]'))).toEqual(['4:19 services.web.ports: ports has two entries for 0.0.0.0  80 tcp; the last one counts'.replace('0.0.0.0  80 tcp', '"0.0.0.0  80 tcp"')]);
    expect(webOf('ports: ["8000-8010:80"]').ports).toEqual([{ target: 80, protocol: 'tcp', mode: 'ingress', published: 8000, publishedTo: 8010 }]);
    expect(webOf('ports: [{ target: 80, published: "8083-9000", mode: host }]').ports).toEqual([{ target: 80, protocol: 'tcp', mode: 'host', published: 8083, publishedTo: 9000 }]);
    expect(wrong('ports: ["80:80"]', '  other: { image: x, ports: ["80:81"] }\n')).toEqual(['services.other.ports: port 80/tcp is published by web already; publish it under another number']);
    expect(wrong('ports: ["80:80"]', '  other: { image: x, ports: [{ target: 80, published: 80, mode: host }] }\n')).toHaveLength(1);
    expect(wrong('ports: ["80:80", "80:80/udp"]', '  other: { image: x, ports: ["81:80"] }\n')).toEqual([]);
    expect(wrong('ports: [{ target: 80, published: 80, mode: host }]', '  other: { image: x, ports: [{ target: 81, published: 80, mode: host }] }\n')).toEqual([]);
  });
});

describe('volumes', () => {
  const rest = 'volumes: { data: {}, named: { name: my-data }, outer: { external: true } }\n';
  test.each<[string, object]>([
    ['data:/d', { kind: 'volume', volume: 'shop_data', target: '/d', readOnly: false, noCopy: false }],
    ['named:/d:ro,nocopy', { kind: 'volume', volume: 'my-data', target: '/d', readOnly: true, noCopy: true }],
    ['outer:/d/', { kind: 'volume', volume: 'outer', target: '/d', readOnly: false, noCopy: false }],
    ['/d', { kind: 'volume', target: '/d', readOnly: false, noCopy: false }],
    ['./a:/d', { kind: 'bind', source: '/work/shop/a', target: '/d', readOnly: false, createHostPath: true, propagation: 'rprivate' }],
    ['../a:/d:ro', { kind: 'bind', source: '/work/a', target: '/d', readOnly: true, createHostPath: true, propagation: 'rprivate' }],
    ['~/a:/d:rshared', { kind: 'bind', source: '/home/me/a', target: '/d', readOnly: false, createHostPath: true, propagation: 'rshared' }],
    ['/var/run/docker.sock:/var/run/docker.sock', { kind: 'bind', source: '/var/run/docker.sock', target: '/var/run/docker.sock', readOnly: false, createHostPath: true, propagation: 'rprivate' }],
    ['{ type: bind, source: ./a, target: /d, bind: { create_host_path: false, propagation: slave }, read_only: true }', { kind: 'bind', source: '/work/shop/a', target: '/d', readOnly: true, createHostPath: false, propagation: 'slave' }],
    ['{ type: volume, source: data, target: /d, volume: { nocopy: true, subpath: a/b } }', { kind: 'volume', volume: 'shop_data', target: '/d', readOnly: false, noCopy: true, subpath: 'a/b' }],
    ['{ type: tmpfs, target: /d, tmpfs: { size: 64m, mode: 0700 } }', { kind: 'tmpfs', target: '/d', readOnly: false, size: 64 * 1024 ** 2, mode: 0o700 }],
  ])('%s', (text, mount) => {
    expect(stackOf(`${webStack(`volumes: [${text.startsWith('{') ? text : JSON.stringify(text)}]`)}${rest}`, { env: { HOME: '/home/me' } }).services['web']?.template.containers[0]?.mounts).toEqual([mount]);
  });

  test.each([
    ['"dat:/d"', 'there is no volume "dat"; did you mean data?'], ['"src/app:/d"', 'there is no volume "src/app"; a path on the host begins with / or ./: ./src/app'], ['"data:/d:rox"', 'there is no option "rox" for a volume; the options are ro, rw, nocopy'],
    ['"data:/"', 'nothing can be mounted at /'], ['"a:b:c:d"', 'too many colons; write SOURCE:TARGET[:ro]; a path with a colon needs the long syntax'], ['"data::ro"', 'there is nothing between two colons; write SOURCE:TARGET[:ro]'],
    ['"C:\\\\data:/d"', 'Windows paths do not exist on Linux hosts; write the path on the host, such as /srv/data'], ['{ type: npipe, source: x, target: /d }', 'mounts of type npipe are refused: they are for Windows; use volume, bind, tmpfs or image'],
    ['{ type: bind, target: /d }', 'a bind mount needs a source; name a path on the host'], ['{ source: data, target: /d }', 'volumes[0] lacks type'], ['{ type: volume, source: data, target: /d, bind: { propagation: shared } }', 'bind says nothing about a mount of type volume; remove it, or change type'],
  ])('%s', (text, message) => {
    const [error] = wrong(`volumes: [${text}]`, rest);
    expect(error?.replace(/^\S+: /, '')).toBe(message);
  });

  test('tmpfs, and two things at one place', () => {
    expect(containerOf('tmpfs: [/run, "/tmp:size=1g,mode=1777,noexec"]').mounts).toEqual([{ kind: 'tmpfs', target: '/run', readOnly: false }, { kind: 'tmpfs', target: '/tmp', readOnly: false, size: 1024 ** 3, mode: 0o1777 }]);
    expect(wrong('tmpfs: /run/\nvolumes: [/run]')).toEqual(['services.web.tmpfs[0]: something is mounted at /run already']);
  });
});

describe('commands, environment, labels', () => {
  test.each<[string, string, unknown]>([
    ['command: a "b c"', 'command', ['a', 'b c']], ['command: [a, 1, true, "x y"]', 'command', ['a', '1', 'true', 'x y']], ['command: []', 'command', []], ['command: ""', 'command', []], ['entrypoint: /e.sh -x', 'entrypoint', ['/e.sh', '-x']],
    ['environment: { A: 1.10, B: true, C: 0644, D: null, E: "", F: yes, G: 1e3 }', 'env', { A: '1.10', B: 'true', C: '0644', D: null, E: '', F: 'yes', G: '1e3' }],
    ['environment: ["A=1=2", B=, "C= x "]', 'env', { A: '1=2', B: '', C: ' x ' }], ['labels: [a=b, c]', 'labels', { a: 'b', c: '' }], ['labels: { a: 1, b: null }', 'labels', { a: '1', b: '' }],
    ['annotations: { a: b }', 'annotations', { a: 'b' }], ['working_dir: /app', 'workingDir', '/app'], ['user: 1000:1000', 'user', '1000:1000'], ['user: 1000', 'user', '1000'], ['group_add: [video, 44]', 'groupAdd', ['video', '44']],
    ['stop_signal: int', 'stopSignal', 'SIGINT'], ['stop_signal: SIGRTMIN+3', 'stopSignal', 'SIGRTMIN+3'], ['stop_signal: "9"', 'stopSignal', '9'], ['init: true', 'init', true], ['init: "yes"', 'init', true], ['read_only: on', 'readOnly', true],
    ['cap_add: [CAP_NET_ADMIN, sys_time, ALL]', 'capAdd', ['NET_ADMIN', 'SYS_TIME', 'ALL']], ['ulimits: { nofile: 1024, nproc: { soft: 1, hard: 2 }, memlock: -1 }', 'ulimits', { nofile: { soft: 1024, hard: 1024 }, nproc: { soft: 1, hard: 2 }, memlock: { soft: -1, hard: -1 } }],
    ['devices: [/dev/fuse, "/dev/a:/dev/b", "/dev/c:/dev/d:r", "/dev/e:rw"]', 'devices', [['/dev/fuse', '/dev/fuse', 'rwm'], ['/dev/a', '/dev/b', 'rwm'], ['/dev/c', '/dev/d', 'r'], ['/dev/e', '/dev/e', 'rw']].map(([source, target, permissions]) => ({ source, target, permissions }))],
    ['shm_size: 64m', 'shmSize', 64 * 1024 ** 2], ['oom_score_adj: -500', 'oomScoreAdj', -500], ['pull_policy: if_not_present', 'pullPolicy', 'missing'], ['pull_policy: always', 'pullPolicy', 'always'], ['security_opt: [no-new-privileges]', 'securityOpt', ['no-new-privileges']],
  ])('%s', (body, field, value) => expect(containerOf(body)).toHaveProperty(field, value));

  test.each([
    ['image: Nginx', '"Nginx" must be in small letters'], ['image: a:b:c', '"b:c" is no tag'], ['image: ""', 'the image is empty; a variable in it may not be set'], ['image: "nginx:"', 'the tag after the colon is missing'], ['image: a//b', 'there is nothing between two slashes'],
    ['image: a@sha256:123', '"sha256:123" is no digest'], ['image: "a b"', '" " is not allowed in an image\'s name'],
    ['command: "a \'b"', 'command: the \' is not closed; write the command as a list, or close the quote'], ['stop_signal: SIGFOO', '"SIGFOO" is no signal; write such as SIGTERM or SIGINT'], ['stop_grace_period: 10', 'stop_grace_period: "10" is no duration; give the unit, such as 10s'],
    ['ulimits: { files: 3 }', expect.stringContaining('there is no ulimit "files"')], ['ulimits: { nofile: { soft: 3, hard: 2 } }', 'the soft limit 3 is above the hard limit 2'], ['ulimits: { nofile: { soft: 3 } }', 'nofile lacks hard'],
    ['restart: sometimes', '"sometimes" is no restart policy; use "no", always, on-failure, on-failure:N or unless-stopped'], ['tty: maybe', 'tty must be true or false, not "maybe"'], ['cap_add: NET_ADMIN', 'cap_add must be a list, not "NET_ADMIN"'], ['environment: text', 'environment must be a mapping or a list of KEY=VALUE, not "text"'],
    ['environment: { A: [1] }', 'A must be a single value, not a list'], ['command: { a: b }', 'command must be a string or a list, not a mapping'], ['ulimits: [a]', 'ulimits must be a mapping, not a list'], ['working_dir: app', 'a directory in the container begins with /, unlike "app"'],
    ['hostname: a..b', '"a..b" cannot be a host\'s name; use letters, digits, - and _, 64 of them at most'], ['dns: [dns.example]', '"dns.example" is no IP address'], ['extra_hosts: ["a"]', 'extra_hosts[0] must be HOST=ADDRESS, not "a"'], ['extra_hosts: { a: b }', 'a: "b" is no IP address'], ['pull_policy: soon', 'there is no pull policy "soon"; the policies are always, missing, never, daily, weekly, every_12h and refresh'],
  ])('%s', (body, message) => {
    expect(wrong(body).map((error) => error.replace(/^\S+?: /, ''))[0]).toEqual(message);
  });

  test('hosts, in every spelling', () => {
    expect(webOf('extra_hosts: ["a=1.1.1.1", "b:2.2.2.2", "c:::1", "d=[::2]", "a:3.3.3.3"]').template.extraHosts).toEqual([
      { name: 'a', ip: '1.1.1.1' }, { name: 'a', ip: '3.3.3.3' }, { name: 'b', ip: '2.2.2.2' }, { name: 'c', ip: '::1' }, { name: 'd', ip: '::2' },
    ]);
    expect(webOf('extra_hosts: { a: [1.1.1.1, 2.2.2.2] }').template.extraHosts).toHaveLength(2);
  });
});

describe('healthcheck', () => {
  const defaults = { intervalMs: 30_000, timeoutMs: 30_000, retries: 3, startPeriodMs: 0, startIntervalMs: 5000 };
  test.each<[string, object]>([
    ['test: curl -f x', { test: { kind: 'shell', command: 'curl -f x' }, ...defaults }],
    ['test: [CMD, curl, x]', { test: { kind: 'exec', argv: ['curl', 'x'] }, ...defaults }],
    ['test: [CMD-SHELL, "a || b"]', { test: { kind: 'shell', command: 'a || b' }, ...defaults }],
    ['test: [NONE]', { test: { kind: 'none' }, ...defaults }], ['disable: true', { test: { kind: 'none' }, ...defaults }],
    ['test: x, interval: 1m30s, timeout: 500ms, retries: 5, start_period: 1h, start_interval: 2s', { test: { kind: 'shell', command: 'x' }, intervalMs: 90_000, timeoutMs: 500, retries: 5, startPeriodMs: 3_600_000, startIntervalMs: 2000 }],
  ])('%s', (body, check) => expect(containerOf(`healthcheck: { ${body} }`).healthcheck).toEqual(check));
  test.each([['test: [curl, x]', 'a test begins with CMD, CMD-SHELL or NONE, not "curl"; put "CMD" before it'], ['test: [CMD]', 'CMD needs a command'], ['test: [CMD-SHELL, a, b]', 'CMD-SHELL needs exactly one string']])('%s', (body, message) =>
    expect(wrong(`healthcheck: { ${body} }`)[0]).toContain(message));
});

describe('networks', () => {
  test('the default one, unless the file says otherwise', () => {
    const stack = stackOf(webStack('tty: true'));
    expect(stack.services['web']?.networks).toEqual([{ network: 'shop_default', aliases: [] }]);
    expect(stack.networks).toEqual({ default: { name: 'shop_default', external: false, internal: false, driver: 'overlay', driverOpts: {}, labels: {} } });
    expect(stackOf(`${webStack('tty: true')}networks: { default: { internal: true, name: mine } }`).networks).toMatchObject({ default: { name: 'mine', internal: true } });
    expect(stackOf(`${webStack('networks: [front]')}networks: { front: {}, unused: {} }`).networks).toEqual({ front: expect.objectContaining({ name: 'shop_front' }) });
  });
  test('external ones, and aliases', () => {
    const web = expectDefined(stackOf(`${webStack('container_name: shopweb\nnetworks: { a: { aliases: [x, web] }, b: }')}networks: { a: { external: true }, b: { external: { name: bb } } }`).services['web']);
    expect(web.networks).toEqual([{ network: 'a', aliases: ['x', 'shopweb'] }, { network: 'bb', aliases: ['shopweb'] }]);
  });
  test('the host\'s, and none', () => {
    expect(webOf('network_mode: host')).toMatchObject({ networks: [], template: { networkMode: 'host' } });
    expect(webOf('network_mode: none')).toMatchObject({ networks: [], template: { networkMode: 'none' } });
    expect(stackOf(`${webStack('networks: [h]')}networks: { h: { external: true, name: host } }`)).toMatchObject({ networks: {}, services: { web: { networks: [], template: { networkMode: 'host' } } } });
    expect(warningsOf(webStack('network_mode: host\nports: ["80:80"]'))[0]).toContain('ports has no effect');
    expect(wrong('network_mode: host\nnetworks: [a]', 'networks: { a: {} }')[0]).toContain('exclude each other');
  });
  test('links: dependency and alias', () => {
    const { services } = stackOf(`${webStack('links: ["db:database", cache]')}  db: { image: x }\n  cache: { image: x }\n`);
    expect(services['web']?.dependsOn.map(({ service }) => service)).toEqual(['db', 'cache']);
    expect(services['db']?.networks[0]?.aliases).toEqual(['database']);
  });
  test.each([['networks: [frnt]', 'there is no network "frnt"; did you mean front?'], ['networks: { front: { ipv4_address: 10.0.0.1 } }', 'ipv4_address is refused: addresses are given by the cluster; use the name of the service']])('%s', (body, message) =>
    expect(wrong(body, 'networks: { front: {} }')[0]).toContain(message));
});

describe('deploy', () => {
  test('modes', () => {
    expect(webOf('tty: true').mode).toEqual({ kind: 'replicated', replicas: 1 });
    expect(webOf('scale: 3').mode).toEqual({ kind: 'replicated', replicas: 3 });
    expect(webOf('deploy: { mode: global }').mode).toEqual({ kind: 'global' });
    expect(webOf('deploy: { mode: replicated-job, replicas: 4 }')).toMatchObject({ mode: { kind: 'replicated-job', completions: 4, concurrency: 4 }, template: { restart: { condition: 'on-failure' } } });
    expect(wrong('scale: 3\ndeploy: { replicas: 2 }')[0]).toContain('scale is 3, but deploy.replicas 2; keep one of them');
    expect(wrong('deploy: { mode: global, replicas: 2 }')[0]).toContain('runs once on every node');
    expect(wrong('deploy: { mode: globl }')[0]).toContain('"globl" is none of replicated, global, replicated-job, global-job; did you mean global?');
    expect(wrong('deploy: { replicas: -1 }')[0]).toContain('must be 0 or more, not -1');
    expect(wrong('deploy: { replicas: 1000000 }')[0]).toContain('the limit');
  });

  test('restarts', () => {
    const restart = (body: string): unknown => webOf(body).template.restart;
    const base = { delayMs: 100, maxAttempts: 0, windowMs: 10_000 };
    expect(restart('tty: true')).toEqual({ condition: 'any', ...base });
    expect(restart('restart: "no"')).toEqual({ condition: 'none', ...base });
    expect(restart('restart: no')).toEqual({ condition: 'none', ...base });
    expect(restart('restart: always')).toEqual({ condition: 'any', ...base });
    expect(restart('restart: on-failure:3')).toEqual({ condition: 'on-failure', ...base, maxAttempts: 3 });
    expect(restart('restart: unless-stopped')).toEqual({ condition: 'unless-stopped', ...base });
    expect(restart('restart: "no"\ndeploy: { restart_policy: { condition: on-failure, delay: 5s, max_attempts: 2, window: 1m } }')).toEqual({ condition: 'on-failure', delayMs: 5000, maxAttempts: 2, windowMs: 60_000, attemptsWithinMs: 60_000 });
    expect(wrong('deploy: { mode: global-job }\nrestart: always')[0]).toContain('a job that is restarted always never ends');
    expect(stackOf(`${webStack('depends_on: { mig: { condition: service_completed_successfully } }')}  mig: { image: x }\n`).services['mig']?.template.restart.condition).toBe('on-failure');
  });

  test('updates', () => {
    const defaults = { parallelism: 1, delayMs: 0, order: 'stop-first', failureAction: 'pause', monitorMs: 5000, maxFailureRatio: 0 };
    expect(webOf('tty: true')).toMatchObject({ update: defaults, rollback: defaults });
    expect(webOf('deploy: { update_config: { parallelism: 2, delay: 10s, order: start-first, failure_action: rollback, monitor: 1m, max_failure_ratio: 0.3 }, rollback_config: { parallelism: 0 } }'))
      .toMatchObject({ update: { parallelism: 2, delayMs: 10_000, order: 'start-first', failureAction: 'rollback', monitorMs: 60_000, maxFailureRatio: 0.3 }, rollback: { parallelism: 0 } });
    expect(wrong('deploy: { rollback_config: { failure_action: rollback } }')[0]).toContain('none of pause, continue');
  });

  test('resources, old and new', () => {
    const made = (body: string): unknown => [containerOf(body).limits, webOf(body).template.reservations];
    expect(made('deploy: { resources: { limits: { cpus: "0.5", memory: 50M, pids: 10 }, reservations: { cpus: 0.25, memory: 20M } } }'))
      .toEqual([{ cpus: 0.5, memory: 50 * 1024 ** 2, memoryReservation: 20 * 1024 ** 2, pids: 10 }, { cpus: 0.25, memory: 20 * 1024 ** 2 }]);
    expect(made('cpus: 1.5\nmem_limit: 1g\nmem_reservation: 512m\nmemswap_limit: -1\npids_limit: -1\ncpu_shares: 512\ncpuset: 0-1'))
      .toEqual([{ cpus: 1.5, cpuShares: 512, cpuset: '0-1', memory: 1024 ** 3, memoryReservation: 512 * 1024 ** 2, memorySwap: -1 }, { cpus: 0, memory: 512 * 1024 ** 2 }]);
    expect(made('cpu_quota: 50000')).toEqual([{ cpus: 0.5 }, { cpus: 0, memory: 0 }]);
    expect(made('cpu_quota: 50000\ncpu_period: 25000')).toEqual([{ cpus: 2 }, { cpus: 0, memory: 0 }]);
  });
  test.each([
    ['mem_limit: 1g\ndeploy: { resources: { limits: { memory: 2g } } }', 'mem_limit says 1073741824, but memory under deploy.resources 2147483648; keep one of them'],
    ['mem_limit: 256', '256 bytes of memory are too few for a container; did you mean 256m?'],
    ['deploy: { resources: { limits: { memory: 10m }, reservations: { memory: 20m } } }', 'more memory is reserved than the limit allows'],
    ['deploy: { resources: { limits: { cpus: 1 }, reservations: { cpus: 2 } } }', 'more CPUs are reserved than the limit allows'],
    ['memswap_limit: 1g', 'memswap_limit needs a memory limit; give mem_limit too'], ['cpuset: a', '"a" is no list of CPUs; write such as "0-3" or "0,2"'], ['cpus: 1\ncpu_quota: 1000', 'cpus and cpu_quota say the same; keep cpus'], ['cpus: half', 'cpus must be a number, not "half"'],
  ])('%s', (body, message) => expect(wrong(body).map((error) => error.replace(/^\S+?: /, ''))).toEqual([message]));

  test('labels are the service\'s, not the container\'s', () => {
    expect(webOf('deploy: { labels: { a: b } }\nlabels: { c: d }')).toMatchObject({ labels: { a: 'b' }, template: { containers: [{ labels: { c: 'd' } }] } });
  });
});

describe('placement', () => {
  const ok = (text: string, dialect: 'auto' | 'classic' = 'auto'): unknown => {
    const result = parseConstraint(text, dialect);
    return 'ok' in result ? result.ok : result;
  };

  test('constraints and preferences', () => {
    const { placement } = webOf('deploy: { placement: { constraints: [node.labels.type == frontend, "type==frontend", node.role != manager], preferences: [{ spread: node.labels.zone }, { spread: rack }], max_replicas_per_node: 2 } }');
    expect(placement.constraints).toEqual([ok('node.labels.type == frontend'), ok('type==frontend'), ok('node.role != manager')]);
    expect(placement.spread.map(({ subject }) => subject)).toEqual([{ kind: 'label', key: 'zone' }, { kind: 'label', key: 'rack' }]);
    expect(placement).toMatchObject({ maxPerNode: 2, strategy: 'spread' });
  });

  test.each([
    ['environment: ["constraint:type==frontend", A=1]'], ['environment: { "constraint:type": "=frontend", A: 1 }'],
  ])('classic Swarm: %s', (body) => {
    const web = webOf(body);
    expect(web.placement.constraints).toEqual([ok('type==frontend', 'classic')]);
    expect(web.template.containers[0]?.env).toEqual({ A: '1' });
  });

  test('classic Swarm: !=, ~, regular expressions, labels', () => {
    expect(webOf('environment: ["constraint:type!=frontend", "constraint:disk==~ssd", "constraint:node==/a|b/"]').placement.constraints)
      .toEqual([ok('type!=frontend', 'classic'), ok('disk==~ssd', 'classic'), ok('node==/a|b/', 'classic')]);
    const label = `com.docker.swarm.constraints: '["type==frontend","zone!=a"]'`;
    expect(webOf(`labels: { ${label} }`).placement.constraints).toEqual([ok('type==frontend', 'classic'), ok('zone!=a', 'classic')]);
    expect(webOf(`deploy: { labels: { ${label} } }`).placement.constraints).toHaveLength(2);
    expect(webOf('environment: ["reschedule:on-node-failure"]').template.containers[0]?.env).toEqual({});
  });

  test('classic Swarm: affinities, dependencies', () => {
    const affinities = (body: string, rest = '') => stackOf(`${webStack(body)}${rest}`).services['web']?.placement.affinities?.map(({ source, soft, subject }) => [source, soft, subject.kind]);
    const db = '  db: { image: postgres, container_name: database }\n';
    expect(affinities('environment: ["affinity:container==db", "affinity:image!=~redis*", "affinity:tier==front", A=1]', db)).toEqual([['container==db', false, 'container'], ['image!=~redis*', true, 'image'], ['tier==front', false, 'label']]);
    expect(affinities(`labels: { com.docker.swarm.affinities: '["container==shop_x.1","image!=x"]' }`)).toEqual([['container==shop_x.1', false, 'container'], ['image!=x', false, 'image']]);
    expect(affinities('environment: ["dependency:db", "dependency:container==~db"]', db)).toEqual([['container==db', false, 'container'], ['container==~db', true, 'container']]);
    expect(affinities('x-affinities: container == ~db', db)).toEqual([['container == ~db', true, 'container']]);
    // container_name is another name of the service.
    expect(stackOf(`${webStack('x-affinities: ["container==database"]')}${db}`).services['web']?.placement.affinities?.[0]?.pattern.value).toBe('db');
    expect(containerOf('environment: ["affinity:image==x", "dependency:shop_db", A=1]').env).toEqual({ A: '1' });
    expect(webOf('tty: true').placement).not.toHaveProperty('affinities');
  });

  test('affinities that cannot be', () => {
    const db = '  db: { image: postgres }\n';
    expect(errorsOf(webStack('x-affinities: ["container==dbb"]') + db)).toEqual(['4:20 services.web.x-affinities[0]: affinity container==dbb: there is no service "dbb" in the stack; did you mean db?']);
    expect(warningsOf(webStack('x-affinities: ["container==~dbb"]') + db)).toHaveLength(1);
    expect(errorsOf(webStack('environment: ["affinity:container=db"]') + db)).toEqual([expect.stringMatching(/^4:41 .*= is not an operator; did you mean container==db\?/)]);
    expect(errorsOf(webStack('environment:\n  - "affinity:ima ge==x"'))).toEqual([expect.stringMatching(/^5:22 .*a space is not allowed in a key$/)]);
    expect(wrong('x-affinities: ["container==db"]', '  db: { image: x, x-affinities: ["container==web"] }\n')).toEqual(['services.web: services wait for each other by affinity: web → db → web; remove one of the affinities: a service goes where the other one is either way']);
    expect(wrong('x-affinities: ["container==web"]')).toEqual([]);
  });

  test('classic Swarm: whitelists and rescheduling', () => {
    expect(webOf('environment: ["whitelist:node==node-1"]').placement.constraints).toEqual([{ subject: { kind: 'node' }, op: '==', pattern: { kind: 'literal', value: 'node-1' }, soft: false, source: 'whitelist:node==node-1' }]);
    expect(webOf('environment: ["whitelist:node==~a.b|c"]').placement.constraints).toMatchObject([{ pattern: { kind: 'regex', value: '^(?:a\\.b|c)$' }, soft: true }]);
    expect(webOf(`labels: { com.docker.swarm.whitelists: '["node==a|b"]' }`).placement.constraints).toMatchObject([{ pattern: { value: '^(?:a|b)$' } }]);
    expect(wrong('environment: ["whitelist:node=="]')[0]).toContain('names no node');
    expect(wrong('environment: ["whitelist:node==a*|b"]')[0]).toContain('"a*" cannot be a node\'s name');
    expect(webOf('environment: ["reschedule:off"]').placement.reschedule).toBe('off');
    expect(webOf(`labels: { com.docker.swarm.reschedule-policies: '["off"]' }`).placement.reschedule).toBe('off');
    expect(webOf('environment: ["reschedule:on-node-failure"]').placement).not.toHaveProperty('reschedule');
    expect(wrong('environment: ["reschedule:of"]')[0]).toContain('there is no policy reschedule:of; did you mean off?');
  });

  test('Marathon\'s operators', () => {
    const made = (body: string) => webOf(body).placement.operators?.map(({ source }) => source);
    expect(made('x-constraints: [[hostname, UNIQUE], "rack:GROUP_BY:3", [rack, MAX_PER, 2], "node.labels.disk:LIKE:ssd|nvme:x", [zone, CLUSTER]]')).toEqual(['hostname:UNIQUE', 'rack:GROUP_BY:3', 'rack:MAX_PER:2', 'node.labels.disk:LIKE:ssd|nvme:x', 'zone:CLUSTER']);
    expect(made('x-constraints: hostname:UNIQUE')).toEqual(['hostname:UNIQUE']);
    expect(stackOf([webStack('x-constraints: [hostname:UNIQUE, "rack:MAX_PER:2"]'), webStack('x-constraints: [[hostname, UNIQUE], "zone:UNIQUE"]')]).services['web']?.placement.operators?.map(({ source }) => source)).toEqual(['hostname:UNIQUE', 'rack:MAX_PER:2', 'zone:UNIQUE']);
    expect(errorsOf(webStack('x-constraints:\n  - [hostname, UNIQ]\n  - rack:MAX_PER:lots\n  - [rack, LIKE, "("]\n  - hostname\n  - { a: b }\n  - node.hostnam:UNIQUE'))).toEqual([
      '5:20 services.web.x-constraints[0][1]: constraint hostname:UNIQ: there is no operator "UNIQ"; did you mean UNIQUE?',
      '6:22 services.web.x-constraints[1][2]: constraint rack:MAX_PER:lots: MAX_PER needs a number from 1, not "lots"',
      '7:22 services.web.x-constraints[2][2]: constraint rack:LIKE:(: bad regular expression: missing closing ): `(`',
      '8:9 services.web.x-constraints[3][0]: constraint hostname: after hostname must come an operator; write such as [hostname, UNIQUE] or rack:MAX_PER:2',
      '9:9 services.web.x-constraints[4]: x-constraints[4] must be FIELD:OPERATOR[:VALUE] or a list of these words, not a mapping',
      '10:9 services.web.x-constraints[5][0]: constraint node.hostnam:UNIQUE: there is no node.hostnam; did you mean node.hostname?',
    ]);
  });

  test('strategy', () => {
    expect(webOf('x-placement: { strategy: binpack }').placement.strategy).toBe('binpack');
    expect(wrong('x-placement: { strategy: binpak }')).toEqual(['services.web.x-placement.strategy: strategy: "binpak" is none of spread, binpack, random; did you mean binpack?']);
    expect(wrong('x-placement: { stratgy: binpack }')[0]).toContain('unknown key stratgy; did you mean strategy?');
  });

  test('our own keys misspelt or misplaced are warned about, others are nobody\'s business', () => {
    expect(warningsOf(webStack('x-constraint: [hostname:UNIQUE]\nx-afinities: []\nx-mine: 1\nx-common: &c { a: b }'))).toEqual(['4:5 services.web.x-constraint: x-constraint has no effect', '5:5 services.web.x-afinities: x-afinities has no effect']);
    expect(warningsOf(webStack('deploy: { x-constraints: [hostname:UNIQUE], placement: { x-placement: 1 } }'))).toEqual(['4:15 services.web.deploy.x-constraints: x-constraints has no effect here', '4:62 services.web.deploy.placement.x-placement: x-placement has no effect here']);
  });

  test('expressions that no node can satisfy', () => {
    expect(errorsOf(webStack('deploy:\n  placement:\n    constraints:\n      - type==a\n      - type==b'))).toEqual(['8:13 services.web.deploy.placement.constraints[1]: no node can ever match: type==a and type==b exclude each other']);
    expect(wrong('deploy: { placement: { constraints: [node.role==mangaer] } }')).toEqual(['services.web.deploy.placement.constraints[0]: no node can ever match: node.role==mangaer can never hold: node.role is manager or worker; did you mean manager?']);
    expect(wrong('x-constraints: ["rack:CLUSTER:b"]\ndeploy: { placement: { constraints: [rack==a] } }')).toEqual(['services.web.x-constraints[0]: no node can ever match: rack==a and rack:CLUSTER:b exclude each other']);
  });

  test('platform', () => {
    expect(webOf('platform: linux/arm64/v8').placement.constraints.map(({ source }) => source)).toEqual(['node.platform.os==linux', 'node.platform.arch==arm64']);
    expect(wrong('platform: windows/amd64')[0]).toContain('the hosts run linux, not windows');
  });

  test('mistakes point at the character', () => {
    expect(errorsOf(webStack('deploy:\n  placement:\n    constraints:\n      - node.labels.type = frontend'))).toEqual([expect.stringMatching(/^7:\d+ services.web.deploy.placement.constraints\[0\]: constraint "node.labels.type = frontend": = is not an operator; did you mean/)]);
    expect(errorsOf(webStack('environment:\n  - "constraint:ty pe==frontend"'))).toEqual([expect.stringMatching(/^5:\d+ services.web.environment\["constraint:ty pe"\]: .*a space is not allowed in a key$/)]);
    expect(wrong(`labels: { com.docker.swarm.constraints: 'type==x' }`)[0]).toContain('must be a JSON list of strings');
    expect(wrong('deploy: { placement: { constraints: type==x } }')[0]).toContain('must be a list');
  });
});

describe('depends_on', () => {
  test('short and long', () => {
    const rest = '  db: { image: x }\n  mq: { image: x }\n';
    expect(expectDefined(stackOf(`${webStack('depends_on: [db]')}${rest}`).services['web']).dependsOn).toEqual([{ service: 'db', condition: 'service_started', required: true, restart: false }]);
    expect(expectDefined(stackOf(`${webStack('depends_on: { db: { condition: service_healthy, restart: true, required: false }, mq: }')}${rest}`).services['web']).dependsOn)
      .toEqual([{ service: 'db', condition: 'service_healthy', required: false, restart: true }, { service: 'mq', condition: 'service_started', required: true, restart: false }]);
  });
  test('mistakes', () => {
    expect(wrong('depends_on: [dbb]', '  db: { image: x }\n')).toEqual(['services.web.depends_on.dbb: there is no service "dbb"; did you mean db?']);
    expect(wrong('depends_on: [db, db]', '  db: { image: x }\n')).toEqual(['services.web.depends_on[1]: "db" is listed twice']);
    expect(wrong('depends_on: [web]')[0]).toContain('the service web cannot depend on itself');
    expect(wrong('depends_on: [db]', '  db: { image: x, depends_on: [mq] }\n  mq: { image: x, depends_on: [web] }\n')[0]).toContain('services depend on each other: web → db → mq → web');
    expect(wrong('depends_on: { db: { condition: healthy } }', '  db: { image: x }\n')[0]).toContain('"healthy" is none of');
  });
  test('a long chain is no trouble', () => {
    const chain = Array.from({ length: 5000 }, (_, i) => `  s${i}: { image: x, depends_on: [s${i + 1}] }`).join('\n');
    expect(load(`services:\n${chain}\n  s5000: { image: x }\n`).ok).toBe(true);
  });
});

describe('secrets and configs', () => {
  const digest = 'sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b';
  const rest = 'secrets:\n  s: { file: ./s.txt }\n  e: { environment: TOKEN }\n  x: { external: true }\nconfigs:\n  c: { content: "a=$A" }\n  n: { name: named, file: s.txt, labels: [l=1] }\n';
  const options = { on: { '/work/shop/s.txt': 'secret' }, env: { TOKEN: 't', A: '1' } };

  test('content, digests, names', () => {
    const stack = stackOf(rest + webStack('secrets: [s, x]'), options);
    expect(stack.secrets).toEqual({
      s: { name: 'shop_s', external: false, labels: {}, content: btoa('secret'), digest },
      e: { name: 'shop_e', external: false, labels: {}, content: btoa('t'), digest: expect.any(String) },
      x: { name: 'x', external: true, labels: {} },
    });
    expect(stack.configs).toMatchObject({ c: { content: btoa('a=1') }, n: { name: 'named', digest, labels: { l: '1' } } });
    expect(stack.services['web']?.template.containers[0]?.secrets).toEqual([
      { source: 'shop_s', digest, target: '/run/secrets/s', uid: 0, gid: 0, mode: 0o444 }, { source: 'x', target: '/run/secrets/x', uid: 0, gid: 0, mode: 0o444 },
    ]);
  });

  test('bytes stay bytes', () => {
    const bytes = new Uint8Array([0, 255, 128, 10]);
    expect(stackOf(rest + webStack('secrets: [s]'), { ...options, on: { '/work/shop/s.txt': bytes } }).secrets['s']?.content).toBe(Buffer.from(bytes).toString('base64'));
  });

  test('long form', () => {
    const container = expectDefined(stackOf(rest + webStack('secrets: [{ source: s, target: x/y, uid: "103", gid: 104, mode: 0440 }, { source: s, target: /abs, mode: "0400" }]\nconfigs: [c, { source: n, target: /etc/n, mode: 288 }]'), options).services['web']?.template.containers[0]);
    expect(container.secrets).toMatchObject([{ target: '/run/secrets/x/y', uid: 103, gid: 104, mode: 0o440 }, { target: '/abs', mode: 0o400 }]);
    expect(container.configs).toMatchObject([{ target: '/c', source: 'shop_c' }, { target: '/etc/n', source: 'named', mode: 0o440 }]);
  });

  test.each([
    ['secrets: { a: {} }', 'the secret a has no content; give it file, environment or content, or external: true'], ['secrets: { a: { file: x, content: y } }', 'the secret a has file and content, but may have only one'],
    ['secrets: { a: { file: none.txt } }', 'there is no file none.txt'], ['secrets: { a: { environment: NOPE } }', 'the variable NOPE is not set'], ['configs: { a: { external: true, file: x } }', 'file cannot stand beside external: true'],
    ['secrets: { a: { driver: vault } }', 'driver: vault is refused|driver is refused'], ['configs: { a: { template_driver: jinja, content: x } }', 'there is no template driver "jinja"'],
  ])('%s', (text, message) => expect(errorsOf(`${text}\n${webStack('tty: true')}`)[0]).toMatch(new RegExp(message)));

  test('size, unknown ones, and two at one place', () => {
    expect(errorsOf(`secrets: { a: { file: s.txt } }\n${webStack('tty: true')}`, { on: { '/work/shop/s.txt': new Uint8Array(600_000) } })[0]).toContain('600000 bytes, more than 512000, the limit');
    expect(wrong('secrets: [pasword]', 'secrets: { password: { content: x } }')[0]).toContain('there is no secret "pasword"; did you mean password?');
    expect(wrong('secrets: [a, { source: a, target: a }]', 'secrets: { a: { content: x } }')).toEqual([]);
    expect(warningsOf(`secrets: { a: { content: x } }\n${webStack('secrets: [a, { source: a, target: a }]')}`)[0]).toContain('secrets has two entries for "/run/secrets/a"; the last one counts');
    expect(wrong('secrets: [a]\nconfigs: [{ source: b, target: /run/secrets/a }, { source: b, target: /x }, { source: b, target: /x/ }]', 'secrets: { a: { content: x } }\nconfigs: { b: { content: x } }')).toEqual(['services.web.configs[2]: something is at /x already']);
    expect(wrong('configs: [{ source: a, uid: root }]', 'configs: { a: { content: x } }')[0]).toContain('the uid must be a number, not "root"');
  });
});

describe('networks and volumes of the top level', () => {
  test('names, options, labels', () => {
    const stack = stackOf(`${webStack('volumes: [nfs:/d]')}volumes: { nfs: { driver_opts: { type: nfs, o: "addr=10.0.0.1,rw", device: ":/x" }, labels: [a=b] }, unused: }`);
    expect(stack.volumes).toEqual({
      nfs: { name: 'shop_nfs', external: false, driver: 'local', driverOpts: { type: 'nfs', o: 'addr=10.0.0.1,rw', device: ':/x' }, labels: { a: 'b' } },
      unused: { name: 'shop_unused', external: false, driver: 'local', driverOpts: {}, labels: {} },
    });
  });
  test.each([
    ['volumes: { a: { driver: "a b" } }', '"a b" is no name of a volume driver'], ['volumes: { a: { driver_opts: { size: much } } }', '"much" is no size'], ['volumes: { a: { driver_opts: { type: ext4 } } }', 'driver_opts says nothing of the device'], ['networks: { a: { driver: macvlan } }', 'the network driver macvlan is refused'], ['networks: { a: { driver_opts: { encrypted: "" } } }', 'the option encrypted is not supported'],
    ['volumes: { a: { external: true, driver: local } }', 'driver cannot stand beside external: true'], ['networks: { a: { enable_ipv6: true } }', 'enable_ipv6: true is refused|enable_ipv6 is not supported yet'], ['networks: { a: { external: maybe } }', 'must be true or false'],
  ])('%s', (text, message) => expect(errorsOf(`${text}\n${webStack('tty: true')}`)[0]).toMatch(new RegExp(message)));
});

describe('the stack\'s name', () => {
  test.each([
    [{}, '', 'shop'], [{ projectName: 'given' }, 'name: file', 'given'], [{}, 'name: file', 'file'], [{ workingDir: '/x/My App_1' }, '', 'myapp_1'], [{ env: { COMPOSE_PROJECT_NAME: 'env' } }, 'name: file', 'env'], [{ env: { N: 'x' } }, 'name: a-$N', 'a-x'],
  ])('%j %j → %s', (options, line, name) => expect(stackOf(`${line}\n${webStack('tty: true')}`, options).name).toBe(name));
  test.each([[{}, 'name: My App'], [{ projectName: 'A' }, ''], [{ workingDir: '/' }, ''], [{ projectName: '../x' }, '']])('%j %j is none', (options, line) => expect(errorsOf(`${line}\n${webStack('tty: true')}`, options)[0]).toMatch(/name/));
});

describe('logging', () => {
  test.each<[string, object | undefined]>([
    ['{}', undefined],
    ['{ driver: json-file }', undefined],
    ['{ driver: local, options: {} }', undefined],
    ['{ options: { max-size: 10m, max-file: "3" } }', { maxSize: 10_000_000, maxFile: 3 }],
    ['{ options: { max-size: 1.5GB, max-file: 3 } }', { maxSize: 1_500_000_000, maxFile: 3 }],
    ['{ driver: json-file, options: { max-size: 512k } }', { maxSize: 512_000, maxFile: 1 }],
    ['{ driver: local, options: { max-size: 512k } }', { maxSize: 512_000, maxFile: 5 }],
    ['{ driver: local, options: { max-file: 2 } }', { maxSize: 20_000_000, maxFile: 2 }],
    ['{ options: { max-size: "-1" } }', { maxSize: -1, maxFile: 1 }],
  ])('%s', (text, logging) => expect(containerOf(`logging: ${text}`).logging).toEqual(logging));

  test.each([
    ['max-size: ten', 'options.max-size: "ten" is no size; write such as 10m, or -1 for no limit'],
    ['max-size: "-2"', 'options.max-size: "-2" is no size; write such as 10m, or -1 for no limit'],
    ['max-size: 10', 'options.max-size: 10 bytes of output are too few; write such as 10m, or -1 for no limit'],
    ['max-file: 0', 'options.max-file: "0" is no number of files; write such as "3"'],
  ])('%s', (option, message) => expect(wrong(`logging: { options: { ${option} } }`)).toEqual([`services.web.logging.${message}`]));

  test('what else there is changes nothing, and says so', () => {
    expect(warningsOf(webStack('logging: { driver: json-file, options: { max-size: 1m, compress: "true" } }'))).toEqual([expect.stringContaining('compress has no effect: output is kept as it was written')]);
  });
});
