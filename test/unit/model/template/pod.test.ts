/** Swarm's templates from the stack file to what an agent gets. */
import { describe, expect, test } from 'vitest';
import { makeAssignment } from '../../../../model/assign.ts';
import type { Assignment } from '../../../../model/assignment.ts';
import type { FileObjectSpec, ServiceSpec, StackSpec } from '../../../../model/spec.ts';
import { expandPod, sampleContext, templateProblem } from '../../../../model/template/pod.ts';
import { errorsOf, expectDefined, stackOf, webStack, type Options } from '../stack/load.ts';

const node = { hostname: 'alpha', os: 'linux', arch: 'aarch64' };

function assignment(stack: StackSpec, slot: number | string = 2): Assignment {
  const spec = expectDefined(stack.services['web']);
  const objects = new Map<string, FileObjectSpec>([...Object.values(stack.secrets), ...Object.values(stack.configs)].map((object) => [object.name, object]));
  const pod = { id: 'p9', service: 'shop_web', stack: 'shop', slot, revision: 'r', desired: 'running', reason: '', node: 'n7', ip: null, createdAt: 0 } as const;
  return expectDefined(makeAssignment(pod, spec, {
    content: (_, { source }) => objects.get(source)?.content, isTemplate: (_, { source }) => objects.get(source)?.template === 'golang', volume: () => undefined, node, ports: [],
  }) ?? undefined);
}

const filled = (body: string, options?: Options) => assignment(stackOf(webStack(body), options));
const text = (content: string | undefined): string => Buffer.from(content ?? '', 'base64').toString();

test('environment, host name, mounts, hooks', () => {
  const { template } = filled(`hostname: web-{{.Task.Slot}}
environment: { NODE: "{{.Node.Hostname}}", WHO: "{{.Service.Name}}/{{.Task.Name}}", ARCH: "{{.Node.Platform.Architecture}}", TEAM: '{{index .Service.Labels "a.b"}}', PLAIN: "{{range .}}{{.Message}}{{end}}", NONE: }
labels: { l: "{{.Node.ID}}" }
volumes: ["/srv/{{.Service.Labels.team}}/{{.Task.Slot}}:/data/{{.Task.ID}}", { type: volume, target: /x, volume: { labels: { slot: "{{.Task.Slot}}" } } }]
post_start: [{ command: x, environment: ["N={{.Node.ID}}"] }]
pre_start: [{ command: y }]
deploy: { labels: { team: blue, a.b: dotted } }`);
  expect(template.hostname).toBe('web-2');
  // The kernel takes no more.
  expect(filled(`hostname: "{{.Task.Name}}.${'x'.repeat(30)}${'.{{.Node.Hostname}}'.repeat(4)}"`).template.hostname).toBe(`shop_web.2.p9.${'x'.repeat(30)}.alpha.alpha.alpha.a`);
  const env = { NODE: 'alpha', WHO: 'shop_web/shop_web.2.p9', ARCH: 'aarch64', TEAM: 'dotted', PLAIN: '{{range .}}{{.Message}}{{end}}', NONE: null };
  expect(template.containers[0]).toMatchObject({
    env, labels: { l: '{{.Node.ID}}' }, mounts: [{ kind: 'bind', source: '/srv/blue/2', target: '/data/p9' }, { kind: 'volume', labels: { slot: '2' } }], postStart: [{ env: { N: 'n7' } }],
  });
  expect(template.initContainers?.[0]).toMatchObject({ env, mounts: [{ source: '/srv/blue/2' }, {}] });
});

test('what has no template is passed on as it is; a slot may be a node', () => {
  const spec = expectDefined(stackOf(webStack('environment: { A: "{{.Names}}" }')).services['web']);
  expect(expandPod(spec.template, sampleContext(spec))).toBe(spec.template);
  expect(assignment(stackOf(webStack('environment: { A: "{{.Task.Slot}} {{.Task.Name}}" }\ndeploy: { mode: global }')), 'n7').template.containers[0]?.env).toEqual({ A: 'n7 shop_web.n7.p9' });
});

test('a volume for each slot, by Swarm\'s trick', () => {
  const stack = stackOf(`${webStack('volumes: ["data:/d"]')}volumes: { data: { name: "data-{{.Task.Slot}}" } }`);
  expect(stack.volumes['data']?.name).toBe('data');
  expect(stack.services['web']?.template.containers[0]?.mounts).toMatchObject([{ volume: 'data', perReplica: true }]);
  expect(errorsOf(`${webStack('tty: true')}volumes: { data: { name: "d-{{.Node.ID}}" } }`)[0]).toContain('only {{.Task.Slot}} at the end of a volume\'s name is known; x-per-replica: true does the same');
});

