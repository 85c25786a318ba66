/** The list of what a hostile or broken file may be, each as loader input. Made where it is used: some are large. */
import type { LoadInput } from '../../../../../model/stack/load.ts';

export interface HostileCase {
  readonly name: string;
  readonly make: () => { readonly text: string } & Partial<Omit<LoadInput, 'files'>>;
  /** What an error says; absent: the file is to load. */
  readonly says?: RegExp;
}

const web = 'services:\n  web:\n    image: x\n';
const mega = 1024 * 1024;
const files = (all: Readonly<Record<string, string>>) => (path: string): string | null => all[path] ?? null;

export const cases: readonly HostileCase[] = [
  { name: 'billion laughs', make: () => ({ text: `${Array.from({ length: 12 }, (_, i) => `x-${i}: &l${i} [${`*l${i - 1}, `.repeat(i === 0 ? 0 : 9)}"lol"]`).join('\n')}\n${web}` }), says: /more than 500000 values with aliases unfolded, the limit/ },
  { name: 'billion laughs by merge keys', make: () => ({ text: `${Array.from({ length: 30 }, (_, i) => `x-${i}: &m${i} { ${i === 0 ? 'k: v' : `<<: [${`*m${i - 1}, `.repeat(8)}*m${i - 1}], k${i}: [${`*m${i - 1}, `.repeat(8)}]`} }`).join('\n')}\n${web}` }), says: /the limit/ },
  { name: 'very many aliases', make: () => ({ text: `x-a: &a 1\nx-b: [${'*a, '.repeat(200_000)}]\n${web}`, limits: { fileBytes: 10 * mega } }), says: /more than 1000 aliases, the limit/ },
  { name: '100k-deep flow lists', make: () => ({ text: `x-a: ${'['.repeat(100_000)}` }), says: /nested deeper than 64 levels, the limit/ },
  { name: '100k-deep flow maps', make: () => ({ text: `x-a: ${'{a: '.repeat(100_000)}` }), says: /nested deeper than 64 levels, the limit/ },
  { name: '100k-deep compact lists', make: () => ({ text: `x-a:\n ${'- '.repeat(100_000)}` }), says: /nested deeper than 64 levels, the limit/ },
  { name: '100k-deep blocks', make: () => ({ text: Array.from({ length: 3000 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'), limits: { fileBytes: 10 * mega } }), says: /nested deeper than 64 levels, the limit/ },
  { name: 'deep explicit keys', make: () => ({ text: '? '.repeat(100_000) }), says: /nested deeper than 64 levels, the limit/ },
  { name: '60k keys', make: () => ({ text: `${web}    labels:\n${Array.from({ length: 60_000 }, (_, i) => `      k${i}: v`).join('\n')}\n`, limits: { fileBytes: 10 * mega } }) },
  { name: '60k keys, each given twice', make: () => ({ text: `${web}    labels:\n${Array.from({ length: 60_000 }, (_, i) => `      k${i % 30_000}: v`).join('\n')}\n`, limits: { fileBytes: 10 * mega } }), says: /more than 100000 values, the limit|is given twice/ },
  { name: '60k unknown keys', make: () => ({ text: `${web}${Array.from({ length: 60_000 }, (_, i) => `    key${i}: v`).join('\n')}\n`, limits: { fileBytes: 10 * mega } }), says: /unknown key key0/ },
  { name: 'more than 10 MB', make: () => ({ text: `x-pad: "${'x'.repeat(10 * mega)}"\n${web}`, limits: { fileBytes: 100 * mega } }), says: /larger than 10485760 bytes, the limit/ },
  { name: '10 MB in one value', make: () => ({ text: `x-pad: "${'x'.repeat(10 * mega - 100)}"\n${web}`, limits: { fileBytes: 10 * mega } }) },
  { name: '10 MB of services', make: () => ({ text: `services:\n${Array.from({ length: 200_000 }, (_, i) => `  s${i}: { image: "registry.example/team/app" }`).join('\n')}`, limits: { fileBytes: 10 * mega } }), says: /the limit/ },
  { name: '10 MB of brackets', make: () => ({ text: `x-a: [${'[],'.repeat(3 * mega)}]`, limits: { fileBytes: 10 * mega } }), says: /the limit/ },
  { name: '10 MB of colons', make: () => ({ text: `x: ${':'.repeat(9 * mega)}`, limits: { fileBytes: 10 * mega } }), says: /./ },
  { name: '10 MB of quotes that do not end', make: () => ({ text: `x: "${'\\n'.repeat(4 * mega)}`, limits: { fileBytes: 10 * mega } }), says: /./ },
  { name: 'a megabyte of tabs', make: () => ({ text: `services:\n${'\t'.repeat(mega - 100)}x` }), says: /./ },
  { name: 'NUL', make: () => ({ text: 'services:\n  web:\n    image: "a\u0000b"' }), says: /U\+0000 is not allowed/ },
  { name: 'NUL by escape', make: () => ({ text: 'services:\n  web:\n    image: x\n    command: ["a\\0b"]' }), says: /U\+0000 is not allowed/ },
  { name: 'control characters', make: () => ({ text: 'services:\n  web:\n    image: a\u001b[31m' }), says: /U\+001B is not allowed/ },
  { name: '__proto__ as service, key, label, network', make: () => ({ text: 'services:\n  __proto__: { image: x }\n  web: { image: x, __proto__: { a: b }, labels: { __proto__: c }, networks: { __proto__: {} } }\n' }), says: /"__proto__"|unknown key __proto__/ },
  { name: 'an anchor inside itself', make: () => ({ text: `x-a: &a { b: [*a] }\n${web}` }), says: /\*a stands inside what &a names/ },
  { name: 'extends in a circle', make: () => ({ text: 'services:\n  a: { extends: b }\n  b: { extends: c }\n  c: { extends: a }\n' }), says: /services extend each other/ },
  { name: 'extends in a circle of files', make: () => ({ text: 'services: { a: { extends: { file: b.yml, service: a } } }', readFile: files({ '/w/b.yml': 'services: { a: { extends: { file: s.yml, service: a } } }', '/w/s.yml': 'services: { a: { extends: { file: b.yml, service: a } } }' }) }), says: /services extend each other/ },
  { name: 'extends without end', make: () => ({ text: `services:\n${Array.from({ length: 5000 }, (_, i) => `  s${i}: { extends: s${i + 1} }`).join('\n')}\n  s5000: { image: x }\n` }), says: /extends goes deeper than 64, the limit/ },
  { name: 'extends that doubles', make: () => ({ text: `services:\n  base: { image: x, labels: { ${Array.from({ length: 3000 }, (_, i) => `k${i}: v`).join(', ')} } }\n${Array.from({ length: 3000 }, (_, i) => `  u${i}: { extends: base, labels: { A: b } }`).join('\n')}\n` }), says: /the merged stack has too many values/ },
  { name: 'include in a circle', make: () => ({ text: `include: [b.yml]\n${web}`, readFile: files({ '/w/b.yml': 'include: [s.yml]', '/w/s.yml': 'include: [b.yml]' }) }), says: /files include each other/ },
  { name: 'include that never ends', make: () => ({ text: `include: [i0.yml]\n${web}`, readFile: (path) => { const n = /i(\d+)\.yml$/.exec(path)?.[1]; return n === undefined ? null : `include: [i${Number(n) + 1}.yml]`; } }), says: /read more than 100 files, the limit/ },
  { name: 'depends_on in a circle of 5000', make: () => ({ text: `services:\n${Array.from({ length: 5000 }, (_, i) => `  s${i}: { image: x, depends_on: [s${(i + 1) % 5000}] }`).join('\n')}\n` }), says: /services depend on each other/ },
  { name: 'path traversal in targets', make: () => ({ text: `${web}    secrets: [{ source: s, target: ../../etc/passwd }]\n    configs: [{ source: c, target: /a/../../b }]\nsecrets: { s: { content: x } }\nconfigs: { c: { content: x } }\n` }), says: /\.\. is not allowed/ },
  { name: 'path traversal in names', make: () => ({ text: `name: ../../x\n${web}volumes: { v: { name: ../../etc } }\n` }), says: /is not a proper name/ },
  { name: 'integers beyond 2^53', make: () => ({ text: `${web}    deploy: { replicas: 9007199254740993 }\n    oom_score_adj: 1e400\n` }), says: /beyond 2\^53/ },
  { name: 'a thousand numbers with a million digits', make: () => ({ text: `${web}    pids_limit: ${'9'.repeat(900_000)}\n` }), says: /beyond 2\^53/ },
  { name: 'interpolation that multiplies', make: () => ({ text: `${web}    command: [${'"$A", '.repeat(2000)}]\n`, env: { A: 'x'.repeat(100_000) } }), says: /10485760 characters in all, the limit/ },
  { name: 'interpolation without end', make: () => ({ text: `${web}    command: "${'${A:-'.repeat(100_000)}"\n` }), says: /nested deeper than 20, the limit/ },
  { name: 'env files that multiply', make: () => ({ text: `${web}    env_file: e.env\n`, readFile: files({ '/w/e.env': `A0=${'x'.repeat(1000)}\n${Array.from({ length: 60 }, (_, i) => `A${i + 1}=$A${i}$A${i}`).join('\n')}` }) }), says: /the limit/ },
  { name: 'a catastrophic regex', make: () => ({ text: `${web}    deploy: { placement: { constraints: ["a==/(a+)+(a+)+$$/", "a==${'a'.repeat(900)}b"] } }\n` }) },
  { name: 'a regex that explodes', make: () => ({ text: `${web}    deploy: { placement: { constraints: ["a==/((x{100}){100}){100}/"] } }\n` }), says: /bad regular expression|too large/ },
  { name: 'very many regexes', make: () => ({ text: `services:\n${Array.from({ length: 2000 }, (_, i) => `  s${i}: { image: x, deploy: { placement: { constraints: ["a==/x${i}.*y.*z{50}/"] } } }`).join('\n')}\n` }), says: /more than 1000 different regular expressions/ },
  { name: 'very many constraints', make: () => ({ text: `${web}    deploy:\n      placement:\n        constraints:\n${Array.from({ length: 20_000 }, (_, i) => `          - a!=x${i}`).join('\n')}\n` }), says: /20000 constraints are more than 100, the limit/ },
  { name: '100k networks', make: () => ({ text: `${web}networks:\n${Array.from({ length: 100_000 }, (_, i) => `  n${i}:`).join('\n')}\n`, limits: { fileBytes: 10 * mega } }), says: /100000 networks are more than 1000, the limit/ },
  { name: 'a very long name', make: () => ({ text: `services:\n  ${'x'.repeat(900)}: { image: x }\n  web: { image: x, container_name: ${'y'.repeat(900_000)} }\n` }), says: /cannot be a/ },
  { name: 'ports without number', make: () => ({ text: `${web}    ports: [${'"1-65535", '.repeat(5000)}]\n` }), says: /at most 1024 ports/ },
  { name: 'very many ports', make: () => ({ text: `${web}    ports: [${Array.from({ length: 60 }, (_, i) => `"${1 + i * 1000}-${1000 + i * 1000}"`).join(', ')}]\n` }) },
  { name: 'a hundred thousand mistakes', make: () => ({ text: `${web}    ports:\n${'      - "x"\n'.repeat(100_000)}`, limits: { fileBytes: 10 * mega } }), says: /is no port/ },
  { name: 'nothing but dashes', make: () => ({ text: '-\n'.repeat(500_000) }), says: /must be a mapping|the limit|values/ },
  { name: 'very many documents', make: () => ({ text: `${web}${'---\n{}\n'.repeat(100_000)}` }), says: /more than 100 documents, the limit/ },
];
