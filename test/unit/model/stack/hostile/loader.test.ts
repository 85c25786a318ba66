/** Files that are broken, huge, deep or meant to hurt: each is refused with a place, quickly, and the process lives on. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { maxFileBytes } from '../../../../../model/stack/load.ts';
import { errorsOf, load, stackOf, webStack } from '../load.ts';

describe('YAML', () => {
  test.each([
    ['services:\n  web:\n\timage: x', /^3:1 : .*spaces, not tabs/],
    ['services:\n  web: {image: x', /^2:8|^2:17/],
    ['services: [a, b', /: .*/],
    ['services:\n  web:\n    image: "x\n', /: .*/],
    ['services:\n  web:\n    image: a: b', /: .*/],
    ['- a\n- b', /^1:1 : a stack file must be a mapping; it begins with services:/],
    ['just text', /^1:1 : a stack file must be a mapping/],
    ['', /^1:1 : the file is empty/],
    ['# only a comment\n', /the file is empty/],
    ['null', /the file is empty/],
    ['? {a: b}\n: c', /a key must be a plain word/],
    [': x', /the key is missing|.*/],
  ])('%j', (text, message) => {
    expect(errorsOf(text).join('\n')).toMatch(message);
  });

  test('a key given twice names both places', () => {
    expect(errorsOf('services:\n  web:\n    image: a\n    image: b\n  web:\n    image: c')).toEqual([
      '4:5 services.web.image: the key image is given twice; the first one is on line 3',
      '5:3 services.web: the key web is given twice; the first one is on line 2',
    ]);
  });

  test('a tag without meaning', () => {
    expect(errorsOf(webStack('command: !!python/object x'))[0]).toMatch(/^4:14|^4:\d+ services.web.command: the tag .*python.* has no meaning here; the tags are !reset and !override$/);
    expect(errorsOf(webStack('init: !!binary aGk='))[0]).toContain('the tag !!binary has no meaning here');
  });

  test('several documents merge', () => {
    expect(stackOf('services: { a: { image: x } }\n---\nservices: { a: { image: y }, b: { image: z } }\n').services).toMatchObject({ a: { template: { containers: [{ image: 'y' }] } }, b: {} });
  });

  test('characters that are no text', () => {
    expect(errorsOf('services:\n  web:\n    image: "a\u0000b"')).toEqual(['3:14 : the character U+0000 is not allowed; save the file as UTF-8 text']);
    expect(errorsOf('services:\n  web:\n    image: a\u001b[31m')[0]).toContain('U+001B');
    expect(errorsOf('services:\n  web:\n    image: a\ud800')[0]).toContain('U+D800');
    expect(errorsOf(webStack('command: ["a\\0b"]'))).toEqual(['4:15 services.web.command[0]: the character U+0000 is not allowed']);
  });
});

