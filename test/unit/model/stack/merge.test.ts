/** Several files, extends, include, profiles, env files. */
import { describe, expect, test } from 'vitest';
import { containerOf, errorsOf, expectDefined, load, stackOf, warningsOf, webStack } from './load.ts';
import type { ServiceSpec } from '../../../../model/spec.ts';

function merged(...bodies: readonly string[]): ServiceSpec {
  return expectDefined(stackOf(bodies.map((body, index) => (index === 0 ? webStack(body) : webStack(body).replace('    image: nginx\n', '')))).services['web']);
}

describe('-f -f', () => {
  test('mappings merge, in either syntax', () => {
    const web = merged('environment: [A=1, B=2]\nlabels: { x: a }\ndeploy: { replicas: 1, labels: [l=1] }', 'environment: { B: 3, C: 4 }\nlabels: [y=b]\ndeploy: { labels: { m: 2 } }');
    expect(web).toMatchObject({ mode: { replicas: 1 }, labels: { l: '1', m: '2' }, template: { containers: [{ env: { A: '1', B: '3', C: '4' }, labels: { x: 'a', y: 'b' } }] } });
  });

  test('lists are appended, without what is there already', () => {
    expect(merged('dns: 1.1.1.1\ncap_add: [NET_ADMIN]', 'dns: [8.8.8.8, 1.1.1.1]\ncap_add: [SYS_TIME]').template).toMatchObject({ dns: ['1.1.1.1', '8.8.8.8'], containers: [{ capAdd: ['NET_ADMIN', 'SYS_TIME'] }] });
  });

  test('commands and tests are replaced', () => {
    expect(merged('command: [a, b]\nentrypoint: x y\nhealthcheck: { test: [CMD, a], retries: 5 }', 'command: c\nentrypoint: []\nhealthcheck: { test: b }').template.containers[0])
      .toMatchObject({ command: ['c'], entrypoint: [], healthcheck: { test: { kind: 'shell', command: 'b' }, retries: 5 } });
  });

  test('ports by address, number and protocol; mounts and files by where they are mounted', () => {
    const [base, over] = [
      'ports: ["80:80", "81:81"]\nvolumes: [./a:/data, b:/b]\nsecrets: [s]\nconfigs: [{ source: c, target: /c }]\nextra_hosts: [a=1.1.1.1]',
      'ports: [{ target: 80, published: 80, mode: host }, "90:80"]\nvolumes: [{ type: volume, source: b, target: /data/ }]\nsecrets: [{ source: s, mode: 0400 }]\nconfigs: [{ source: d, target: /c }]\nextra_hosts: { b: 2.2.2.2 }',
    ];
    const rest = 'volumes: { b: {} }\nsecrets: { s: { content: s } }\nconfigs: { c: { content: c }, d: { content: d } }\n';
    const web = expectDefined(stackOf([rest + webStack(base ?? ''), webStack(over ?? '')]).services['web']);
    expect(web.ports.map(({ published, target, mode }) => [published, target, mode])).toEqual([[80, 80, 'host'], [81, 81, 'ingress'], [90, 80, 'ingress']]);
    expect(web.template).toMatchObject({
      extraHosts: [{ name: 'a', ip: '1.1.1.1' }, { name: 'b', ip: '2.2.2.2' }],
      containers: [{
        mounts: [{ kind: 'volume', volume: 'shop_b', target: '/data' }, { kind: 'volume', target: '/b' }],
        secrets: [{ source: 'shop_s', mode: 0o400 }], configs: [{ source: 'shop_d', target: '/c' }],
      }],
    });
  });

  test('depends_on and networks, lists into mappings', () => {
    const others = '  db: { image: x }\n  mq: { image: x }\nnetworks: { a: {}, b: {} }\n';
    const web = expectDefined(stackOf([webStack('depends_on: [db]\nnetworks: [a]') + others, webStack('depends_on: { mq: { condition: service_healthy } }\nnetworks: { a: { aliases: [w] }, b: }')]).services['web']);
    expect(web.dependsOn.map(({ service, condition }) => [service, condition])).toEqual([['db', 'service_started'], ['mq', 'service_healthy']]);
    expect(web.networks).toEqual([{ network: 'shop_a', aliases: ['w'] }, { network: 'shop_b', aliases: [] }]);
  });

  test('logging options merge only with the same driver', () => {
    const result = load([webStack('logging: { driver: json-file, options: { max-size: 1m } }'), webStack('logging: { driver: local, options: { max-file: "3" } }')]);
    expect(result).toMatchObject({ ok: true, compose: { services: { web: { logging: { driver: 'local', options: { 'max-file': '3' } } } } } });
    expect(JSON.stringify(result)).not.toContain('max-size');
  });

  test('!reset takes away, !override replaces', () => {
    const web = merged('ports: ["80:80"]\nbuild: .\nenvironment: { A: 1, B: 2 }\ncommand: x\nvolumes: [/a, /b]\nimage: nginx', 'ports: !override ["443:443"]\nbuild: !reset null\nenvironment: { A: !reset null }\ncommand: !reset ""\nvolumes: !reset []');
    expect(web.ports).toMatchObject([{ target: 443 }]);
    expect(web.template.containers[0]).toMatchObject({ env: { B: '2' }, mounts: [] });
    expect(web.template.containers[0]).not.toHaveProperty('command');
    expect(stackOf([`${webStack('tty: true')}  gone: { image: x }\n`, 'services: { gone: !reset null }']).services).not.toHaveProperty('gone');
    expect(stackOf([webStack('environment: { A: 1 }'), 'services: { web: !override { image: other } }']).services['web']?.template.containers[0]).toMatchObject({ image: 'other', env: {} });
  });

  test('!reset in the only file leaves nothing', () => {
    expect(containerOf('environment: !reset { A: 1 }\nlabels: { a: !reset x, b: y }')).toMatchObject({ env: {}, labels: { b: 'y' } });
  });

  test('errors name the file they are in', () => {
    expect(errorsOf([webStack('prots: []'), webStack('deploy: { replicas: x }')])).toEqual([
      '4:5 services.web.prots: unknown key prots; did you mean ports?',
      'stack.1.yml:4:25 services.web.deploy.replicas: replicas must be a whole number, not "x"',
    ]);
  });
});

