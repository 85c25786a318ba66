import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { acceptStacks, isUnreadable } from '../../../../agent/manifests/plan/accept.ts';
import { nameOfFile, splitStacks } from '../../../../agent/manifests/plan/documents.ts';
import { expandStack } from '../../../../agent/manifests/plan/expand.ts';
import { localTable } from '../../../../agent/manifests/plan/table.ts';
import type { ManifestStack, SourceContent } from '../../../../agent/manifests/plan/types.ts';
import { findArchives, findUnits } from '../../../../agent/manifests/plan/units.ts';
import { FakeHost, hash, host, manifest, stackOf } from './make.ts';

const one = (image = 'app:1', more = '') => `services: {web: {image: '${image}'${more}}}`;

describe('which files are stacks', () => {
  test.each<[string, readonly string[], readonly string[]]>([
    ['by their ending', ['b.yml', 'a.yaml', 'c.json', 'README', 'd.txt'], ['a.yaml', 'b.yml', 'c.json']],
    ['not those of editors', ['web.yml', '.web.yml.swp', 'web.yml~', '#web.yml#', 'web.yml.tmp', '4913', '.hidden.yml'], ['web.yml']],
    ['an override goes with what it overrides', ['web.yml', 'web.override.yml'], ['web.yml+web.override.yml']],
    ['an override of nothing is a stack of its own', ['web.override.yml'], ['web.override.yml']],
  ])('%s', (_, files, wanted) => {
    const units = findUnits('/m', { files, directories: new Map() });
    expect(units.map((unit) => unit.files.map((file) => file.replace('/m/', '')).join('+'))).toEqual(wanted);
  });

  test('a directory with a Compose file is one, and is called after the directory', () => {
    const units = findUnits('/m', { files: [], directories: new Map([['shop', ['stack.yml', 'compose.yaml', 'compose.override.yaml', '.env']], ['empty', ['notes.txt']], ['.git', ['compose.yml']]]) });
    expect(units).toEqual([{ origin: '/m/shop/compose.yaml', files: ['/m/shop/compose.yaml', '/m/shop/compose.override.yaml'], directory: '/m/shop', defaultName: 'shop' }]);
  });

  test('image archives lie beside them', () => {
    expect(findArchives('/m', { files: ['b.tar', 'a.tar.gz', 'c.tgz', '.d.tar', 'e.yml'] })).toEqual(['/m/a.tar.gz', '/m/b.tar', '/m/c.tgz']);
  });

  test.each([['web.yml', 'web'], ['Web Site.YAML', 'website'], ['https://x/a/edge.json', 'edge'], ['---.yml', '']])('%s names %j', (path, name) => {
    expect(nameOfFile(path)).toBe(name);
  });
});

describe('documents', () => {
  test.each<[string, string, number]>([
    ['one', 'services: {}\n', 1],
    ['documents without a name are merged', 'services: {}\n---\nservices: {}\n', 1],
    ['a name begins the next', 'name: a\n---\nname: b\nservices: {}\n', 2],
    ['a leading marker is no document', '---\nname: a\n---\nname: b\n', 2],
    ['comments before the first are none either', '# hello\n---\nname: a\n', 1],
    ['dashes in a text end it too', 'name: a\nx: |\n  one\n---\nname: b\n', 2],
    ['dashes in a word do not', 'name: a\n--- x\n---y: 1\n', 1],
  ])('%s', (_, text, count) => {
    expect(splitStacks(text)).toHaveLength(count);
  });

  test('every part keeps its lines, and nothing is lost', () => {
    fc.assert(fc.property(fc.array(fc.constantFrom('name: a', '---', 'services:', '  web: {image: x}', '', '# c', 'x: ---', '---\t'), { maxLength: 20 }), (lines) => {
      const text = lines.join('\n');
      const parts = splitStacks(text);
      let at = 0;
      for (const part of parts) {
        const body = part.replace(/^\n*/, '');
        const line = part.length - body.length;
        expect(text.indexOf(body, at)).toBeGreaterThanOrEqual(0);
        if (body !== '') expect(text.split('\n').slice(line).join('\n').startsWith(body)).toBe(true);
        at = text.indexOf(body, at) + body.length;
      }
      expect(parts.map((part) => part.trim()).filter(Boolean).join('').replace(/\s/g, '')).toBe(text.replace(/\s/g, ''));
    }));
  });
});