describe('limits', () => {
  test('size, which callers may raise up to a bound', () => {
    const large = `${webStack('tty: true')}\nx-pad: "${'x'.repeat(1024 * 1024)}"\n`;
    expect(errorsOf(large)).toEqual(['1:1 : the file is larger than 1048576 bytes, the limit for one stack file; split the stack, or raise the limit']);
    expect(load(large, { limits: { fileBytes: 2 * 1024 * 1024 } }).ok).toBe(true);
    expect(errorsOf('x'.repeat(maxFileBytes + 1), { limits: { fileBytes: Number.POSITIVE_INFINITY } })[0]).toContain(`${maxFileBytes} bytes`);
    // Two bytes for each character.
    expect(errorsOf(`x-pad: "${'ä'.repeat(600_000)}"`)[0]).toContain('larger than');
  });

  test.each([
    ['flow lists', `x-a: ${'['.repeat(100_000)}`], ['flow maps', `x-a: ${'{a: '.repeat(100_000)}`], ['compact lists', `x-a:\n ${'- '.repeat(50_000)}`], ['explicit keys', '? '.repeat(50_000)],
    ['indented maps', Array.from({ length: 400 }, (_, i) => `${' '.repeat(i)}a:`).join('\n')], ['mixed', `x-a:\n  - - [{a: [{b: ${'['.repeat(70)}`],
  ])('depth: %s', (_, text) => {
    const [first] = errorsOf(text);
    expect(first).toMatch(/nested deeper than 64 levels, the limit$/);
  });

  test('depth counts nothing twice', () => {
    const long = `services:\n${Array.from({ length: 300 }, (_, i) => `  s${i}:\n    image: x\n    command:\n    - a\n    - b\n    ports:\n      - 80\n      -   target: 81\n          mode: host\n`).join('')}`;
    expect(Object.keys(stackOf(long).services)).toHaveLength(300);
    expect(load(`x-a: ${'['.repeat(60)}${']'.repeat(60)}\n${webStack('tty: true')}`).ok).toBe(true);
  });

  test('aliases: many, exponential, in a circle', () => {
    expect(errorsOf(`x-a: &a 1\nx-b: [${'*a, '.repeat(1001)}]\n${webStack('tty: true')}`)).toEqual([expect.stringMatching(/more than 1000 aliases, the limit$/)]);
    expect(load(`x-a: &a 1\nx-b: [${'*a, '.repeat(1000)}]\n${webStack('tty: true')}`).ok).toBe(true);
    const laughs = Array.from({ length: 12 }, (_, i) => `x-${i}: &l${i} [${`*l${i - 1}, `.repeat(i === 0 ? 0 : 9)}"lol"]`).join('\n');
    expect(errorsOf(`${laughs}\n${webStack('tty: true')}`)).toEqual([expect.stringMatching(/more than 500000 values with aliases unfolded, the limit$/)]);
    expect(errorsOf(`x-a: &a { b: *a }\n${webStack('tty: true')}`)).toEqual(['1:14 x-a.b: *a stands inside what &a names']);
    expect(errorsOf(`x-a: &a [[*a]]\n`).join()).toContain('stands inside');
    expect(errorsOf(`x-a: *nope\n`).join()).toContain('nope');
  });

  test('merge keys that multiply', () => {
    const base = `x-base: &b\n${Array.from({ length: 2000 }, (_, i) => `  K${i}: v`).join('\n')}\n`;
    const users = `x-users:\n${Array.from({ length: 900 }, (_, i) => `  u${i}: { <<: *b }`).join('\n')}\n`;
    expect(errorsOf(base + users)[0]).toContain('more than 500000 values');
  });

  test('extends that multiplies', () => {
    const env = Array.from({ length: 3000 }, (_, i) => `      K${i}: v`).join('\n');
    const users = Array.from({ length: 2000 }, (_, i) => `  u${i}: { extends: base, environment: { A: b } }`).join('\n');
    expect(errorsOf(`services:\n  base:\n    image: x\n    environment:\n${env}\n${users}\n`)[0]).toContain('the merged stack has too many values');
  });

  test('interpolation that multiplies', () => {
    expect(errorsOf(webStack(`command: [${'"$A", '.repeat(2000)}]`), { env: { A: 'x'.repeat(10_000) } })[0]).toContain('10485760 characters in all, the limit');
  });

  test('errors are bounded, and say how many more there are', () => {
    const many = errorsOf(webStack(Array.from({ length: 1000 }, (_, i) => `key${i}: 1`).join('\n')));
    expect(many).toHaveLength(201);
    expect(many.at(-1)).toContain('and 800 more');
  });

  test('60,000 keys are read, not gnawed at', () => {
    const labels = Array.from({ length: 60_000 }, (_, i) => `  k${i}: v`).join('\n');
    expect(load(webStack(`labels:\n${labels}`), { limits: { fileBytes: 4 * 1024 * 1024 } }).ok).toBe(true);
  });

  test('a tag at the bottom of deep lists', () => {
    expect(load(`x-a: ${'['.repeat(60)}!override [!reset 1]${']'.repeat(60)}\n${webStack('tty: true')}`).ok).toBe(true);
  });

  test('ranges of ports', () => {
    expect(errorsOf(webStack('ports: ["1-65535"]'))).toEqual(['4:14 services.web.ports[0]: a range has at most 1024 ports']);
  });
});

