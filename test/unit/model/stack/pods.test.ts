/** Services that share a pod, sidecars, containers that run before: from the file to the template. */
import { describe, expect, test } from 'vitest';
import type { ServiceSpec } from '../../../../model/spec.ts';
import { errorsOf, expectDefined, load, stackOf, warningsOf, type Options } from './load.ts';

function service(text: string, name: string, options?: Options): ServiceSpec {
  return expectDefined(stackOf(text, options).services[name]);
}

function wrong(text: string): readonly string[] {
  return errorsOf(text).map((line) => line.replace(/^\d+:\d+ /, ''));
}

const names = ({ template }: ServiceSpec): readonly string[] => template.containers.map(({ name }) => name);
const after = ({ template }: ServiceSpec): object => Object.fromEntries(template.containers.flatMap(({ name, after: list }) => (list ? [[name, list.map(({ container, condition }) => `${container} ${condition.replace('service_', '')}`)]] : [])));

describe('network_mode: service:…', () => {
  const vpn = `services:
  torrent:
    image: torrent
    network_mode: service:vpn
    restart: unless-stopped
    ports: ["6881:6881/udp"]
    depends_on: { vpn: { condition: service_healthy } }
    volumes: [data:/data]
    deploy: { resources: { limits: { memory: 256m }, reservations: { memory: 128m } }, labels: { who: torrent } }
  vpn:
    image: vpn
    cap_add: [NET_ADMIN]
    container_name: gluetun
    ports: ["8080:8080"]
    sysctls: { net.ipv4.conf.all.src_valid_mark: 1 }
    deploy: { replicas: 2, resources: { reservations: { memory: 64m, cpus: "0.5" } }, labels: { who2: vpn } }
  web:
    image: web
    depends_on: { torrent: { condition: service_healthy }, vpn: { condition: service_started, restart: true } }
    links: ["torrent:tracker"]
volumes: { data: }
`;
  test('the container goes into the other one\'s pod, and there is no service of its own', () => {
    const stack = stackOf(vpn);
    expect(Object.keys(stack.services)).toEqual(['vpn', 'web']);
    const pod = expectDefined(stack.services['vpn']);
    expect(names(pod)).toEqual(['vpn', 'torrent']);
    expect(after(pod)).toEqual({ torrent: ['vpn healthy'] });
    expect(pod).toMatchObject({
      mode: { kind: 'replicated', replicas: 2 }, labels: { who: 'torrent', who2: 'vpn' }, dependsOn: [],
      ports: [{ target: 8080, published: 8080 }, { target: 6881, published: 6881, protocol: 'udp' }],
      networks: [{ network: 'shop_default', aliases: ['gluetun', 'torrent', 'tracker'] }],
      template: {
        reservations: { cpus: 0.5, memory: 192 * 1024 ** 2 }, restart: { condition: 'any' }, networkMode: 'pod', sysctls: { 'net.ipv4.conf.all.src_valid_mark': '1' },
        containers: [{ image: 'vpn', capAdd: ['NET_ADMIN'] }, { image: 'torrent', restart: { condition: 'unless-stopped' }, limits: { memory: 256 * 1024 ** 2 }, mounts: [{ volume: 'shop_data' }] }],
      },
    });
    expect(pod.template.containers[0]).not.toHaveProperty('restart');
  });
  test('others depend on the container, not on the whole pod', () => {
    expect(service(vpn, 'web').dependsOn).toEqual([
      { service: 'vpn', container: 'torrent', condition: 'service_healthy', required: true, restart: false },
      { service: 'vpn', container: 'vpn', condition: 'service_started', required: true, restart: true },
    ]);
  });
  test('printed as it was written, and loaded again', () => {
    const result = load(vpn);
    expect(result.ok && result.compose.services['torrent']).toMatchObject({ network_mode: 'service:vpn' });
    expect(result.ok && result.compose.services['torrent']?.networks).toBeUndefined();
  });

  test.each([['service:db'], ['container:pg'], ['container:shop_db'], ['container:shop-db-1'], ['container:shop_db.1'], ['container:shop_db_1']])('%s', (mode) => {
    const pod = service(`services:\n  a: { image: a, network_mode: "${mode}" }\n  db: { image: b, container_name: pg }\n`, 'db');
    expect(names(pod)).toEqual(['db', 'a']);
    expect(after(pod)).toEqual({ a: ['db started'] });
  });
  test('a chain ends in one pod', () => {
    const pod = service('services:\n  a: { image: a, network_mode: "service:b" }\n  b: { image: b, network_mode: "service:c" }\n  c: { image: c }\n  d: { image: d, network_mode: "service:c", depends_on: [a] }\n', 'c');
    expect(names(pod)).toEqual(['c', 'a', 'b', 'd']);
    expect(after(pod)).toEqual({ a: ['b started'], b: ['c started'], d: ['a started', 'c started'] });
  });
  test('what it depends on outside, the pod waits for', () => {
    const stack = stackOf('services:\n  a: { image: a, network_mode: "service:db", depends_on: { mq: { condition: service_healthy }, db: { condition: service_started } } }\n  db: { image: b, depends_on: [mq] }\n  mq: { image: m }\n');
    expect(stack.services['db']?.dependsOn).toEqual([{ service: 'mq', condition: 'service_healthy', required: true, restart: false }]);
  });
  test('on the host\'s network, and without one', () => {
    expect(service('services:\n  a: { image: a, network_mode: "service:db" }\n  db: { image: b, network_mode: host }\n', 'db').template).toMatchObject({ networkMode: 'host', containers: [{ name: 'db' }, { name: 'a' }] });
    expect(service('services:\n  a: { image: a, network_mode: "service:db" }\n  db: { image: b, network_mode: none }\n', 'db').template.networkMode).toBe('none');
  });
  test('namespaces of the pod\'s containers', () => {
    const pod = service('services:\n  a: { image: a, network_mode: "service:db", pid: "service:db", ipc: "container:shop_c" }\n  c: { image: c, network_mode: "service:db", ipc: shareable }\n  db: { image: b }\n', 'db');
    expect(pod.template.containers).toMatchObject([{ name: 'db' }, { name: 'a', pid: 'container:db', ipc: 'container:c' }, { name: 'c', ipc: 'shareable' }]);
    expect(after(pod)).toEqual({ a: ['db started', 'c started'], c: ['db started'] });
  });
  test('one that others wait for to be done is not restarted when it is', () => {
    const stack = stackOf('services:\n  init: { image: i, network_mode: "service:db" }\n  db: { image: b }\n  web: { image: w, network_mode: "service:db", depends_on: { init: { condition: service_completed_successfully } } }\n  out: { image: o, depends_on: { init: { condition: service_completed_successfully } } }\n');
    expect(stack.services['db']?.template).toMatchObject({ restart: { condition: 'any' }, containers: [{ name: 'db' }, { name: 'init', restart: { condition: 'on-failure' } }, { name: 'web', after: [{ container: 'init', condition: 'service_completed_successfully' }, { container: 'db', condition: 'service_started' }] }] });
    expect(stack.services['out']?.dependsOn).toMatchObject([{ service: 'db', container: 'init', condition: 'service_completed_successfully' }]);
  });
  test('affinities and borrowed volumes know the pod', () => {
    const stack = stackOf('services:\n  a: { image: a, network_mode: "service:db", volumes: ["v:/v"] }\n  db: { image: b }\n  c: { image: c, network_mode: "service:db", volumes_from: [a] }\n  w: { image: w, x-affinities: ["container==a"], volumes_from: ["a:ro"] }\nvolumes: { v: }\n');
    expect(stack.services['db']?.placement.affinities).toBeUndefined();
    expect(stack.services['db']?.template.containers[2]).toMatchObject({ mounts: [{ volume: 'shop_v' }], after: [{ container: 'a' }, { container: 'db' }] });
    expect(stack.services['w']?.placement.affinities?.map(({ pattern }) => pattern.value)).toEqual(['db', 'db']);
  });
  test('what may be said twice', () => {
    const pod = service('services:\n  a: { image: a, network_mode: "service:db", hostname: h, dns: 1.1.1.1, scale: 2, platform: linux/amd64, deploy: { mode: replicated, update_config: { parallelism: 2 } } }\n  db: { image: b, hostname: h, dns: [1.1.1.1], platform: linux/amd64, deploy: { replicas: 2, update_config: { parallelism: 2 } } }\n', 'db');
    expect(pod.template).toMatchObject({ hostname: 'h', dns: ['1.1.1.1'] });
  });

  test.each([
    ['network_mode: "service:nope"', 'services.a.network_mode: there is no service "nope"; name a service of this stack'], ['network_mode: "service:dbs"', 'services.a.network_mode: there is no service "dbs"; did you mean db?'], ['network_mode: "container:db"', 'services.a.network_mode: there is no container "db" in this stack; write service:db'],
    ['network_mode: "service:a"', 'services.a.network_mode: the service a cannot join itself; one of them must have a network of its own'], ['network_mode: "service:off"', 'services.a.network_mode: off belongs to the profile p, which is not switched on; apply with --profile p'], ['network_mode: "srvice:db"', 'services.a.network_mode: there is no network mode "srvice:db"; the modes are host, none, bridge, service:NAME and container:NAME; networks are named under networks'],
    ['network_mode: "service:db", networks: [n]', 'services.a.networks: networks and network_mode exclude each other: a has the networks of db; keep one of them'], ['network_mode: "service:db", hostname: x', 'services.a.hostname: hostname of a differs from that of db, whose pod it shares; remove it, and say it in db'],
    ['network_mode: "service:db", scale: 2', 'services.a.scale: the number of replicas of a differs from that of db, whose pod it shares; remove it, and say it in db'], ['network_mode: "service:db", deploy: { mode: global }', 'services.a.deploy.mode: mode of a differs from that of db, whose pod it shares; remove it, and say it in db'],
    ['network_mode: "service:db", deploy: { placement: { constraints: [a==b] } }', 'services.a.deploy.placement: the placement of a differs from that of db, whose pod it shares; remove it, and say it in db'], ['network_mode: "service:db", x-constraints: [hostname:UNIQUE]', 'services.a.x-constraints: x-constraints of a differs from that of db, whose pod it shares; remove it, and say it in db'],
    ['network_mode: "service:db", environment: ["constraint:zone==b"]', 'services.a.environment: the placement of a differs from that of db, whose pod it shares; remove it, and say it in db'], ['network_mode: "service:db", deploy: { update_config: { parallelism: 3 } }', 'services.a.deploy.update_config: update_config of a differs from that of db, whose pod it shares; remove it, and say it in db'],
    ['network_mode: "service:db", deploy: { endpoint_mode: dnsrr }', 'services.a.deploy.endpoint_mode: endpoint_mode of a differs from that of db, whose pod it shares; remove it, and say it in db'], ['network_mode: "service:db", sysctls: { net.core.somaxconn: 2 }', 'services.a.sysctls["net.core.somaxconn"]: net.core.somaxconn is 1 in the pod that it shares; say it once'],
    ['network_mode: "service:db", deploy: { labels: { l: other } }', 'services.a.deploy.labels.l: the label l differs from that of db, whose pod it shares; say it once'], ['network_mode: "service:db", ports: ["80:1"]', 'services.a.ports: port 80/tcp is published twice; publish it under another number'], ['network_mode: "service:db", ports: ["80:80"]', 'services.a.ports[0]: port 80:80/tcp is listed twice'],
    ['network_mode: "service:db", depends_on: [a]', 'services.a.depends_on.a: the service a cannot depend on itself'], ['network_mode: "service:db", depends_on: [nobody]', 'services.a.depends_on.nobody: there is no service "nobody"'],
  ])('a: { %s }', (body, message) => {
    expect(wrong(`services:\n  db: { image: b, sysctls: { net.core.somaxconn: 1 }, ports: ["80:80"], deploy: { labels: { l: v } } }\n  a: { image: a, ${body} }\n  off: { image: o, profiles: [p] }\nnetworks: { n: }\n`)).toEqual([message]);
  });
  test('circles', () => {
    expect(wrong('services:\n  a: { image: a, network_mode: "service:b" }\n  b: { image: b, network_mode: "service:a" }\n')).toEqual(['services.b.network_mode: services join each other: a → b → a; one of them must have a network of its own']);
    expect(wrong('services:\n  a: { image: a, network_mode: "service:b" }\n  b: { image: b, depends_on: [a] }\n')).toEqual(['services.b.depends_on.a: containers of the pod wait for each other: b → a → b; remove one of the dependencies']);
    expect(wrong('services:\n  a: { image: a, network_mode: "service:b", depends_on: [x] }\n  b: { image: b }\n  x: { image: x, depends_on: [b] }\n')[0]).toContain('services depend on each other: b → x → b');
  });
  test('a pod has its limit', () => {
    const many = Array.from({ length: 120 }, (_, i) => `  a${i}: { image: a, network_mode: "service:db" }\n`).join('');
    expect(wrong(`services:\n  db: { image: b }\n${many}`)).toEqual(['services.db: the pod has 121 containers, more than 100, the limit; give some of them pods of their own']);
  });
});