describe('which stacks count', () => {
  const entry = (origin: string, ...specs: readonly ReturnType<typeof stackOf>[]) => ({ origin, specs, warnings: [] });
  const accept = (contents: readonly SourceContent[], before: readonly ManifestStack[] = [], clusterStacks: readonly string[] = []) =>
    acceptStacks({ contents, before, ports: {}, clusterStacks: new Set(clusterStacks) });
  const names = (accepted: ReturnType<typeof accept>) => accepted.stacks.map(({ origin, spec }) => `${spec.name} of ${origin}`);

  test('of one name from two places the first counts, and the other is told of both', () => {
    const accepted = accept([
      { source: 'directory', entries: [entry('/m/a.yml', stackOf(one(), 'web')), entry('/m/b.yml', stackOf(one(), 'web'))] },
      { source: 'https://x/web.yml', entries: [entry('https://x/web.yml', stackOf(one(), 'web'))] },
    ]);
    expect(names(accepted)).toEqual(['web of /m/a.yml']);
    expect(accepted.problems).toEqual([
      '/m/b.yml: the stack web is in /m/a.yml too; name one of them apart with name:',
      'https://x/web.yml: the stack web is in /m/a.yml too; name one of them apart with name:',
    ]);
  });

  test('who runs already stays, whoever comes', () => {
    const running = manifest(one(), 'web', '/m/z.yml');
    const accepted = accept([{ source: 'directory', entries: [entry('/m/a.yml', stackOf(one('app:2'), 'web')), entry('/m/z.yml', running.spec)] }], [running]);
    expect(names(accepted)).toEqual(['web of /m/z.yml']);
    expect(accepted.problems).toEqual(['/m/a.yml: the stack web is in /m/z.yml too; name one of them apart with name:']);
  });

  test('a file that does not load leaves what was made of it; one that is gone does not', () => {
    const [web, db] = [manifest(one(), 'web'), manifest(one(), 'db')];
    const accepted = accept([{ source: 'directory', entries: [{ origin: '/m/web.yml', problem: '/m/web.yml:1:1: error: no' }] }], [web, db]);
    expect(names(accepted)).toEqual(['web of /m/web.yml']);
    expect(accepted.problems).toEqual(['/m/web.yml:1:1: error: no']);
    expect(isUnreadable(accepted, web)).toBe(true);
    expect(isUnreadable(accepted, db)).toBe(false);
  });

  test('a source out of reach leaves everything', () => {
    const far = { ...manifest(one(), 'far', 'https://x/far.yml'), source: 'https://x/far.yml' };
    const accepted = accept([{ source: 'directory', entries: [] }, { source: 'https://x/far.yml', entries: null, problem: 'out of reach' }], [far]);
    expect(names(accepted)).toEqual(['far of https://x/far.yml']);
    expect(accepted.problems).toEqual(['out of reach']);
  });

  test('a change that collides leaves the version before', () => {
    const published = (port: number) => stackOf(one('app:1', `, ports: ['${port}:80']`), 'b');
    const a = { source: 'directory', origin: '/m/a.yml', spec: stackOf(one('app:1', ", ports: ['8080:80']"), 'a') };
    const b = { source: 'directory', origin: '/m/b.yml', spec: published(8081) };
    const accepted = accept([{ source: 'directory', entries: [entry('/m/a.yml', a.spec), entry('/m/b.yml', published(8080))] }], [a, b]);
    expect(accepted.stacks.map(({ spec }) => spec)).toEqual([a.spec, b.spec]);
    expect(accepted.problems).toEqual([expect.stringMatching(/^\/m\/b\.yml: services\.web\.ports: .*8080\/tcp: a_web has it/)]);
  });

  test('ports that nobody chose come from the other end than a master\'s', () => {
    expect(accept([{ source: 'directory', entries: [entry('/m/a.yml', stackOf(one('app:1', ", ports: ['80', '81']")))] }]).ports['web_web']?.map(({ published }) => published)).toEqual([32_767, 32_766]);
  });

  test.each([
    ['networks', `${one('a', ', networks: [n]')}\nnetworks: {n: {external: true}}`, 'networks.n: a manifest has no cluster to take an external network from'],
    ['secrets', `${one('a', ', secrets: [s]')}\nsecrets: {s: {external: true}}`, 'secrets.s: a manifest has no cluster to take an external secret from'],
  ])('external %s are refused', (_, text, problem) => {
    const accepted = accept([{ source: 'directory', entries: [entry('/m/web.yml', stackOf(text))] }]);
    expect(accepted).toMatchObject({ stacks: [], problems: [expect.stringContaining(problem)] });
  });

  test('a stack that the cluster runs here is refused, unless it was there first', () => {
    const contents = [{ source: 'directory', entries: [entry('/m/web.yml', stackOf(one()))] }];
    expect(accept(contents, [], ['web']).problems).toEqual(['/m/web.yml: the cluster has a stack web too; name this one apart with name:']);
    expect(accept(contents, [manifest(one())], ['web']).problems).toEqual([]);
  });
});