describe('names and numbers', () => {
  test('__proto__ and its kin are words like others, where words are free', () => {
    const { services } = stackOf(webStack('environment: { __proto__: a, constructor: b, toString: c }\nlabels: [__proto__=x]'));
    const [container] = services['web']?.template.containers ?? [];
    expect(Object.entries(container?.env ?? {})).toEqual([['__proto__', 'a'], ['constructor', 'b'], ['toString', 'c']]);
    expect(Object.getPrototypeOf(container?.labels)).toBe(Object.prototype);
    expect(Object.keys(container?.labels ?? {})).toEqual(['__proto__']);
    expect(errorsOf(webStack('__proto__: {}\nconstructor: 1\ntoString: 1'))).toHaveLength(3);
    expect(errorsOf('services:\n  __proto__: { image: x }')).toEqual(['2:3 services.__proto__: "__proto__" cannot be a service\'s name; use up to 63 letters, digits, . _ -, the first a letter or digit']);
    expect(errorsOf('constructor: 1\nservices: { a: { image: x, deploy: { hasOwnProperty: 1 } } }')).toHaveLength(2);
    expect(errorsOf(webStack('networks: [__proto__]'))[0]).toContain('there is no network "__proto__"');
    expect(errorsOf(webStack('volumes: ["constructor:/x"]'))[0]).toContain('there is no volume "constructor"');
  });

  test.each(['../../etc', 'a/b', '.hidden', '-x', 'a b', '', 'x'.repeat(200)])('the name %j goes nowhere', (name) => {
    for (const section of ['volumes', 'networks', 'secrets', 'configs']) {
      const result = load(`${section}:\n  it: { external: true, name: ${JSON.stringify(name)} }\n${webStack('tty: true')}`);
      // An empty name is none: the key's own is taken.
      expect([section, result.ok]).toEqual([section, name === '']);
    }
    expect(load(`services:\n  ${JSON.stringify(name)}: { image: x }`).ok).toBe(false);
  });

  test.each([
    ['secrets: [{ source: s, target: ../../etc/passwd }]'], ['configs: [{ source: s, target: /a/../../b }]'], ['volumes: ["v:/data/../../x"]'], ['volumes: [{ type: volume, source: v, target: /d, volume: { subpath: ../x } }]'], ['tmpfs: /a/../b'],
  ])('%s', (body) => {
    expect(errorsOf(`${webStack(body)}\nvolumes: { v: {} }\nsecrets: { s: { content: x } }\nconfigs: { s: { content: x } }`)[0]).toMatch(/\.\. is not allowed|stays inside/);
  });

  test('integers beyond 2^53', () => {
    expect(errorsOf(webStack('deploy: { replicas: 9007199254740993 }'))).toEqual(['4:25 services.web.deploy.replicas: replicas: 9007199254740993 is beyond 2^53']);
    expect(errorsOf(webStack('mem_limit: 99999999999999999999'))[0]).toContain('is no size');
    expect(stackOf(webStack('environment: { N: 12345678901234567890 }')).services['web']?.template.containers[0]?.env).toEqual({ N: '12345678901234567890' });
  });
});

describe('fuzz', () => {
  const pieces = fc.constantFrom(
    'services:', '\n', '\n  ', '\n    ', '\n      ', 'web:', 'image: ', 'nginx', '- ', '[', ']', '{', '}', ': ', ', ', '&a ', '*a', '<<: ', '!reset ', '!override ', '"', "'", '|', '>', '#', '${A', '}', '$', 'ports: ', '80:80',
    'volumes: ', 'a:/b', 'deploy: ', 'replicas: ', '-1', '1e999', 'null', '~', 'true', 'environment: ', 'A=b', 'networks: ', 'depends_on: ', 'healthcheck: ', 'test: ', 'extends: ', 'include: ', '---', '...', '? ', '%YAML', '\t', '\r',
    'x-a: ', 'secrets: ', 'configs: ', 'constraint:a==b', 'command: ', 'ulimits: ', 'tmpfs: ', 'name: ', '../', '\u00e9', '\ud83d\ude00', '0x10', '.inf', '2001-01-01',
  );

  /** Whatever comes in: a result, with every error at a place of the file; and printing what was loaded loads the same. */
  function survives(text: string): void {
    const result = load(text);
    for (const { at, message } of result.ok ? result.warnings : result.errors) {
      expect(message).not.toBe('');
      expect(at.line).toBeGreaterThan(0);
      expect(at.line).toBeLessThanOrEqual(text.split('\n').length);
      expect(at.column).toBeGreaterThan(0);
    }
    if (!result.ok) expect(result.errors.some((error) => error.severity === 'error')).toBe(true);
  }

  test('soup of tokens', () => {
    fc.assert(fc.property(fc.array(pieces, { maxLength: 40 }).map((parts) => parts.join('')), survives), { numRuns: 1500 });
  });

  test('any text', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), survives), { numRuns: 500 });
  });

  test('any value under any key of a service', async () => {
    const { serviceKeys } = await import('../../../../../model/stack/schema/service.ts');
    const value = fc.jsonValue({ maxDepth: 3 });
    fc.assert(fc.property(fc.constantFrom(...Object.keys(serviceKeys)), value, (key, json) => {
      survives(JSON.stringify({ services: { web: { image: 'x', [key]: json } } }));
    }), { numRuns: 1500 });
  });

  test('any value under any key of deploy and of the top level', async () => {
    const { deploy } = await import('../../../../../model/stack/schema/deploy.ts');
    const { topKeys } = await import('../../../../../model/stack/schema/top.ts');
    const value = fc.jsonValue({ maxDepth: 3 });
    fc.assert(fc.property(fc.constantFrom(...Object.keys(deploy.keys)), value, (key, json) => {
      survives(JSON.stringify({ services: { web: { image: 'x', deploy: { [key]: json } } } }));
    }), { numRuns: 1000 });
    fc.assert(fc.property(fc.constantFrom(...Object.keys(topKeys)), value, (key, json) => {
      survives(JSON.stringify({ services: { web: { image: 'x' } }, [key]: json }));
    }), { numRuns: 1000 });
  });
});
