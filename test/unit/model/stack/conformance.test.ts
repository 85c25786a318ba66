/**
 * The Compose specification, statement by statement, on the canonical model: merging, extending, including, interpolation, syntaxes.
 * Each row: what is written, where to look, what must be there.
 */
import { describe, expect, test } from 'vitest';
import { printCompose } from '../../../../model/stack/load.ts';
import type { Json } from '../../../../model/stack/types.ts';
import { errorsOf, load, webStack, type Options } from './load.ts';

/** The value at `services.web.ports`, numbers for items; undefined when there is none. */
function at(texts: string | readonly string[], path: string, options?: Options): Json | undefined {
  const result = load(texts, options);
  if (!result.ok) throw new Error(result.errors.map(({ at: place, path: where, message }) => `${place.line}:${place.column} ${where}: ${message}`).join('\n'));
  let value: unknown = result.compose;
  for (const key of path.split('.')) value = (value as Record<string, unknown> | undefined)?.[key];
  return value as Json | undefined;
}

const port = (target: number, published?: string, more: object = {}): object => ({ mode: 'ingress', target, ...(published === undefined ? {} : { published }), protocol: 'tcp', ...more });

describe('merging two files', () => {
  test.each<[string, string, string, string, Json | undefined | object]>([
    ['mappings', 'labels: { a: "1", b: "2" }', 'labels: { b: "3", c: "4" }', 'labels', { a: '1', b: '3', c: '4' }],
    ['list and mapping of labels', 'labels: [a=1, b=2]', 'labels: { b: "3" }', 'labels', { a: '1', b: '3' }],
    ['environment of both syntaxes', 'environment: [A=1, B]', 'environment: { B: x, C: }', 'environment', { A: '1', B: 'x', C: null }],
    ['sequences', 'dns: 1.1.1.1', 'dns: [8.8.8.8]', 'dns', ['1.1.1.1', '8.8.8.8']],
    ['sequences without repetitions', 'cap_add: [A, B]', 'cap_add: [B, C]', 'cap_add', ['A', 'B', 'C']],
    ['command', 'command: [a, b]', 'command: [c]', 'command', ['c']],
    ['entrypoint, string over list', 'entrypoint: [a, b]', 'entrypoint: c d', 'entrypoint', ['c', 'd']],
    ['healthcheck.test', 'healthcheck: { test: [CMD, a], retries: 2 }', 'healthcheck: { test: b }', 'healthcheck', { test: ['CMD-SHELL', 'b'], retries: 2 }],
    ['volumes by target', 'volumes: [foo:/work]\n', 'volumes: ["bar:/work", "foo:/more"]', 'volumes', [{ type: 'volume', source: 'bar', target: '/work' }, { type: 'volume', source: 'foo', target: '/more' }]],
    ['volumes, long over short', 'volumes: ["./a:/work"]', 'volumes: [{ type: volume, source: foo, target: /work, read_only: true }]', 'volumes', [{ type: 'volume', source: 'foo', target: '/work', read_only: true }]],
    ['ports that are the same', 'ports: ["8080:80"]', 'ports: [{ target: 80, published: "8080", mode: host }]', 'ports', [{ target: 80, published: '8080', mode: 'host', protocol: 'tcp' }]],
    ['ports that differ', 'ports: ["8080:80"]', 'ports: ["8081:80", "8080:80/udp", "127.0.0.1:8082:80"]', 'ports', [port(80, '8080'), port(80, '8081'), { ...port(80, '8080'), protocol: 'udp' }, { mode: 'ingress', host_ip: '127.0.0.1', target: 80, published: '8082', protocol: 'tcp' }]],
    ['secrets by target', 'secrets: [s, { source: s, target: other }]', 'secrets: [{ source: t, target: /run/secrets/s, mode: 0400 }]', 'secrets', [{ source: 't', target: '/run/secrets/s', mode: 0o400 }, { source: 's', target: 'other' }]],
    ['configs by target', 'configs: [c]', 'configs: [{ source: c, target: /c, mode: 0400 }]', 'configs', [{ source: 'c', target: '/c', mode: 0o400 }]],
    ['depends_on, short then long', 'depends_on: [a]', 'depends_on: { a: { condition: service_healthy }, b: }', 'depends_on', { a: { condition: 'service_healthy', required: true }, b: { condition: 'service_started', required: true } }],
    ['depends_on, long then long', 'depends_on: { a: { condition: service_healthy } }', 'depends_on: { a: { restart: true } }', 'depends_on', { a: { condition: 'service_healthy', restart: true, required: true } }],
    ['networks, list then mapping', 'networks: [n]', 'networks: { n: { aliases: [x] }, m: }', 'networks', { n: { aliases: ['x'] }, m: {} }],
    ['aliases', 'networks: { n: { aliases: [x] } }', 'networks: { n: { aliases: [x, y] } }', 'networks', { n: { aliases: ['x', 'y'] } }],
    ['ulimits, number then pair', 'ulimits: { nofile: 10 }', 'ulimits: { nofile: { soft: 5, hard: 20 }, nproc: 3 }', 'ulimits', { nofile: { soft: 5, hard: 20 }, nproc: { soft: 3, hard: 3 } }],
    ['sysctls of both syntaxes', 'sysctls: [net.core.somaxconn=1]', 'sysctls: { net.core.somaxconn: 2, net.ipv4.tcp_syncookies: 0 }', 'sysctls', { 'net.core.somaxconn': '2', 'net.ipv4.tcp_syncookies': '0' }],
    ['extra_hosts', 'extra_hosts: [a=1.1.1.1]', 'extra_hosts: { b: 2.2.2.2 }', 'extra_hosts', { a: ['1.1.1.1'], b: ['2.2.2.2'] }],
    ['logging of one driver', 'logging: { driver: local, options: { a: b } }', 'logging: { driver: local, options: { c: d } }', 'logging.options', { a: 'b', c: 'd' }],
    ['logging of another driver', 'logging: { driver: json-file, options: { a: b } }', 'logging: { driver: local, options: { c: d } }', 'logging.options', { c: 'd' }],
    ['devices by target', 'devices: ["/dev/a:/dev/x"]', 'devices: ["/dev/b:/dev/x:r"]', 'devices', [{ source: '/dev/b', target: '/dev/x', permissions: 'r' }]],
    ['deploy, deeply', 'deploy: { replicas: 2, resources: { limits: { cpus: "1" } }, labels: [a=b] }', 'deploy: { resources: { limits: { memory: 50m } }, labels: { c: d } }', 'deploy', { replicas: 2, resources: { limits: { cpus: 1, memory: '52428800' } }, labels: { a: 'b', c: 'd' } }],
    ['placement constraints', 'deploy: { placement: { constraints: [a==b] } }', 'deploy: { placement: { constraints: [c==d, a==b] } }', 'deploy.placement.constraints', ['a==b', 'c==d']],
    ['env files, one of them again', 'env_file: [a.env, b.env]', 'env_file: a.env', 'environment', { X: 'b' }],
    ['scalars', 'user: a', 'user: b', 'user', 'b'],
    ['null over a value', 'user: a', 'user:', 'user', 'a'],
    ['!reset of a key', 'ports: ["80:80"]', 'ports: !reset []', 'ports', undefined],
    ['!reset of an entry', 'environment: { A: x, B: y }', 'environment: { A: !reset null }', 'environment', { B: 'y' }],
    ['!reset of what nobody set', 'user: a', 'dns: !reset null', 'dns', undefined],
    ['!override of a list', 'ports: ["8080:80"]', 'ports: !override ["8443:443"]', 'ports', [port(443, '8443')]],
    ['!override of a mapping', 'labels: { a: "1" }', 'labels: !override { b: "2" }', 'labels', { b: '2' }],
    ['x- keys', 'x-mine: { a: 1, b: 2 }', 'x-mine: { b: 3 }', 'x-mine', { b: 3 }],
    ['x-constraints', 'x-constraints: [hostname:UNIQUE]', 'x-constraints: [[hostname, UNIQUE], rack:UNIQUE]', 'x-constraints', [['hostname', 'UNIQUE'], ['rack', 'UNIQUE']]],
  ])('%s', (_, first, second, path, expected) => {
    const rest = '  a: { image: x }\n  b: { image: x }\nnetworks: { n: , m: }\nvolumes: { foo: , bar: }\nsecrets: { s: { content: x }, t: { content: y } }\nconfigs: { c: { content: x } }\n';
    expect(at([webStack(first) + rest, webStack(second)], `services.web.${path}`, { on: { '/work/shop/a.env': 'X=a', '/work/shop/b.env': 'X=b' } })).toEqual(expected);
  });

  test('top-level things and names', () => {
    expect(at(['name: one\nservices: { a: { image: x } }\nvolumes: { v: { labels: { a: b } } }', 'name: two\nvolumes: { v: { labels: [c=d], name: vol } }'], 'volumes.v')).toEqual({ labels: { a: 'b', c: 'd' }, name: 'vol' });
    expect(at(['name: one\nservices: { a: { image: x } }', 'name: two'], 'name')).toBe('two');
    expect(at(['services: { a: { image: x }, b: { image: y } }', 'services: { a: !reset null }'], 'services')).toEqual({ b: { image: 'y', networks: { default: {} } } });
    expect(at(['services: { a: { image: x, tty: true } }', 'services: { a: !override { image: y } }'], 'services.a')).toEqual({ image: 'y', networks: { default: {} } });
  });

  test('three files, in their order', () => {
    expect(at(['services: { a: { image: x, cap_add: [A] } }', 'services: { a: { image: y, cap_add: [B] } }', 'services: { a: { image: z, cap_add: !override [C] } }'], 'services.a')).toMatchObject({ image: 'z', cap_add: ['C'] });
  });

  test('interpolation is done before merging; paths start at the first file', () => {
    expect(at([webStack('volumes: ["./$D:/d"]'), webStack('volumes: ["./other:/e"]')], 'services.web.volumes', { env: { D: 'data' } })).toMatchObject([{ source: '/work/shop/data' }, { source: '/work/shop/other' }]);
  });
});