describe('anchors and merge keys', () => {
  test('own keys win, then the first', () => {
    const stack = 'x-a: &a { tty: true, user: "1" }\nx-b: &b { user: "2", init: true }\nservices: { web: { image: x, <<: [*a, *b], tty: false } }';
    expect(stackOf(stack).services['web']?.template.containers[0]).toMatchObject({ tty: false, user: '1', init: true });
  });
  test('values, lists and whole services', () => {
    expect(stackOf('services:\n  a: &a\n    image: x\n    command: &c [run, it]\n  b:\n    <<: *a\n    command: *c\n').services['b']?.template.containers[0]).toMatchObject({ image: 'x', command: ['run', 'it'] });
  });
  test('mistakes in them are said once', () => {
    expect(errorsOf('x-a: &a { prots: [] }\nservices: { a: { image: x, <<: *a }, b: { image: x, <<: *a } }')).toHaveLength(1);
    expect(errorsOf('services: { a: { <<: 5, image: x } }')[0]).toContain('<< merges mappings only');
  });
});

describe('extends', () => {
  const on = {
    '/work/shop/base/common.yml': 'services:\n  app: { image: app, environment: { A: base }, volumes: [./data:/data], env_file: app.env, extends: root }\n  root: { image: root, labels: { r: "1" }, build: . }\n',
    '/work/shop/base/app.env': 'F=file\n',
  };

  test('of the same file, in any order, and of what extends itself', () => {
    const { services } = stackOf('services:\n  c: { extends: b, environment: { C: 1 } }\n  b: { extends: { service: a }, command: two, environment: { B: 1 } }\n  a: { image: x, command: one, environment: { A: 1 }, ports: ["80"] }\n');
    expect(services['c']).toMatchObject({ ports: [{ target: 80 }], template: { containers: [{ image: 'x', command: ['two'], env: { A: '1', B: '1', C: '1' } }] } });
  });

  test('of another file, whose paths start at its own place', () => {
    const container = containerOf('image: nginx\nextends: { file: base/common.yml, service: app }\nbuild: !reset null', { on });
    expect(container).toMatchObject({ image: 'nginx', env: { F: 'file', A: 'base' }, labels: { r: '1' }, mounts: [{ kind: 'bind', source: '/work/shop/base/data', target: '/data' }] });
  });

  test('refused keys of the base count when they stay', () => {
    expect(errorsOf(webStack('extends: { file: base/common.yml, service: app }'), { on })).toEqual([expect.stringMatching(/^base\/common.yml:3:\d+ services.web.build: build is refused/)]);
  });

  test.each([
    ['services: { a: { extends: a, image: x } }', 'services extend each other: a → a'],
    ['services: { a: { extends: b }, b: { extends: c }, c: { extends: a } }', 'services extend each other: a → b → c → a'],
    ['services: { a: { extends: webb, image: x }, web: { image: x } }', 'there is no service webb; did you mean web?'],
    ['services: { a: { extends: { service: x, file: none.yml }, image: x } }', 'there is no file none.yml'],
    ['services: { a: { extends: { file: none.yml }, image: x } }', 'extends lacks service'],
    ['services: { a: { extends: { service: nope, file: base/common.yml }, image: x } }', 'there is no service nope in base/common.yml'],
  ])('%s', (stack, message) => {
    expect(errorsOf(stack, { on })[0]).toContain(message);
  });

  test('a circle through files', () => {
    const circle = { '/work/shop/other.yml': 'services: { b: { extends: { file: stack.yml, service: web } } }', '/work/shop/stack.yml': webStack('extends: { file: other.yml, service: b }') };
    expect(errorsOf(expectDefined(circle['/work/shop/stack.yml']), { on: circle })[0]).toContain('services extend each other');
  });

  test('a long chain has its limit', () => {
    const chain = Array.from({ length: 100 }, (_, i) => `  s${i}: { extends: s${i + 1} }`).join('\n');
    expect(errorsOf(`services:\n${chain}\n  s100: { image: x }\n`)[0]).toContain('extends goes deeper than 64');
  });
});