describe('what a service is here', () => {
  const only = (text: string) => {
    const [service] = expandStack(manifest(text), host, hash);
    if (!service) throw new Error('no service');
    return service;
  };
  test.each<[string, string, readonly number[], readonly RegExp[]]>([
    ['replicas', 'services: {web: {image: a, deploy: {replicas: 3}}}', [1, 2, 3], []],
    ['none', 'services: {web: {image: a, deploy: {replicas: 0}}}', [], []],
    ['global is one', 'services: {web: {image: a, deploy: {mode: global}}}', [1], []],
    ['a job', 'services: {web: {image: a, deploy: {mode: replicated-job, replicas: 2}}}', [1, 2], []],
    ['a constraint that holds', 'services: {web: {image: a, deploy: {placement: {constraints: ["type==edge"]}}}}', [1], []],
    ['one that does not', 'services: {web: {image: a, deploy: {placement: {constraints: ["type==core"]}}}}', [], [/does not run here: constraint type==core: .*type=edge/]],
    ['a soft one', 'services: {web: {image: a, deploy: {placement: {constraints: ["type==~core"]}}}}', [1], []],
    ['a limit per node', 'services: {web: {image: a, deploy: {replicas: 3, placement: {max_replicas_per_node: 2}}}}', [1, 2], [/runs 2 of 3: max_replicas_per_node is 2/]],
    ['what has no effect is said', 'services: {web: {image: a, deploy: {update_config: {order: start-first, delay: 1s}}}}', [1], [/order: start-first, update_config.delay have no effect/]],
  ])('%s', (_, text, slots, notes) => {
    const service = only(text);
    expect(service.slots).toEqual(slots);
    expect(service.notes).toHaveLength(notes.length);
    notes.forEach((note, i) => expect(service.notes[i]).toMatch(note));
  });

  test('its networks are of this host alone', () => {
    expect(only(one()).service.spec.networks.map(({ network }) => network)).toEqual(['manifest/web_default']);
  });
});