describe('extends', () => {
  const base = 'services:\n  base: { image: busybox, user: root, environment: { TZ: utc, PORT: 80 }, volumes: ["common:/data:rw"], security_opt: ["label:role:ROLE"], command: [a], healthcheck: { test: [CMD, x], retries: 5 }, depends_on: [dep], ports: ["1"] }\n  dep: { image: x }\n';
  test.each<[string, string, string, Json | object]>([
    ['mappings', 'environment: { PORT: 8080 }', 'environment', { TZ: 'utc', PORT: '8080' }], ['scalars', 'user: me', 'user', 'me'], ['mounts by target', 'volumes: ["cli:/data:ro"]', 'volumes', [{ type: 'volume', source: 'cli', target: '/data', read_only: true }]],
    ['sequences, the base first', 'security_opt: ["label:user:USER"]', 'security_opt', ['label:role:ROLE', 'label:user:USER']], ['commands', 'command: [b]', 'command', ['b']], ['healthcheck', 'healthcheck: { retries: 1 }', 'healthcheck', { test: ['CMD', 'x'], retries: 1 }],
    ['depends_on comes along', 'tty: true', 'depends_on', { dep: { condition: 'service_started', required: true } }], ['!reset', 'ports: !reset []', 'ports', undefined as unknown as Json], ['!override', 'ports: !override ["2:2"]', 'ports', [port(2, '2')]],
  ])('%s', (_, body, path, expected) => {
    expect(at(`${base}  web:\n    extends: { service: base }\n    ${body}\nvolumes: { common: , cli: }\n`, `services.web.${path}`)).toEqual(expected);
  });

  test('a chain, by name alone, across files with paths of their own', () => {
    const on = { '/work/shop/lib/common.yml': 'services: { app: { extends: inner, environment: [A=app], env_file: app.env, volumes: ["./d:/d"] }, inner: { image: i, extends: { file: ../deep/base.yml, service: b } } }', '/work/shop/deep/base.yml': 'services: { b: { image: none, user: deep, volumes: ["./e:/e"] } }', '/work/shop/lib/app.env': 'FROM=file\n' };
    expect(at('services: { web: { extends: { file: lib/common.yml, service: app }, environment: { B: web } } }', 'services.web', { on })).toMatchObject({
      image: 'i', user: 'deep', environment: { A: 'app', B: 'web', FROM: 'file' }, volumes: [{ source: '/work/shop/deep/e' }, { source: '/work/shop/lib/d' }],
    });
    expect(at('services: { web: { extends: base, tty: true }, base: { image: b } }', 'services.web')).toMatchObject({ image: 'b', tty: true });
  });

  test('an override file may extend what the first file has', () => {
    expect(at(['services: { base: { image: b, user: u }, web: { extends: base } }', 'services: { web: { user: v } }'], 'services.web')).toMatchObject({ image: 'b', user: 'v' });
  });

  test.each([
    ['services: { web: { extends: none, image: x } }', 'there is no service none'], ['services: { web: { extends: { file: none.yml, service: a }, image: x } }', 'there is no file none.yml'], ['services: { web: { extends: web, image: x } }', 'services extend each other'],
    ['services: { a: { extends: b }, b: { extends: a } }', 'services extend each other: a → b → a'],
  ])('%s', (text, message) => expect(errorsOf(text).join('\n')).toContain(message));
});