describe('x-pod', () => {
  const text = `services:
  web:
    image: web
    stop_grace_period: 20s
    volumes: ["cache:/cache:ro", "work:/work"]
    depends_on: { proxy: { condition: service_healthy }, db: { condition: service_healthy } }
    mem_reservation: 64m
    env_file: web.env
    x-pod:
      init:
        - { image: busybox, command: "touch /work/ready", volumes: ["work:/work"], mem_reservation: 512m }
        - { name: fetch, image: curl, env_file: [web.env], environment: { B: "2" } }
      sidecars:
        proxy:
          image: proxy
          ports: ["8443:8443"]
          restart: on-failure:3
          environment: [A, C=3]
          volumes: [{ type: volume, source: cache, target: /c }, "data:/data"]
          x-probes: { readiness: 8443 }
          mem_limit: 32m
          mem_reservation: 16m
        logs: { image: logs, depends_on: [proxy], user: "1000", tmpfs: /run, post_start: [{ command: x, environment: [A] }] }
      volumes:
        cache: { medium: memory, size: 64m }
        work:
  db: { image: db }
volumes: { data: }
`;
  const options: Options = { env: { A: 'outside' }, on: { '/work/shop/web.env': 'F=file\n' } };
  const web = service(text, 'web', options);
  test('sidecars, in their order', () => {
    expect(names(web)).toEqual(['web', 'proxy', 'logs']);
    expect(after(web)).toEqual({ web: ['proxy healthy'], logs: ['proxy started'] });
  });
  test('containers have everything a service\'s container has', () => {
    const [own, proxy, logs] = web.template.containers;
    expect(own).toMatchObject({ env: { F: 'file' }, mounts: [{ kind: 'pod', name: 'cache', target: '/cache', readOnly: true, medium: 'memory', size: 64 * 1024 ** 2 }, { kind: 'pod', name: 'work', target: '/work', readOnly: false }] });
    expect(proxy).toMatchObject({ env: { A: 'outside', C: '3' }, restart: { condition: 'on-failure', maxAttempts: 3 }, mounts: [{ kind: 'pod', name: 'cache' }, { kind: 'volume', volume: 'shop_data' }], readinessProbe: { ask: { kind: 'tcp', port: 8443 } }, limits: { memory: 32 * 1024 ** 2 } });
    expect(logs).toMatchObject({ user: '1000', mounts: [{ kind: 'tmpfs' }], postStart: [{ env: { A: 'outside' } }] });
    expect(logs).not.toHaveProperty('restart');
  });
  test('init containers, names, reservations, ports', () => {
    expect(web.template.initContainers).toMatchObject([
      { name: 'web-init-1', image: 'busybox', command: ['touch', '/work/ready'], mounts: [{ kind: 'pod', name: 'work' }] }, { name: 'fetch', env: { F: 'file', B: '2' } },
    ]);
    // Side by side 80 MiB, before that 512.
    expect(web.template.reservations).toEqual({ cpus: 0, memory: 512 * 1024 ** 2 });
    expect(web).toMatchObject({ ports: [{ published: 8443 }], dependsOn: [{ service: 'db', condition: 'service_healthy' }], template: { stopGraceMs: 20_000 } });
    expect(web.dependsOn[0]).not.toHaveProperty('container');
  });
  test('a circle that goes through a shared namespace', () => {
    expect(errorsOf(text.replace('          mem_limit: 32m\n', '          pid: container:web\n'), options)).toEqual(['6:19 services.web.depends_on.proxy: containers of the pod wait for each other: web → proxy → web; remove one of the dependencies']);
  });
  test('who waits for a job waits for its own container', () => {
    const stack = stackOf('services:\n  job: { image: j, x-pod: { sidecars: { s: { image: s } } } }\n  web: { image: w, depends_on: { job: { condition: service_completed_successfully } } }\n  api: { image: a, depends_on: [job] }\n');
    expect(stack.services['web']?.dependsOn).toMatchObject([{ service: 'job', container: 'job' }]);
    expect(stack.services['api']?.dependsOn[0]).not.toHaveProperty('container');
  });
  test('files merge: init containers are appended, sidecars merge by name', () => {
    const base = 'services: { web: { image: w, x-pod: { init: [{ image: a }], sidecars: { s: { image: s, environment: { A: 1 } } }, volumes: [v] } } }';
    const pod = expectDefined(stackOf([base, 'services: { web: { x-pod: { init: [{ image: b }], sidecars: { s: { environment: [B=2] }, t: { image: t } } }, volumes: ["v:/v"] } }']).services['web']);
    expect(pod.template).toMatchObject({ initContainers: [{ image: 'a' }, { image: 'b' }], containers: [{ mounts: [{ kind: 'pod', name: 'v' }] }, { name: 's', env: { A: '1', B: '2' } }, { name: 't' }] });
  });
  test('a service that joined brings its own', () => {
    const pod = service('services:\n  db: { image: d, x-pod: { volumes: [shared] } }\n  a: { image: a, network_mode: "service:db", volumes: ["shared:/s"], x-pod: { init: [{ image: i }], sidecars: { s: { image: s } } } }\n', 'db');
    expect(pod.template).toMatchObject({ initContainers: [{ name: 'a-init-1' }], containers: [{ name: 'db' }, { name: 'a', mounts: [{ kind: 'pod', name: 'shared' }] }, { name: 's' }] });
  });

  test.each([
    ['sidecars: { db: { image: s } }', 'services.web.x-pod.sidecars.db: the sidecar db has the name of a service; give it another one: depends_on could mean either'], ['sidecars: { web: { image: s } }', 'services.web.x-pod.sidecars.web: the sidecar web has the name of a service; give it another one: depends_on could mean either'],
    ['sidecars: { s: { image: s } }, init: [{ name: s, image: i }]', 'services.web.x-pod.sidecars.s: two containers of the pod are called s: a sidecar and an init container; give one of them another name'], ['sidecars: { s: {} }', 'services.web.x-pod.sidecars.s: the sidecar s has no image; name one: image: …'],
    ['init: [{ command: x }]', 'services.web.x-pod.init[0]: the container init[0] has no image; name one: image: …'], ['sidecars: { s: { image: s, networks: [n] } }', 'services.web.x-pod.sidecars.s.networks: networks is refused: the containers of a pod have it in common; put it into the service'],
    ['init: [{ image: i, healthcheck: { test: x } }]', 'services.web.x-pod.init[0].healthcheck: healthcheck is refused: the container runs once, before the others, and ends; remove it, or make the container a sidecar'],
    ['sidecars: { s: { image: s, depends_on: [db] } }', 'services.web.x-pod.sidecars.s.depends_on.db: db is not in the pod: its containers wait for each other only; put it into depends_on of the service web: the whole pod waits then'], ['sidecars: { s: { image: s, depends_on: [wbe] } }', 'services.web.x-pod.sidecars.s.depends_on.wbe: there is no container "wbe" in the pod; did you mean web?'],
    ['sidecars: { s: { image: s, depends_on: [s] } }', 'services.web.x-pod.sidecars.s.depends_on.s: the container s cannot depend on itself'], ['volumes: { data: }', 'services.web.x-pod.volumes.data: data is a volume of the stack, too; give one of them another name: a mount could mean either'], ['volumes: { d: { size: 1m } }', 'services.web.x-pod.volumes.d.size: a directory on the disk has no size of its own; add medium: memory, or remove size'],
    ['volumes: { d: { medium: disk } }', 'services.web.x-pod.volumes.d.medium: medium: "disk" is none of memory'], ['sidecar: {}', 'services.web.x-pod.sidecar: unknown key sidecar; did you mean sidecars?'], ['sidecars: { s: { image: s, deploy: { replicas: 2 } } }', 'services.web.x-pod.sidecars.s.deploy.replicas: unknown key replicas; it belongs under deploy'],
    ['sidecars: [a]', 'services.web.x-pod.sidecars: sidecars must be a mapping, not a list'],
  ])('{ %s }', (body, message) => {
    expect(wrong(`services:\n  web: { image: w, x-pod: { ${body} } }\n  db: { image: d }\nvolumes: { data: }\n`)).toEqual([message]);
  });
  test('mounts of a directory of the pod', () => {
    const errors = wrong('services:\n  web: { image: w, volumes: [{ type: volume, source: d, target: /d, volume: { subpath: x } }], x-pod: { volumes: [d] } }\n  db: { image: d, volumes: ["d:/d"] }\n');
    expect(errors).toEqual(['services.web.volumes[0].volume.subpath: subpath says nothing about d, a directory of the pod; remove it', 'services.db.volumes[0].source: there is no volume "d"; declare it at the top level: volumes: { d: {} }']);
  });
  test('misspelt', () => expect(warningsOf('services: { web: { image: w, x-pods: { sidecars: {} } } }')).toEqual(['1:30 services.web.x-pods: x-pods has no effect']));
});