describe('pods', () => {
  test('come, and their ids follow from what they are made of', () => {
    const make = () => {
      const it = new FakeHost([manifest('services: {web: {image: a, deploy: {replicas: 2}}, db: {image: b}}')]);
      it.settle();
      return it;
    };
    const first = make();
    expect(first.names()).toEqual(['web_db.1', 'web_web.1', 'web_web.2']);
    expect(first.ids()).toEqual(make().ids());
    expect(first.ids().every((id) => /^s[0-9a-z]{11}$/.test(id))).toBe(true);
    expect(new Set([...first.pods.values()].map(({ assignment }) => assignment.pod.ip))).toEqual(new Set(['10.31.0.1', '10.31.0.2', '10.31.0.3']));
    const elsewhere = new FakeHost(first.stacks, { ...host, hostId: 'h2' });
    elsewhere.settle();
    expect(elsewhere.ids().some((id) => first.ids().includes(id))).toBe(false);
  });

  test('a host that joins a cluster keeps them', () => {
    const alone = new FakeHost([manifest(one())]);
    alone.settle();
    const joined = new FakeHost(alone.stacks, { ...host, nodeId: 'n77', target: { ...host.target, id: 'n77' } });
    for (const [id, pod] of alone.pods) joined.pods.set(id, pod);
    expect(joined.decide()).toMatchObject({ create: [], drain: [], remove: [], keep: [{}] });
  });

  test('a changed template replaces its pods one after the other, and nothing else', () => {
    const it = new FakeHost([manifest('services: {web: {image: a, deploy: {replicas: 3}}, db: {image: b}}')]);
    it.settle();
    const db = [...it.pods.values()].find(({ assignment }) => assignment.pod.service === 'web_db')?.assignment.pod.id ?? '';
    it.stacks = [manifest('services: {web: {image: a2, deploy: {replicas: 3}}, db: {image: b}}')];
    const drained = it.pass().drain;
    expect(drained).toEqual([{ id: expect.any(String), reason: 'updated' }]);
    expect(it.pass().remove).toEqual([drained[0]?.id]);
    // Its successor comes when it is gone, and the next one goes when that is ready.
    expect(it.pass()).toMatchObject({ create: [], drain: [], remove: [] });
    it.clear();
    const [next] = it.pass().create;
    expect(next?.template.containers[0]?.image).toBe('a2');
    expect(it.pass()).toMatchObject({ create: [], drain: [] });
    it.ready(next?.pod.id ?? '');
    expect(it.pass().drain).toHaveLength(1);
    it.settle();
    expect(it.pods.has(db)).toBe(true);
    expect([...it.pods.values()].map(({ assignment }) => assignment.template.containers[0]?.image ?? '').sort()).toEqual(['a2', 'a2', 'a2', 'b']);
  });

  test('parallelism 0 replaces all at once; what is not ready anyway need not wait', () => {
    const it = new FakeHost([manifest('services: {web: {image: a, deploy: {replicas: 3, update_config: {parallelism: 0}}}}')]);
    it.settle();
    it.stacks = [manifest('services: {web: {image: b, deploy: {replicas: 3, update_config: {parallelism: 0}}}}')];
    expect(it.pass().drain).toHaveLength(3);
    const broken = new FakeHost([manifest('services: {web: {image: a, deploy: {replicas: 3}}}')]);
    broken.pass();
    broken.stacks = [manifest('services: {web: {image: b, deploy: {replicas: 3}}}')];
    expect(broken.pass().remove).toHaveLength(3);
  });

  test('a replacement that never becomes ready stops the others from going', () => {
    const it = new FakeHost([manifest('services: {web: {image: a, deploy: {replicas: 3}}}')]);
    it.settle();
    it.stacks = [manifest('services: {web: {image: broken, deploy: {replicas: 3}}}')];
    for (let i = 0; i < 20; i++) {
      it.pass();
      it.clear();
    }
    expect([...it.pods.values()].map(({ assignment }) => assignment.template.containers[0]?.image ?? '').sort()).toEqual(['a', 'a', 'broken']);
  });

  test('one that serves goes only once nobody is sent to it', () => {
    const it = new FakeHost([manifest(one())]);
    it.settle();
    it.stacks = [];
    it.drained = () => false;
    expect(it.pass()).toMatchObject({ drain: [{ reason: 'its manifest does not have it any more' }], remove: [] });
    expect(it.pass()).toMatchObject({ drain: [], remove: [] });
    it.drained = () => true;
    expect(it.pass().remove).toHaveLength(1);
  });

  test('a template that comes back waits until its pod of before is gone', () => {
    const [a, b] = [manifest(one('a')), manifest(one('b'))];
    const it = new FakeHost([a]);
    it.settle();
    it.stacks = [b];
    it.pass();
    it.stacks = [a];
    expect(it.pass().create).toEqual([]);
    it.settle();
    expect(it.names()).toEqual(['web_web.1']);
    expect(it.born).toHaveLength(2);
    expect(new Set(it.born).size).toBe(1);
  });

  test('jobs run once, as many at a time as they may, and again when they are others', () => {
    const it = new FakeHost([manifest('services: {job: {image: a, deploy: {mode: replicated-job, replicas: 3, placement: {max_replicas_per_node: 2}}}}')]);
    expect(it.pass().create).toHaveLength(2);
    it.status(it.born[0] ?? '', { phase: 'succeeded' });
    expect(it.pass().create).toHaveLength(1);
    for (const id of it.born) it.status(id, { phase: 'succeeded' });
    expect(it.pass()).toMatchObject({ create: [], drain: [], remove: [] });
    it.stacks = [manifest('services: {job: {image: b, deploy: {mode: replicated-job, replicas: 1}}}')];
    expect(it.pass().remove).toHaveLength(3);
    it.clear();
    expect(it.pass().create).toHaveLength(1);
  });

  test('depends_on holds: nothing is made, and nothing goes for it, before what it waits for is there', () => {
    const text = (image: string, db = 'db') => `services: {web: {image: ${image}, depends_on: {db: {condition: service_healthy}}}, db: {image: ${db}}}`;
    const it = new FakeHost([manifest(text('a'))]);
    const first = it.pass();
    expect(first.create.map(({ pod }) => pod.service)).toEqual(['web_db']);
    expect(first.waiting.map(({ message, pod }) => [pod.service, message])).toEqual([['web_web', 'waiting for db: healthy']]);
    it.ready();
    expect(it.pass().create.map(({ pod }) => pod.service)).toEqual(['web_web']);
    it.ready();
    // Both change: the old one serves on until the new db is ready.
    it.stacks = [manifest(text('b', 'db2'))];
    expect(it.pass().drain.map(({ id }) => it.pods.get(id)?.assignment.pod.service)).toContain('web_db');
    it.settle();
    expect([...it.pods.values()].map(({ assignment }) => assignment.template.containers[0]?.image ?? '').sort()).toEqual(['b', 'db2']);
  });

  test('a secret comes with its pod; without its content nothing is made, and what runs stays', () => {
    const text = `${one('a', ', secrets: [key]')}\nsecrets: {key: {content: hush}}`;
    const it = new FakeHost([manifest(text)]);
    const [made] = it.pass().create;
    expect(made?.files).toMatchObject([{ kind: 'secret', content: Buffer.from('hush').toString('base64') }]);
    it.ready();
    const [stack] = it.stacks;
    if (!stack) throw new Error('no stack');
    const { content: _content, ...withheld } = stack.spec.secrets['key'] ?? { name: '', external: false, labels: {} };
    const restored = { ...stack, spec: { ...stack.spec, secrets: { key: withheld } } };
    it.stacks = [restored];
    expect(it.pass()).toMatchObject({ create: [], drain: [], remove: [], waiting: [] });
    const afresh = new FakeHost([restored]);
    expect(afresh.pass()).toMatchObject({ create: [], waiting: [{ message: expect.stringContaining('secrets') }] });
    it.stacks = [manifest(text.replace('hush', 'other'))];
    expect(it.pass().drain).toHaveLength(1);
  });

  test('addresses: one outside of the range is made anew, a freed one is not given again at once, and none left is said', () => {
    const it = new FakeHost([manifest(one())]);
    it.settle();
    const moved = new FakeHost(it.stacks, { ...host, podCidr: '10.99.0.0/17', vipCidr: '10.99.128.0/17' });
    for (const [id, pod] of it.pods) moved.pods.set(id, pod);
    moved.settle();
    expect([...moved.pods.values()].map(({ assignment }) => assignment.pod.ip)).toEqual(['10.99.0.1']);
    it.stacks = [manifest(one('b'))];
    it.settle();
    expect([...it.pods.values()].map(({ assignment }) => assignment.pod.ip)).toEqual(['10.31.0.2']);
    const small = new FakeHost([manifest('services: {web: {image: a, deploy: {replicas: 3}}}')], { ...host, podCidr: '10.31.0.0/30' });
    const { create, waiting } = small.pass();
    expect(create).toHaveLength(2);
    expect(waiting).toMatchObject([{ message: expect.stringContaining('no address is left in 10.31.0.0/30') }]);
  });

  test('counted resources are the host\'s: whoever finds too few waits, and named ones are one pod\'s alone', () => {
    const text = 'services: {web: {image: a, deploy: {replicas: 3, resources: {reservations: {generic_resources: [{discrete_resource_spec: {kind: gpu, value: 1}}]}}}}}';
    const it = new FakeHost([manifest(text)], { ...host, generic: { gpu: ['a', 'b', 'c'] } });
    it.holders = [{ amounts: { gpu: 1 }, names: { gpu: ['b'] } }];
    const { create, waiting } = it.pass();
    expect(create.map(({ pod }) => pod.generic)).toEqual([{ gpu: ['a'] }, { gpu: ['c'] }]);
    expect(waiting.map(({ message }) => message)).toEqual(['waiting for gpu: 1 wanted, 0 free']);
    it.status(it.born[0] ?? '', { phase: 'failed' });
    expect(it.pass().create.map(({ pod }) => pod.generic)).toEqual([{ gpu: ['a'] }]);
    expect(new FakeHost([manifest(text)]).pass()).toMatchObject({ create: [], waiting: [{}, {}, {}] });
  });

  test('pods of a manifest that cannot be read stay', () => {
    const it = new FakeHost([manifest(one())]);
    it.settle();
    it.stacks = [];
    it.keeps = () => true;
    expect(it.pass()).toMatchObject({ drain: [], remove: [] });
  });
});