describe('include', () => {
  const on = {
    '/work/shop/sub/compose.yaml': 'name: other\nservices: { inner: { image: "i:${TAG:-none}", volumes: ["./d:/d"], env_file: e.env, networks: [n] } }\nnetworks: { n: }\nvolumes: { v: }',
    '/work/shop/sub/.env': 'TAG=env\n', '/work/shop/sub/e.env': 'E=1\n', '/work/shop/over.yml': 'services: { inner: { user: over } }', '/work/shop/dev.env': 'TAG=dev\n', '/work/shop/e.env': 'E=2\n',
  };
  const main = (include: string) => `include: ${include}\nservices: { web: { image: x, depends_on: [inner] } }\n`;
  test.each<[string, string, Options, object]>([
    ['the short syntax: its own directory and .env', '[sub/compose.yaml]', {}, { image: 'i:env', volumes: [{ source: '/work/shop/sub/d' }], environment: { E: '1' }, networks: { n: {} } }],
    ['the project\'s environment wins', '[sub/compose.yaml]', { env: { TAG: 'mine' } }, { image: 'i:mine' }],
    ['env_file', '[{ path: sub/compose.yaml, env_file: dev.env }]', {}, { image: 'i:dev' }],
    ['env_file, several', '[{ path: sub/compose.yaml, env_file: [sub/.env, dev.env] }]', {}, { image: 'i:dev' }],
    ['project_directory', '[{ path: sub/compose.yaml, project_directory: . }]', {}, { image: 'i:none', volumes: [{ source: '/work/shop/d' }], environment: { E: '2' } }],
    ['several paths are merged', '[{ path: [sub/compose.yaml, over.yml] }]', {}, { image: 'i:env', user: 'over' }],
  ])('%s', (_, include, options, expected) => {
    expect(at(main(include), 'services.inner', { on, ...options })).toMatchObject(expected);
  });

  test('what two files define must be the same, but a later file may override it; the name stays ours', () => {
    expect(errorsOf(`${main('[sub/compose.yaml]')}volumes: { v: { labels: { a: b } } }`, { on })[0]).toContain('volumes.v is included, but there is another one');
    expect(at([main('[sub/compose.yaml]'), 'services: { inner: { user: later } }'], 'services.inner', { on })).toMatchObject({ user: 'later', image: 'i:env' });
    expect(at(main('[sub/compose.yaml]'), 'name', { on })).toBe('shop');
    expect(at(main('[sub/compose.yaml]'), 'networks', { on })).toEqual({ n: { name: 'shop_n' }, default: { name: 'shop_default' } });
  });
});