describe('include', () => {
  const on = {
    '/work/shop/db/compose.yml': 'include: [../lib/log.yml]\nservices:\n  db: { image: "postgres:${VERSION}", volumes: [./init:/init, data:/data], networks: [back] }\nvolumes: { data: {} }\nnetworks: { back: {} }\n',
    '/work/shop/db/.env': 'VERSION=16\n',
    '/work/shop/db/over.yml': 'services: { db: { user: "70" } }\n',
    '/work/shop/other.env': 'VERSION=17\n',
    '/work/shop/lib/log.yml': 'services: { log: { image: log, command: "$$x" } }\n',
    '/work/shop/round.yml': 'include: [stack.yml]\n',
  };
  const base = webStack('depends_on: [db]\nnetworks: [back]');

  test('brings everything, with its own directory and variables', () => {
    const stack = stackOf(`include: [db/compose.yml]\n${base}`, { on });
    expect(Object.keys(stack.services).toSorted()).toEqual(['db', 'log', 'web']);
    expect(stack.services['db']?.template.containers[0]).toMatchObject({ image: 'postgres:16', mounts: [{ source: '/work/shop/db/init' }, { volume: 'shop_data' }] });
    expect(stack.services['log']?.template.containers[0]).toMatchObject({ command: ['$x'] });
    expect(stack.networks).toHaveProperty('back');
  });

  test('long form: overrides, env_file, project_directory; the outer variable wins', () => {
    const long = `include:\n  - path: [db/compose.yml, db/over.yml]\n    env_file: other.env\n    project_directory: elsewhere\n${base}`;
    expect(errorsOf(long.replace('elsewhere', 'else/where'), { on })[0]).toBe('db/compose.yml:1:11 include[0]: there is no file else/lib/log.yml');
    const stack = stackOf(long, { on });
    expect(stack.services['db']?.template.containers[0]).toMatchObject({ image: 'postgres:17', user: '70', mounts: [{ source: '/work/shop/elsewhere/init' }, {}] });
    expect(stackOf(long, { on, env: { VERSION: '18' } }).services['db']?.template.containers[0]).toMatchObject({ image: 'postgres:18' });
  });

  test('conflicts, circles and absences', () => {
    expect(errorsOf(`include: [db/compose.yml]\n${base}  db: { image: other }\n`, { on })[0]).toMatch(/^1:11 include\[0\]: services.db is included, but there is another one at stack.yml:7/);
    expect(errorsOf(`include: [round.yml]\n${webStack('tty: true')}`, { on: { ...on, '/work/shop/stack.yml': 'include: [round.yml]' } })[0]).toContain('files include each other');
    expect(errorsOf(`include: [none.yml]\n${webStack('tty: true')}`, { on })[0]).toBe('1:11 include[0]: there is no file none.yml');
    expect(stackOf([`include: [lib/log.yml]\n${webStack('tty: true')}`, 'services: { log: { image: mine } }'], { on }).services['log']?.template.containers[0]).toMatchObject({ image: 'mine' });
  });

  test('files are limited', () => {
    const many: Record<string, string> = {};
    for (let i = 0; i < 200; i++) many[`/work/shop/f${i}.yml`] = `include: [f${i + 1}.yml]\n`;
    expect(errorsOf(`include: [f0.yml]\n${webStack('tty: true')}`, { on: many })[0]).toContain('more than 100 files, the limit');
  });
});