describe('template_driver', () => {
  const files = `services:
  web:
    image: w
    environment: { MODE: "m-{{.Task.Slot}}" }
    secrets: [token, { source: login, target: /etc/login }]
    configs: [{ source: site, target: /etc/site.conf }, plain, motd]
secrets: { token: { content: s3cret }, login: { template_driver: golang, content: "user:{{secret \\"token\\"}}" } }
configs:
  site: { template_driver: golang, file: ./site.conf }
  motd: { template_driver: golang, content: "on {{.Node.Hostname}} in {{env \\"MODE\\"}} {{config \\"plain\\"}}" }
  plain: { content: "{{.Node.ID}}" }
`;
  const options: Options = { on: { '/work/shop/site.conf': 'node {{.Node.ID}};\n{{if eq .Task.Slot "2"}}second{{end}} {{secret "token"}}\n' } };
  test('contents are filled in for each pod; those with secrets are kept like secrets', () => {
    const stack = stackOf(files, options);
    const made = assignment(stack).files.map(({ reference, kind, content }) => [reference.target, kind, text(content)]);
    expect(made).toEqual([
      ['/run/secrets/token', 'secret', 's3cret'], ['/etc/login', 'secret', 'user:s3cret'], ['/etc/site.conf', 'secret', 'node n7;\nsecond s3cret\n'], ['/plain', 'config', '{{.Node.ID}}'], ['/motd', 'config', 'on alpha in m-2 {{.Node.ID}}'],
    ]);
    // To become a template is a new version of the same content.
    const plain = stackOf(files.replaceAll('template_driver: golang, ', ''), options);
    expect(plain.configs['motd']?.digest).not.toBe(stack.configs['motd']?.digest);
    expect(plain.configs['plain']).toEqual(stack.configs['plain']);
  });
  test('mistakes are shown in the file of the content', () => {
    expect(errorsOf(files, { on: { '/work/shop/site.conf': 'a\n  {{.Nod.ID}}' } })).toEqual(['site.conf:2:5 configs.site.file: the template of shop_site, for web: there is no .Nod']);
    expect(errorsOf(files, { on: { '/work/shop/site.conf': '{{secret "nope"}}' } })).toEqual(['site.conf:1:3 configs.site.file: the template of shop_site, for web: the container has no secret "nope"']);
    expect(errorsOf(files, { on: { '/work/shop/site.conf': 'x {{if}' } })).toEqual(['site.conf:1:3 configs.site.file: the template of site: {{ is not closed'.replace('1:3', '1:7').replace('{{ is not closed', '"}" has no meaning in a template')]);
    expect(errorsOf(files, { on: { '/work/shop/site.conf': new Uint8Array([0xff, 0xfe]) } })[0]).toContain('is no UTF-8 text, and so no template');
  });
});

test.each([
  ['environment: { A: "x{{.Node.Name}}" }', '4:27 services.web.environment.A: the template "x{{.Node.Name}}": there is no .Node.Name; the names are .Service.ID .Name .Labels, .Node.ID .Hostname .Platform, .Task.ID .Name .Slot'],
  ['environment: ["A={{.Service.Labels.nope}}"]', '4:24 services.web.environment.A: the template "{{.Service.Labels.nope}}": there is no .Service.Labels.nope'], ['hostname: "{{.Task.Slot"', 'services.web.hostname: the template "{{.Task.Slot": {{ is not closed'], ['hostname: "{{.Task.Name}} x"', 'cannot be a host\'s name'],
  ['domainname: "{{.Node.ID}}"', 'domainname takes no template'], ['volumes: ["/srv/{{.Node.Name}}:/d"]', 'the template "/srv/{{.Node.Name}}": there is no .Node.Name'], ['volumes: ["/srv:/d/{{.Task.X}}"]', 'there is no .Task.X'], ['pre_stop: [{ command: x, environment: { A: "{{.Task.X}}" } }]', 'services.web.pre_stop[0].environment.A: the template'],
])('%s', (body, message) => expect(errorsOf(webStack(body))[0]).toContain(message));

test('the master looks at what others send', () => {
  const spec: ServiceSpec = expectDefined(stackOf(webStack('environment: { A: "{{.Task.Slot}}" }')).services['web']);
  expect(templateProblem(spec)).toBeNull();
  const [container] = spec.template.containers;
  expect(templateProblem({ ...spec, template: { ...spec.template, containers: [{ ...expectDefined(container), env: { A: '{{.Task.Nope}}' } }] } })).toBe('the template "{{.Task.Nope}}": there is no .Task.Nope');
});