describe('include and variables of its own', () => {
  const on = {
    '/work/shop/child/compose.yaml': 'services:\n  in: { image: x, environment: [BARE, OUT], env_file: [e.env], secrets: [s], extends: { file: base.yml, service: b } }\nsecrets: { s: { environment: MY_SECRET }, f: { file: "${FILE}" } }',
    '/work/shop/child/base.yml': 'services: { b: { image: b, environment: [DEEP] } }', '/work/shop/child/e.env': 'E=$BARE\n', '/work/shop/child/f.txt': 'file', '/work/shop/secret.env': 'MY_SECRET=this-is-secret\nBARE=bare\nFILE=f.txt\nDEEP=deep\nOUT=inner\n',
  };
  const text = 'include: [{ path: child/compose.yaml, env_file: [secret.env] }]\nservices: { web: { image: w, environment: [BARE] } }';
  test('fill in all that its files leave open, and nothing of the others', () => {
    const result = load(text, { on, env: { OUT: 'outer' } });
    const stack = result.ok ? result.stack : undefined;
    expect(stack?.services['in']?.template.containers[0]?.env).toEqual({ DEEP: 'deep', BARE: 'bare', OUT: 'outer', E: 'bare' });
    expect(stack?.services['web']?.template.containers[0]?.env).toEqual({ BARE: null });
    expect(Object.values(stack?.secrets ?? {}).map(({ content }) => Buffer.from(content ?? '', 'base64').toString())).toEqual(['this-is-secret', 'file']);
  });
});

describe('interpolation', () => {
  const env = { A: 'a', EMPTY: '', N: '3', B: 'x y' };
  test.each<[string, string]>([
    ['$A', 'a'], ['${A}', 'a'], ['x$A-y', 'xa-y'], ['$$A', '$A'], ['$${A}', '${A}'], ['$$$A', '$a'], ['${A:-d}', 'a'], ['${NO:-d}', 'd'], ['${EMPTY:-d}', 'd'], ['${EMPTY-d}', ''], ['${NO-d}', 'd'], ['${A:+r}', 'r'], ['${EMPTY:+r}', ''], ['${EMPTY+r}', 'r'], ['${NO+r}', ''],
    ['${NO:-${A}}', 'a'], ['${NO:-${NO:-deep}}', 'deep'], ['${NO:-$A}', 'a'], ['${NO:-a:b}', 'a:b'], ['${NO:-}', ''], ['${NO:-a}b}', 'ab}'], ['${A:+${N}}', '3'], ['${NO:-"quoted"}', '"quoted"'], ['$NO', ''], ['${A}${N}', 'a3'], ['${NO:-$$}', '$'], ['${NO:-x y}', 'x y'], ['$A$N', 'a3'], ['${A:?must}', 'a'], ['${EMPTY?must}', ''],
  ])('%s is %j', (text, expected) => expect(at(webStack(`labels: { l: ${JSON.stringify(text)} }`), 'services.web.labels.l', { env })).toBe(expected));

  test.each<[string, string]>([
    ['${NO:?say why}', 'say why'], ['${EMPTY:?say}', 'is empty: say'], ['${NO?say ${A}}', 'say a'], ['${A', 'is not closed'], ['${}', 'needs the name'], ['${A/x/y}', 'cannot stand after'], ['$', 'alone'], ['${1A}', 'needs the name'], ['${A:b}', 'cannot stand after'],
  ])('%s is an error', (text, message) => expect(errorsOf(webStack(`labels: { l: ${JSON.stringify(text)} }`), { env })[0]).toContain(message));

  test('values only, of all types; keys never', () => {
    expect(at(webStack('labels: { "$A": b }\nenvironment: ["$A=b"]\ndeploy: { replicas: $N }\ntty: "${YES:-true}"\nports: ["${N}000:80"]'), 'services.web', { env })).toMatchObject({ labels: { $A: 'b' }, environment: { a: 'b' }, deploy: { replicas: 3 }, tty: true, ports: [port(80, '3000')] });
    expect(at(webStack('command: $B'), 'services.web.command', { env })).toEqual(['x', 'y']);
  });
});