describe('profiles', () => {
  const stack = 'services:\n  web: { image: x, depends_on: { debug: { condition: service_started, required: false } } }\n  debug: { image: y, profiles: [debug, all], build: . }\n';
  test('services of others are not even judged', () => {
    const only = stackOf(stack);
    expect(Object.keys(only.services)).toEqual(['web']);
    expect(only.services['web']?.dependsOn).toEqual([]);
  });
  test.each([[{ profiles: ['debug'] }], [{ profiles: ['*'] }], [{ env: { COMPOSE_PROFILES: 'x,all' } }]])('switched on by %j', (options) => {
    expect(errorsOf(stack, options)[0]).toContain('services.debug.build: build is refused');
  });
  test('who needs one that is off is told how to switch it on', () => {
    expect(errorsOf('services:\n  web: { image: x, depends_on: [db] }\n  db: { image: y, profiles: [data] }\n')).toEqual(['2:33 services.web.depends_on.db: db belongs to the profile data, which is not switched on; apply with --profile data']);
    expect(errorsOf('services: { db: { image: y, profiles: [data] } }')[0]).toContain('every service belongs to a profile, and none is switched on; apply with --profile data');
  });
});

describe('env_file and label_file', () => {
  const on = { '/work/shop/a.env': 'A=1\nB=$A$OUT\nONLY\nC=x\n', '/work/shop/b.env': 'A=2\nC="${A}y"\n', '/work/shop/raw.env': 'R="$A"\n', '/work/shop/l.labels': 'one=1\ntwo=2\n' };

  test('later files and environment win; files see what is above', () => {
    expect(containerOf('env_file: [a.env, ./b.env]\nenvironment: { C: mine, OUT: }', { on, env: { OUT: 'o' } }).env).toEqual({ A: '2', B: '1o', ONLY: null, C: 'mine', OUT: 'o' });
  });
  test('long form', () => {
    expect(containerOf('env_file:\n- { path: none.env, required: false }\n- { path: raw.env, format: raw }', { on }).env).toEqual({ R: '"$A"' });
    expect(errorsOf(webStack('env_file:\n- path: none.env\n- other.env'), { on })).toEqual(['5:13 services.web.env_file[0]: there is no file none.env', '6:7 services.web.env_file[1]: there is no file other.env']);
  });
  test('errors point into the file', () => {
    expect(errorsOf(webStack('env_file: bad.env'), { on: { '/work/shop/bad.env': 'OK=1\nK="x\n' } })).toEqual(['bad.env:2:3 : the " is not closed']);
    expect(errorsOf(webStack('env_file: bin.env'), { on: { '/work/shop/bin.env': new Uint8Array([0xff, 0xfe, 0x00]) } })).toEqual(['4:15 services.web.env_file[0]: bin.env is not UTF-8 text']);
  });
  test('labels', () => {
    expect(containerOf('label_file: l.labels\nlabels: { two: x }', { on }).labels).toEqual({ one: '1', two: 'x' });
  });
  test('a bare variable comes from outside, or unsets the image\'s', () => {
    expect(containerOf('environment: [A, B, "C="]', { env: { A: '1' } }).env).toEqual({ A: '1', B: null, C: '' });
  });
  test('what a reader throws is an error at the key', () => {
    const readFile = (): never => {
      throw new Error('a.env is a directory');
    };
    expect(load(webStack('env_file: a.env'), { readFile } as object)).toMatchObject({ ok: false, errors: [{ message: 'a.env is a directory', at: { line: 4 } }] });
  });
});

test('an empty key is warned about', () => {
  expect(warningsOf(webStack('ports:\nenvironment:\n'))).toEqual(['4:11 services.web.ports: ports is empty; it is taken as absent', '5:17 services.web.environment: environment is empty; it is taken as absent']);
});