describe('pre_start', () => {
  const text = `services:
  app:
    image: app:1
    user: "1000"
    entrypoint: [/entry]
    command: [serve]
    environment: { DB: db, MODE: app }
    volumes: ["data:/data"]
    cap_drop: [ALL]
    ports: ["80:80"]
    healthcheck: { test: x }
    secrets: [token]
    pull_policy: always
    deploy: { replicas: 1, resources: { limits: { memory: 64m }, reservations: { cpus: "0.5" } } }
    depends_on: { db: { condition: service_healthy } }
    pre_start:
      - command: ["./manage.py", migrate]
        environment: [MODE=migrate, MORE]
      - image: busybox
        user: root
        command: sh -c 'chown -R 1000 /data'
        cap_drop: !reset []
        volumes: ["other:/data"]
  db: { image: db }
volumes: { data: , other: }
secrets: { token: { content: x } }
`;
  test('containers before the service\'s own, which have all that it has', () => {
    const { template, dependsOn } = service(text, 'app', { env: { MORE: 'more' } });
    expect(template.initContainers).toMatchObject([
      {
        name: 'app-pre-start-1', image: 'app:1', user: '1000', entrypoint: ['/entry'], command: ['./manage.py', 'migrate'], env: { DB: 'db', MODE: 'migrate', MORE: 'more' },
        mounts: [{ volume: 'shop_data', target: '/data' }], capDrop: ['ALL'], secrets: [{ source: 'shop_token' }], limits: { memory: 64 * 1024 ** 2 }, pullPolicy: 'always',
      },
      { name: 'app-pre-start-2', image: 'busybox', user: 'root', command: ['sh', '-c', 'chown -R 1000 /data'], env: { DB: 'db', MODE: 'app' }, mounts: [{ volume: 'shop_other', target: '/data' }] },
    ]);
    expect(template.initContainers?.[1]).not.toHaveProperty('entrypoint');
    for (const container of template.initContainers ?? []) expect(container).not.toHaveProperty('healthcheck');
    expect(template.containers).toHaveLength(1);
    expect(template.reservations).toEqual({ cpus: 0.5, memory: 0 });
    expect(dependsOn).toMatchObject([{ service: 'db', condition: 'service_healthy' }]);
  });
  test('after x-pod\'s, which have nothing of the service', () => {
    const { template } = service('services: { a: { image: a, user: u, pre_start: [{ command: p }], x-pod: { init: [{ image: i }] } } }', 'a');
    expect(template.initContainers?.map(({ name, user }) => [name, user])).toEqual([['a-init-1', undefined], ['a-pre-start-1', 'u']]);
  });
  test('of a service that joined: after the pod that it joins, before itself', () => {
    const pod = service('services:\n  vpn: { image: v, healthcheck: { test: x } }\n  app: { image: a, network_mode: "service:vpn", depends_on: { vpn: { condition: service_healthy } }, pre_start: [{ command: one }, { command: two }] }\n', 'vpn');
    expect(pod.template.initContainers).toBeUndefined();
    expect(names(pod)).toEqual(['vpn', 'app-pre-start-1', 'app-pre-start-2', 'app']);
    expect(after(pod)).toEqual({ 'app-pre-start-1': ['vpn healthy'], 'app-pre-start-2': ['app-pre-start-1 completed_successfully'], app: ['vpn healthy', 'app-pre-start-2 completed_successfully'] });
    expect(pod.template.containers[1]?.restart?.condition).toBe('on-failure');
  });
  test('every pod has its own', () => {
    const stack = (more: string, deploy: string) => `services: { a: { image: a, pre_start: [{ command: x${more} }], deploy: ${deploy} } }`;
    expect(warningsOf(stack('', '{ replicas: 1 }'))).toEqual([]);
    expect(warningsOf(stack(', per_replica: true', '{ mode: global }'))).toEqual([]);
    expect(warningsOf(stack('', '{ replicas: 3 }'))).toEqual(['1:40 services.a.pre_start[0]: it runs before every pod of a, not once for all of them']);
    expect(wrong(stack(', per_replica: false', '{ replicas: 3 }'))[0]).toMatch(/^services.a.pre_start\[0\].per_replica: it runs before every pod of a, not once for all of them; say per_replica: true if that is right;/);
    expect(warningsOf(stack(', per_replica: false', '{ replicas: 1 }'))).toEqual([]);
  });
  test.each([
    ['[{ user: root }]', 'services.a.pre_start[0]: a pre_start needs a command, or an image of its own; say what to run with command'], ['[{ command: x, restart: always }]', 'services.a.pre_start[0].restart: restart is refused: the container runs once, before the others, and ends; remove it, or make the container a sidecar'],
    ['[{ comand: x, image: i }]', 'services.a.pre_start[0].comand: unknown key comand; did you mean command?'], ['[{ command: x, image: I }]', 'services.a.pre_start[0].image: "I" must be in small letters'],
  ])('%s', (list, message) => expect(wrong(`services: { a: { image: a, pre_start: ${list} } }`)).toEqual([message]));
});

describe('x-on-disconnect', () => {
  const web = (value: string) => `services: { web: { image: web, x-on-disconnect: ${value} } }`;
  test.each([
    ['stop', { stopAfterMs: 30_000 }],
    ['{ action: stop }', { stopAfterMs: 30_000 }],
    ['{ action: stop, after: 1m30s }', { stopAfterMs: 90_000 }],
    ['keep', undefined],
    ['{ action: keep }', undefined],
    ['{}', undefined],
  ])('%s', (value, made) => {
    expect(service(web(value), 'web').template.onDisconnect).toEqual(made);
  });
  test('what makes no sense', () => {
    expect(wrong(web('{ action: keep, after: 10s }'))).toEqual([expect.stringContaining('with action: keep nothing happens')]);
    expect(wrong(web('{ action: stop, after: 4s }'))).toEqual([expect.stringContaining('so short a time')]);
    expect(wrong(web('restart'))).toEqual([expect.stringMatching(/keep.*stop/)]);
    expect(wrong('services: { db: { image: db }, web: { image: web, network_mode: "service:db", x-on-disconnect: stop } }')).toEqual([expect.stringContaining('x-on-disconnect of web differs from that of db')]);
  });
});