describe('env files', () => {
  test.each<[string, Json]>([
    ['VAR=VAL', 'VAL'], ['VAR="VAL"', 'VAL'], ["VAR='VAL'", 'VAL'], ['VAR=VAL # comment', 'VAL'], ['VAR=VAL# not a comment', 'VAL# not a comment'], ['VAR="VAL # not a comment"', 'VAL # not a comment'], ['VAR="VAL" # comment', 'VAL'], ["VAR='$OTHER'", '$OTHER'], ["VAR='${OTHER}'", '${OTHER}'],
    ["VAR='Let\\'s go!'", "Let's go!"], ['VAR="{\\"hello\\": \\"json\\"}"', '{"hello": "json"}'], ['VAR="some\\tvalue"', 'some\tvalue'], ["VAR='some\\tvalue'", 'some\\tvalue'], ['VAR=some\\tvalue', 'some\\tvalue'], ['VAR=', ''], ['VAR', null], ['export VAR=x', 'x'], ['# c\n\nVAR=x\n', 'x'], ['A=1\nVAR=$A${A}', '11'],
    ['VAR="${A:-d}"', 'd'], ['VAR=a=b', 'a=b'], ['VAR=  x  ', 'x'], ['VAR="a\nb"', 'a\nb'], ['VAR=a\r\nB=c', 'a'], ['VAR=$$x', '$x'], ['VAR = x', 'x'], ['VAR: x', 'x'],
  ])('%j', (text, expected) => {
    expect((at(webStack('env_file: e.env'), 'services.web.environment', { on: { '/work/shop/e.env': text } }) as Record<string, Json>)['VAR']).toBe(expected);
  });

  test.each<[string, Json]>([['VAR="x$y" # z', '"x$y" # z'], ["VAR='a'", "'a'"], ['VAR=a b ', 'a b '], ['VAR=', '']])('raw: %j', (text, expected) => {
    expect((at(webStack('env_file: [{ path: e.env, format: raw }]'), 'services.web.environment', { on: { '/work/shop/e.env': text } }) as Record<string, Json>)['VAR']).toBe(expected);
  });

  test('precedence: environment, then later files, then earlier ones; what is missing', () => {
    const on = { '/work/shop/a.env': 'A=a\nB=a\nC=a\n', '/work/shop/b.env': 'B=b\nC=b\n' };
    expect(at(webStack('env_file: [a.env, b.env]\nenvironment: { C: own, D: }'), 'services.web.environment', { on, env: { D: 'outer' } })).toEqual({ A: 'a', B: 'b', C: 'own', D: 'outer' });
    expect(at(webStack('env_file: [{ path: none.env, required: false }, a.env]'), 'services.web.environment', { on })).toEqual({ A: 'a', B: 'a', C: 'a' });
    expect(errorsOf(webStack('env_file: none.env'), { on })[0]).toContain('there is no file none.env');
    expect(at(webStack('label_file: [a.env, b.env]\nlabels: { C: own }'), 'services.web.labels', { on })).toEqual({ A: 'a', B: 'b', C: 'own' });
  });

  test('the process wins over --env-file, later ones over earlier ones', () => {
    const envFiles = [{ path: '1.env', content: 'X=1\nY=1\nZ=1' }, { path: '2.env', content: 'Y=2\nZ=2' }];
    expect(at(webStack('labels: { l: "$X$Y$Z" }'), 'services.web.labels.l', { envFiles, env: { Z: '3' } })).toBe('123');
  });
});