describe('whatever happens', () => {
  const service = fc.record({ name: fc.constantFrom('a', 'b', 'c'), image: fc.constantFrom('x', 'y', 'z'), replicas: fc.integer({ min: 0, max: 3 }), parallelism: fc.integer({ min: 0, max: 2 }), after: fc.boolean() });
  const text = fc.uniqueArray(service, { selector: ({ name }) => name, minLength: 1, maxLength: 3 }).map((services) => ({
    text: `services:\n${services.map(({ name, image, replicas, parallelism, after }, i) => {
      const other = services[i - 1]?.name;
      return `  ${name}: {image: ${image}, deploy: {replicas: ${replicas}, update_config: {parallelism: ${parallelism}}}${after && other !== undefined && (services[i - 1]?.replicas ?? 0) > 0 ? `, depends_on: {${other}: {condition: service_started}}` : ''}}`;
    }).join('\n')}`,
    wanted: services.flatMap(({ name, image, replicas }) => Array.from({ length: replicas }, (_, i) => `web_${name}.${i + 1} ${image}`)).sort(),
  }));
  const event = fc.oneof(
    text.map((manifestText) => ({ kind: 'write' as const, ...manifestText })),
    fc.constantFrom({ kind: 'pass' as const }, { kind: 'clear' as const }, { kind: 'ready' as const }, { kind: 'unready' as const }),
  );

  test('no slot has two pods that run, decisions repeat themselves, and it comes to rest where the file says', () => {
    fc.assert(fc.property(fc.array(event, { maxLength: 40 }), fc.func(fc.boolean()), text, (events, drained, last) => {
      const it = new FakeHost();
      it.drained = (id) => drained(id);
      const look = () => {
        const alive = [...it.pods.values()].map(({ assignment: { pod } }) => `${pod.service}.${pod.slot}`);
        expect(new Set(alive).size).toBe(alive.length);
        const ips = [...it.pods.values()].map(({ assignment: { pod } }) => pod.ip);
        expect(new Set(ips).size).toBe(ips.length);
      };
      for (const each of events) {
        switch (each.kind) {
          case 'write': it.stacks = [manifest(each.text)]; break;
          case 'pass': {
            const decision = it.decide();
            expect(it.decide()).toEqual(decision);
            it.pass();
            break;
          }
          case 'clear': it.clear(); break;
          case 'ready': for (const [id, { removed }] of it.pods) if (!removed) it.ready(id); break;
          case 'unready': for (const id of it.pods.keys()) it.status(id, { ready: false });
        }
        look();
      }
      it.stacks = [manifest(last.text)];
      it.drained = () => true;
      for (const [id, { removed }] of it.pods) if (!removed) it.ready(id);
      it.settle();
      expect([...it.pods.values()].map(({ assignment: { pod, template } }) => `${pod.service}.${pod.slot} ${template.containers[0]?.image}`).sort()).toEqual(last.wanted);
      expect(it.decide()).toMatchObject({ create: [], drain: [], remove: [], waiting: [] });
    }), { numRuns: 60 });
  });

  test('while an update runs, no more than its parallelism is away', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 3 }), fc.array(fc.constantFrom('pass', 'clear', 'ready'), { maxLength: 60 }), (replicas, parallelism, steps) => {
      const of = (image: string) => manifest(`services: {web: {image: ${image}, deploy: {replicas: ${replicas}, update_config: {parallelism: ${parallelism}}}}}`);
      const it = new FakeHost([of('a')]);
      it.settle();
      it.stacks = [of('b')];
      for (const step of steps) {
        if (step === 'pass') it.pass();
        else if (step === 'clear') it.clear();
        else for (const [id, { removed }] of it.pods) if (!removed) it.ready(id);
        const serving = [...it.pods.values()].filter(({ status, removed, assignment }) => status.ready && !removed && assignment.pod.desired === 'running').length;
        expect(serving).toBeGreaterThanOrEqual(replicas - parallelism);
      }
    }), { numRuns: 60 });
  });
});