describe('short and long syntaxes', () => {
  test.each<[string, string, Json | object]>([
    ['ports: ["3000"]', 'ports', [port(3000)]], ['ports: ["3000-3002"]', 'ports', [port(3000), port(3001), port(3002)]], ['ports: ["9090-9091:8080-8081"]', 'ports', [port(8080, '9090'), port(8081, '9091')]], ['ports: [49100:22]', 'ports', [port(22, '49100')]],
    ['ports: ["127.0.0.1:8001:8001"]', 'ports', [{ mode: 'ingress', host_ip: '127.0.0.1', target: 8001, published: '8001', protocol: 'tcp' }]], ['ports: ["::1:6000:6000"]', 'ports.0.host_ip', '::1'], ['ports: ["[::1]:6001:6001"]', 'ports.0.host_ip', '::1'], ['ports: ["6060:6060/udp"]', 'ports.0.protocol', 'udp'],
    ['ports: ["127.0.0.1:5000-5001:6000-6001"]', 'ports.1', { mode: 'ingress', host_ip: '127.0.0.1', target: 6001, published: '5001', protocol: 'tcp' }], ['ports: [{ name: w, target: 80, host_ip: 127.0.0.1, published: 8080, protocol: tcp, app_protocol: http, mode: host }]', 'ports.0', { name: 'w', target: 80, host_ip: '127.0.0.1', published: '8080', protocol: 'tcp', app_protocol: 'http', mode: 'host' }],
    ['volumes: [/d]', 'volumes', [{ type: 'volume', target: '/d' }]], ['volumes: ["foo:/d"]', 'volumes', [{ type: 'volume', source: 'foo', target: '/d' }]], ['volumes: ["foo:/d:ro"]', 'volumes.0.read_only', true], ['volumes: ["./d:/d"]', 'volumes', [{ type: 'bind', source: '/work/shop/d', target: '/d', bind: { create_host_path: true } }]],
    ['volumes: ["../d:/d:z"]', 'volumes.0', { type: 'bind', source: '/work/d', target: '/d', bind: { create_host_path: true, selinux: 'z' } }], ['volumes: ["/abs/../d:/d:rw,rslave"]', 'volumes.0', { type: 'bind', source: '/d', target: '/d', bind: { create_host_path: true, propagation: 'rslave' } }],
    ['volumes: [{ type: bind, source: ./x, target: /d, bind: { create_host_path: false } }]', 'volumes.0', { type: 'bind', source: '/work/shop/x', target: '/d', bind: { create_host_path: false } }], ['volumes: [{ type: tmpfs, target: /d, tmpfs: { size: 1gb, mode: 0o700 } }]', 'volumes.0.tmpfs', { size: '1073741824', mode: 0o700 }],
    ['secrets: [s]', 'secrets', [{ source: 's' }]], ['secrets: [{ source: s, target: x, uid: "103", gid: "103", mode: 0o440 }]', 'secrets', [{ source: 's', target: 'x', uid: '103', gid: '103', mode: 0o440 }]], ['configs: [{ source: c, mode: "0444" }]', 'configs', [{ source: 'c', mode: 0o444 }]],
    ['networks: [n]', 'networks', { n: {} }], ['networks: { n: }', 'networks', { n: {} }], ['networks: []', 'networks', { default: {} }], ['depends_on: [a]', 'depends_on', { a: { condition: 'service_started', required: true } }], ['depends_on: { a: { condition: service_completed_successfully, required: false } }', 'depends_on', { a: { condition: 'service_completed_successfully', required: false } }],
    ['ulimits: { nproc: 65535, nofile: { soft: 20000, hard: 40000 } }', 'ulimits', { nproc: { soft: 65535, hard: 65535 }, nofile: { soft: 20000, hard: 40000 } }], ['sysctls: [net.core.somaxconn=1024]', 'sysctls', { 'net.core.somaxconn': '1024' }], ['devices: ["/dev/ttyUSB0:/dev/x:rw"]', 'devices', [{ source: '/dev/ttyUSB0', target: '/dev/x', permissions: 'rw' }]],
    ['extra_hosts: ["a=1.1.1.1", "b:2.2.2.2", "c=[::1]", "d:::1"]', 'extra_hosts', { a: ['1.1.1.1'], b: ['2.2.2.2'], c: ['::1'], d: ['::1'] }], ['tmpfs: /run', 'tmpfs', ['/run']], ['dns_search: example.com', 'dns_search', ['example.com']], ['annotations: [a=b]', 'annotations', { a: 'b' }], ['labels: [a, "b=c=d"]', 'labels', { a: '', b: 'c=d' }],
    ['command: bundle exec thin -p 3000', 'command', ['bundle', 'exec', 'thin', '-p', '3000']], ['command: /bin/sh -c \'echo "hello $$HOSTNAME"\'', 'command', ['/bin/sh', '-c', 'echo "hello $HOSTNAME"']], ['command: ""', 'command', []], ['command: []', 'command', []], ['command:', 'command', undefined as unknown as Json], ['entrypoint: ["a"]', 'entrypoint', ['a']],
    ['ports: ["8000-9000:80"]', 'ports', [port(80, '8000-9000')]], ['ports: [{ target: 80, published: "8083-9000" }]', 'ports', [port(80, '8083-9000')]], ['ports: [{ target: 80 }]', 'ports', [port(80)]], ['volumes: [{ type: bind, source: ./x, target: /d }]', 'volumes.0.bind', { create_host_path: true }], ['volumes: ["foo:/d:rw"]', 'volumes', [{ type: 'volume', source: 'foo', target: '/d' }]],
    ['volumes: ["/dev/usb-0:1.3:1.0-port0:/dev/usb-0:1.3:1.0-port0"]', 'volumes.0', { type: 'bind', source: '/dev/usb-0:1.3:1.0-port0', target: '/dev/usb-0:1.3:1.0-port0', bind: { create_host_path: true } }], ['volumes: ["/dev/a:b:c:/d:ro,z"]', 'volumes.0', { type: 'bind', source: '/dev/a:b:c', target: '/d', read_only: true, bind: { create_host_path: true, selinux: 'z' } }],
    ['gpus: all', 'gpus', [{ count: -1 }]], ['gpus: [{ driver: nvidia, count: 2, capabilities: [gpu] }]', 'gpus', [{ driver: 'nvidia', count: 2, capabilities: ['gpu'] }]], ['devices: ["vendor1.com/device=gpu"]', 'devices', [{ source: 'vendor1.com/device=gpu' }]], ['cpu_rt_runtime: "400ms"', 'cpu_rt_runtime', 400_000], ['cpu_rt_period: 11000', 'cpu_rt_period', 11_000], ['storage_opt: { size: 1G }', 'storage_opt', { size: '1G' }],
    ['post_start: [{ command: ./x.sh, user: root, privileged: true, environment: [FOO=BAR] }]', 'post_start', [{ command: ['./x.sh'], user: 'root', privileged: true, environment: { FOO: 'BAR' } }]], ['pre_start: [{ image: busybox, command: [a], per_replica: true }]', 'pre_start', [{ image: 'busybox', command: ['a'], per_replica: true }]], ['blkio_config: { weight: 300, device_read_bps: [{ path: /dev/sdb, rate: 12mb }], device_read_iops: [{ path: /dev/sdb, rate: 120 }] }', 'blkio_config', { weight: 300, device_read_bps: [{ path: '/dev/sdb', rate: '12582912' }], device_read_iops: [{ path: '/dev/sdb', rate: 120 }] }],
    ['extra_hosts: ["h=host-gateway"]', 'extra_hosts', { h: ['host-gateway'] }], ['expose: ["3000", 8000, "8080-8085/tcp"]', 'expose', ['3000', '8000', '8080-8085/tcp']], ['deploy: { placement: { preferences: [{ spread: node.labels.zone }, "spread=rack"] } }', 'deploy.placement.preferences', [{ spread: 'node.labels.zone' }, { spread: 'rack' }]], ['logging: { driver: json-file, options: { tag: } }', 'logging.options', { tag: '' }],
    ['cgroup: "${X:-}"\nuts: "${X:-}"\nuserns_mode: ""', 'cgroup', undefined as unknown as Json], ['mem_swappiness: "60"', 'mem_swappiness', 60], ['group_add: [mail, 1000]', 'group_add', ['mail', '1000']], ['image: my_private.registry:5000/redis@sha256:0ed5d5928d4737458944eb604cc8509e245c3e19d02ad83935398bc4b991aac7', 'image', 'my_private.registry:5000/redis@sha256:0ed5d5928d4737458944eb604cc8509e245c3e19d02ad83935398bc4b991aac7'], ['platform: linux/arm64/v8', 'platform', 'linux/arm64/v8'],
    ['healthcheck: { test: curl -f x || exit 1 }', 'healthcheck.test', ['CMD-SHELL', 'curl -f x || exit 1']], ['healthcheck: { test: [NONE] }', 'healthcheck.test', ['NONE']], ['healthcheck: { disable: true }', 'healthcheck.disable', true], ['deploy: { placement: { constraints: [disktype=ssd] } }', 'deploy.placement.constraints', ['disktype=ssd']], ['deploy: { placement: { constraints: { disktype: ssd } } }', 'deploy.placement.constraints', ['disktype==ssd']],
  ])('%s', (body, path, expected) => {
    expect(at(`${webStack(body)}  a: { image: x }\nnetworks: { n: }\nvolumes: { foo: }\nsecrets: { s: { content: x } }\nconfigs: { c: { content: x } }\n`, `services.web.${path}`)).toEqual(expected);
  });

  test.each<[string, string, Json]>([
    ['stop_grace_period: 1m30s', 'stop_grace_period', '1m30s'], ['stop_grace_period: 90s', 'stop_grace_period', '1m30s'], ['stop_grace_period: 2.5s', 'stop_grace_period', '2.5s'], ['stop_grace_period: 5h34m56s', 'stop_grace_period', '5h34m56s'], ['stop_grace_period: 1d', 'stop_grace_period', '24h0m0s'], ['stop_grace_period: 0', 'stop_grace_period', '0s'], ['stop_grace_period: 1h', 'stop_grace_period', '1h0m0s'],
    ['mem_limit: 2b\nmemswap_limit: -1', 'memswap_limit', '-1'], ['shm_size: 1024k', 'shm_size', '1048576'], ['shm_size: 1024kb', 'shm_size', '1048576'], ['shm_size: 300m', 'shm_size', '314572800'], ['shm_size: 1gb', 'shm_size', '1073741824'], ['shm_size: 1.5g', 'shm_size', '1610612736'], ['shm_size: 100', 'shm_size', '100'], ['shm_size: 64MiB', 'shm_size', '67108864'],
    ['cpus: "0.5"', 'cpus', 0.5], ['cpus: 1', 'cpus', 1], ['tty: yes', 'tty', true], ['tty: "false"', 'tty', false], ['pids_limit: -1', 'pids_limit', -1], ['restart: no', 'restart', 'no'],
  ])('%s', (body, path, expected) => {
    const result = load(webStack(body));
    if (result.ok) expect(at(webStack(body), `services.web.${path}`)).toEqual(expected);
    // Two bytes of memory are a proper size, and too few for a container.
    else expect(result.errors[0]?.message).toContain('too few');
  });
});

describe('deploy and the older keys', () => {
  test.each([
    ['cpus: 1\ndeploy: { resources: { limits: { cpus: "2" } } }', 'cpus says 1'], ['mem_limit: 1g\ndeploy: { resources: { limits: { memory: 2g } } }', 'mem_limit says'], ['pids_limit: 1\ndeploy: { resources: { limits: { pids: 2 } } }', 'pids_limit says'], ['scale: 1\ndeploy: { replicas: 2 }', 'scale is 1'],
    ['network_mode: host\nnetworks: [default]', 'exclude each other'],
  ])('%s', (body, message) => expect(errorsOf(webStack(body))[0]).toContain(message));

  test('the same value twice is fine; restart_policy wins over restart', () => {
    expect(load(webStack('cpus: 2\nmem_limit: 1g\nscale: 2\ndeploy: { replicas: 2, resources: { limits: { cpus: "2.0", memory: 1024m } } }')).ok).toBe(true);
    const result = load(webStack('restart: always\ndeploy: { restart_policy: { condition: on-failure } }'));
    expect(result.ok && result.stack.services['web']?.template.restart.condition).toBe('on-failure');
  });
});

describe('profiles', () => {
  const text = 'services: { a: { image: x }, b: { image: x, profiles: [debug] }, c: { image: x, profiles: [debug, all], depends_on: [b] } }';
  const names = (profiles: readonly string[]): readonly string[] => Object.keys(at(text, 'services', { profiles }) as object);
  test('switch services on', () => {
    expect(names([])).toEqual(['a']);
    expect(names(['debug'])).toEqual(['a', 'b', 'c']);
    expect(names(['*'])).toEqual(['a', 'b', 'c']);
    expect(Object.keys(at(text, 'services', { env: { COMPOSE_PROFILES: 'debug,x' } }) as object)).toEqual(['a', 'b', 'c']);
    expect(errorsOf(text, { profiles: ['all'] })[0]).toContain('b belongs to the profile debug, which is not switched on');
    expect(load(text.replace('depends_on: [b]', 'depends_on: { b: { condition: service_started, required: false } }'), { profiles: ['all'] }).ok).toBe(true);
    expect(errorsOf('services: { z: { image: x }, a: { image: x, profiles: ["a b"] } }')[0]).toContain('is not allowed');
  });
});