describe('the host\'s own table', () => {
  test('has services with their endpoints, isolation of every pod, and nothing that drains', () => {
    const it = new FakeHost([manifest(`services: {web: {image: a, ports: ['8080:80'], networks: {front: {aliases: [www]}}, deploy: {replicas: 2}}}\nnetworks: {front: {internal: true}}`)]);
    it.settle();
    const table = () => localTable(host, it.stacks.flatMap((stack) => expandStack(stack, host, hash)), [...it.pods.values()], it.given);
    const [first, second] = [...it.pods.values()].map(({ assignment }) => assignment.pod);
    expect(table().services.get('web_web')).toEqual({
      id: 'web_web', stack: 'web', name: 'web', networks: [{ network: 'manifest/web_front', vip: '10.31.128.1', aliases: ['www'] }],
      ports: [{ target: 80, published: 8080, protocol: 'tcp', mode: 'ingress' }],
      endpoints: [{ pod: first?.id, ip: '10.31.0.1', node: 'here' }, { pod: second?.id, ip: '10.31.0.2', node: 'here' }],
    });
    expect(table().networks.get('manifest/web_front')).toMatchObject({ internal: true });
    expect(table().nodes.get('here')).toMatchObject({ subnet: '10.31.0.0/17' });
    it.stacks = [manifest('services: {other: {image: a}}')];
    it.drained = () => false;
    it.pass();
    expect([...table().pods.values()].filter(({ service }) => service === 'web_web')).toMatchObject([{ ready: false, networks: ['manifest/web_front'] }, { ready: false }]);
  });
});