describe('volumes_from', () => {
  const rest = '  db: { image: x, volumes: ["data:/data", "./conf:/conf:ro"] }\nvolumes: { data: , own: }\n';
  test('what the other service mounts, beside it', () => {
    const result = load(webStack('volumes_from: [db:ro]\nvolumes: ["own:/conf"]') + rest);
    const web = result.ok ? result.stack.services['web'] : undefined;
    expect(web?.template.containers[0]?.mounts).toMatchObject([{ kind: 'volume', volume: 'shop_own', target: '/conf' }, { kind: 'volume', volume: 'shop_data', target: '/data', readOnly: true }]);
    expect(web?.placement.affinities).toMatchObject([{ source: 'container==db', soft: false }]);
    expect(web?.dependsOn).toMatchObject([{ service: 'db', condition: 'service_started' }]);
  });
  test.each([['volumes_from: [dbb]', 'there is no service "dbb"; did you mean db?'], ['volumes_from: ["container:x"]', 'is refused'], ['volumes_from: ["db:rx"]', 'must be ro or rw'], ['volumes_from: [web]', 'cannot borrow from itself']])('%s', (body, message) => {
    expect(errorsOf(webStack(body) + rest).join('\n')).toContain(message);
  });
  test('anonymous ones cannot be shared', () => expect(errorsOf(`${webStack('volumes_from: [a]')}  a: { image: x, volumes: [/d] }\n`)[0]).toContain('cannot be shared'));
});

describe('one file says it twice', () => {
  test.each<[string, string, Json | object]>([
    ['volumes: [".:/foo", "foo:/bar", "foo:/foo"]', 'volumes', [{ type: 'volume', source: 'foo', target: '/foo' }, { type: 'volume', source: 'foo', target: '/bar' }]], ['ports: ["9080:80", "9081:81", "9080:80", "5000", "6060:6060/udp"]', 'ports', [port(80, '9080'), port(81, '9081'), port(5000), { ...port(6060, '6060'), protocol: 'udp' }]],
    ['environment: [FOO=BAR, BAR=QIX, QIX=, FOO=ZOT]', 'environment', { FOO: 'ZOT', BAR: 'QIX', QIX: '' }], ['labels: [MODE=debug, MODE=release]', 'labels', { MODE: 'release' }],
  ])('%s', (body, path, expected) => expect(at(`${webStack(body)}volumes: { foo: }`, `services.web.${path}`)).toEqual(expected));
});

describe('placement preferences of the deploy specification', () => {
  test.each([['[datacenter=us-east]'], ['{ datacenter: us-east }'], ['["datacenter==us-east"]'], ['["datacenter == ~us-east"]']])('%s is a wish', (preferences) => {
    const result = load(webStack(`deploy: { placement: { preferences: ${preferences} } }`));
    expect(result.ok && result.stack.services['web']?.placement).toMatchObject({ spread: [], constraints: [{ subject: { kind: 'label', key: 'datacenter' }, op: '==', pattern: { value: 'us-east' }, soft: true }] });
    const again = result.ok ? load(printCompose(result.compose, 'yaml')) : result;
    expect(again.ok && result.ok && again.stack).toEqual(result.ok && result.stack);
  });
  test.each([['[rack=]', 'the value is missing'], ['[{ spred: x }]', 'did you mean spread?']])('%s', (preferences, message) => expect(errorsOf(webStack(`deploy: { placement: { preferences: ${preferences} } }`))[0]).toContain(message));
});

test('a directory of the host as a volume: its path is one like any other', () => {
  const volumes = (device: string, more = '') => at(`${webStack('volumes: ["v:/v"]')}volumes: { v: { driver_opts: { type: none, o: "bind,ro", device: "${device}" }${more} } }`, 'volumes.v.driver_opts.device');
  expect(volumes('./data')).toBe('/work/shop/data');
  expect(volumes('/srv')).toBe('/srv');
  expect(at(`${webStack('volumes: ["v:/v"]')}volumes: { v: { driver_opts: { type: nfs, o: addr=1.1.1.1, device: ":/x" } } }`, 'volumes.v.driver_opts.device')).toBe(':/x');
});

describe('YAML', () => {
  test('anchors, merge keys, their order, and fragments of lists', () => {
    const text = 'x-env: &env { A: "1", B: "1" }\nx-more: &more { B: "2", C: "2" }\nservices:\n  web: &web { image: x, environment: { <<: [*env, *more], A: own } }\n  two: { <<: *web, user: u }\n';
    expect(at(text, 'services.two')).toMatchObject({ image: 'x', user: 'u', environment: { A: 'own', B: '1', C: '2' } });
    expect(at('x-l: &l [A, B]\nservices: { web: { image: x, cap_add: *l } }', 'services.web.cap_add')).toEqual(['A', 'B']);
  });
  test('keys of the user at every level', () => {
    expect(load('x-a: 1\nservices: { web: { image: x, x-b: 1, deploy: { x-c: 1, resources: { x-d: 1 } }, healthcheck: { test: a, x-e: 1 } } }\nvolumes: { v: { x-f: 1 } }\nnetworks: { n: { x-g: 1 } }\n').ok).toBe(true);
  });
  test('version is no matter', () => expect(at('version: "3.8"\nservices: { a: { image: x } }', 'version')).toBeUndefined());
});
