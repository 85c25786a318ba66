/** The tables → docs/compose.md. */
import { deploy } from './deploy.ts';
import { describeVerdict } from './describe.ts';
import { serviceKeys } from './service.ts';
import type { Field, Shape } from './shape.ts';
import { definitions, topKeys } from './top.ts';

/** The page, whole. `npm test` fails when the committed page differs; `node docs/generate.ts` writes it. */
export function renderDocs(): string {
  return `${head}
## Top level
${table(topKeys)}
## services
${table(own(serviceKeys, false))}
${objects('services.*', own(serviceKeys, false))}
## services.*.deploy
${table(deploy.keys)}
${objects('services.*.deploy', deploy.keys)}
${Object.entries(definitions).map(([name, shape]) => `## ${name}s\n${table(shape.keys)}`).join('\n')}
${placement}
${table(own(serviceKeys, true, placing))}
${additions}
${pods}
${table(own(serviceKeys, true, sharing))}
${sharing.flatMap((key) => objects('services.*', { [key]: serviceKeys[key] as Field })).join('\n')}
${devices}
${templates}
${tail}`;
}

const placing = ['x-affinities', 'x-constraints', 'x-placement'];
const sharing = ['x-on-disconnect', 'x-pod', 'x-probes'];

/** The specification's keys, or the ones that tsorch adds. */
function own(keys: Readonly<Record<string, Field>>, ours: boolean, among?: readonly string[]): Readonly<Record<string, Field>> {
  return Object.fromEntries(Object.entries(keys).filter(([key]) => key.startsWith('x-') === ours && (among?.includes(key) ?? true)));
}

const head = `# Compose keys
This page is made from the tables in \`model/stack/schema\`; \`node docs/generate.ts\` writes it anew.

Every key of the Compose specification is in one of three classes, and no key is dropped in silence:
**works**; **refused**, an error with file, line, column and the way out, unless the value asks for nothing (\`false\`, \`0\`, empty);
**harmless**, accepted because here it changes nothing a service could notice. Keys that begin with \`x-\` are yours everywhere.
Unknown keys are errors; what tsorch adds has keys that begin with \`x-\` too, see [Placement](#placement) and [Pods](#pods).
`;

const placement = `## Placement
Every expression is \`KEY==VALUE\` or \`KEY!=VALUE\`. A value is taken as it is (in any case), with \`*\` for anything, or as \`/regex/\` (RE2, anywhere in the
text); \`~\` before it makes it a wish. All hard expressions must hold; wishes rank the nodes, the first one most, and are given up from the last.

| where | what |
|---|---|
| \`deploy.placement.constraints\` | Swarm's \`node.labels.type == frontend\`, \`node.role != manager\`, and the short \`type==frontend\` |
| \`environment\`: \`constraint:type==frontend\` | classic Swarm's. Such entries never reach the container. So do \`affinity:\`, \`dependency:\`, \`whitelist:\`, \`reschedule:\` |
| labels \`com.docker.swarm.constraints\`, \`….affinities\`, \`….dependencies\`, \`….whitelists\`, \`….reschedule-policies\` | JSON lists of the same expressions |
| \`deploy.placement.preferences\` | \`spread: node.labels.zone\`, or shorter \`zone\`; several nest |

- Keys of nodes: \`node.id\`, \`node.hostname\`, \`node.ip\` (an address or a block), \`node.role\`, \`node.platform.os\`, \`node.platform.arch\`, \`node.labels.K\`,
  \`engine.labels.K\`, \`node\` (id or name), and any bare word, a label of the node. A missing label is empty: \`K!=x\` holds, \`K==/^$/\` finds it.
- An unknown \`node.*\` key is an error, and so are expressions that no node could ever satisfy together.
- \`whitelist:node==a|b\` names nodes to the letter.
- \`reschedule:off\`: a pod whose node is lost waits for it instead of being replaced (once the node is removed from the cluster, it is). Without it, or
  with \`on-node-failure\`, it is replaced.
- Affinities look at other pods: \`container==db\` (a service of the stack, its \`container_name\`, \`STACK_SERVICE\` anywhere, \`STACK_SERVICE.SLOT\`, a pod's id),
  \`image==redis\` (with or without tag), or a label of services and containers. \`==\` wants a node that runs such a pod, \`!=\` one without; a hard \`!=\` keeps
  later pods away as well. The first pod of a service with an affinity to itself goes anywhere. They count when pods are placed: running pods stay.
- \`dependency:db\` is an affinity to that container, as \`--link\` was. \`links\` alone is not: names work on every node.

### What tsorch adds
These keys stand in a service, beside \`image\`. They are validated like all others; one of them misspelt (\`x-constraint\`) is warned about.
Other \`x-\` keys are yours, and ignored.
`;

const additions = `\`\`\`yaml
services:
  web:
    image: nginx
    x-constraints:
      - [hostname, UNIQUE]        # or hostname:UNIQUE
      - rack:MAX_PER:2
    x-affinities: ["container==~cache", "image!=postgres"]
    x-placement: { strategy: binpack }
\`\`\`
A field is \`hostname\` or any key of a node; nodes without it take no pods, except for UNLIKE.

| operator | value | |
|---|---|---|
| \`UNIQUE\` | | one pod of the service per value |
| \`CLUSTER\` | a value, or none | all pods on this value; without one, all on the same, one with room for them |
| \`GROUP_BY\` | a number, or none | no value has more than one pod above another; so many values are expected, else those there are |
| \`MAX_PER\` | a number | at most so many pods per value |
| \`LIKE\`, \`UNLIKE\` | a regex | the whole value matches; does not |
`;

const pods = `## Pods
A service is a pod with one container, unless the file says more. The containers of a pod are on one node, have one address and reach each other on localhost.

- \`network_mode: service:db\` (or \`container:NAME\`, by \`container_name\`, \`STACK_SERVICE\` or Compose's \`STACK-SERVICE-1\`) puts the service's container into db's
  pod. It is then no service by itself: it scales, moves and updates with db. Its ports are db's, its name and aliases lead to db, its \`deploy.labels\` join db's; it has
  its own image, limits, volumes, healthcheck and restarts. \`depends_on\` within the pod holds between its containers; what one of them waits for outside, the whole pod
  waits for; who depends on a service of the pod waits for that container. It starts after the service that it joins. What pods have in common (hostname, dns,
  networks, replicas, placement, updates) is said by db; a different word is an error.
- \`pid\` and \`ipc\` with \`service:\` and \`container:\` work between containers of one pod.
- \`x-pod.sidecars\` are containers beside the service's own, without being services. A service that depends on this one waits for all of them (for
  \`service_completed_successfully\` only for its own). \`depends_on\` of the service may name them, and theirs one another.
- \`x-pod.init\` and \`pre_start\` run before all others, one after the other, in this order, each until it exits with 0. A \`pre_start\` has everything its service has
  (image, environment, volumes, …), but for what it says itself; with an image of its own it has that image's entrypoint. They run before every pod, not once for
  the service: with several replicas say \`per_replica: true\`, else there is a warning (and an error for \`false\`). A \`pre_start\` of a service that joined another runs
  beside that one, before its own.
- \`x-pod.volumes\` are directories that live as long as the pod. Containers mount them by name, as volumes: \`volumes: ["cache:/cache"]\`.
- \`x-on-disconnect\` says what becomes of a pod whose host no master hears of any more. Without it the pod runs on, and after some seconds another takes its slot elsewhere:
  until the host is back there are two. With \`{ action: stop, after: 30s }\`, or \`stop\`, the host's agent ends it by itself once there was no master for so long (also one that
  was started again meanwhile), and its replacement waits until that must have happened: \`after\`, the grace and a few seconds. At most one runs, for the price of nobody
  serving meanwhile. It concerns the master's pods; those of a host's own manifests run without one.
- \`x-per-replica: true\` on a top-level volume, or on a mount in long syntax, gives every slot a volume of its own, \`NAME.SLOT\`.

\`\`\`yaml
services:
  web:
    image: shop/web
    volumes: ["cache:/cache", { type: volume, source: uploads, target: /uploads, x-per-replica: true }]
    pre_start:
      - command: ["./manage.py", migrate]
    x-probes:
      startup: { http: ":8080/healthz", period: 1s, failure_threshold: 60 }
      readiness: http://:8080/ready
      liveness: { exec: ["./alive"], timeout: 2s }
    x-pod:
      sidecars:
        proxy:
          image: shop/proxy
          ports: ["8443:8443"]
          volumes: ["cache:/cache:ro"]
      volumes:
        cache: { medium: memory, size: 64m }
volumes: { uploads: }
\`\`\`
A probe in one word is \`http://:PORT/PATH\`, \`https://…\`, \`tcp://:PORT\`, \`grpc://:PORT/SERVICE\`, a port, or a command for the shell; a list is a command as it is.
`;

const devices = `## Devices
\`devices\` names paths on the host, or CDI names (\`vendor.com/class=name\`) from the CDI files of the host. \`gpus\` and \`deploy.resources.reservations.devices\` become CDI names:
\`all\` and no number \`nvidia.com/gpu=all\`, \`device_ids\` \`nvidia.com/gpu=ID\`, \`count: 2\` \`nvidia.com/gpu=0\` and \`=1\`, the first ones, as Docker does; \`driver: amd\` and \`intel\` likewise,
and \`driver: cdi\` takes CDI names as \`device_ids\`. As many of the counted resource \`gpu\` are reserved (one for all), so the pod goes to a node that says it has them.
\`generic_resources\` reserves what nodes count by any name: a host says it with
\`--generic-resource gpu=2\`, or names each with \`gpu=UUID1,UUID2\`, and containers see which are theirs as \`DOCKER_RESOURCE_GPU\`.
`;

const templates = `## Templates
As in Swarm, \`environment\`, \`hostname\`, sources of bind mounts, targets of mounts and labels of anonymous volumes may be templates of Go's, filled in when a pod has its node:
\`{{.Service.ID}}\` and \`{{.Service.Name}}\` (\`STACK_SERVICE\`), \`{{.Service.Labels.x}}\` (of \`deploy.labels\`), \`{{index .Service.Labels "a.b"}}\`, \`{{.Node.ID}}\`, \`{{.Node.Hostname}}\`,
\`{{.Node.Platform.OS}}\` and \`.Architecture\`, \`{{.Task.ID}}\` (the pod's), \`{{.Task.Name}}\` (\`STACK_SERVICE.SLOT.ID\`), \`{{.Task.Slot}}\` (a node's id for global services). A text is a template when
it names one of the three; other braces are text. \`if\`, \`with\`, \`range\`, variables, pipelines and Go's functions work (but for \`call\`, \`html\`, \`js\`, \`define\`), and \`join SEPARATOR TEXTS…\`. Mistakes,
such as a label that is not there, are errors when the file is read. A volume's \`name: data-{{.Task.Slot}}\` is \`x-per-replica: true\`.
With \`template_driver: golang\` the content of a secret or config is one, which also knows \`{{env "NAME"}}\`, \`{{secret "TARGET"}}\` and \`{{config "TARGET"}}\` of the container that has it;
a config with a secret in it is kept like a secret.
`;

const tail = `## How files become one
- \`-f a -f b\`: mappings merge key by key; lists are appended without repetitions; \`command\`, \`entrypoint\` and \`healthcheck.test\` are
  replaced; \`ports\` are one entry per address, number and protocol, \`volumes\`, \`secrets\`, \`configs\` and \`devices\` one per place they are
  mounted at, the later file wins. \`logging.options\` merge only under the same driver. \`!reset\` takes away what earlier files say,
  \`!override\` replaces it.
- \`extends\` follows the same rules, the extending service coming later; paths of another file start at that file.
- \`include\` reads stacks with their own directory and \`.env\`; two definitions of one name must be equal, or a later \`-f\` overrides them.
- Several YAML documents in one file count as several files. Anchors, aliases and \`<<\` work; a key given twice is an error.
- Paths start at the directory of the first file.

## Variables
\`$VAR\`, \`\${VAR}\`, \`\${VAR:-default}\`, \`\${VAR-default}\`, \`\${VAR:?message}\`, \`\${VAR?message}\`, \`\${VAR:+text}\`, \`\${VAR+text}\`, nested; \`$$\` is a dollar.
The process's environment wins over \`--env-file\` (or \`.env\`). A variable that is not set is empty, with a warning.
Values of \`environment\` and labels are taken as written: \`VERSION: 1.10\` stays \`1.10\`, \`0644\` stays \`0644\`.
A variable without value (\`environment: [KEY]\`) takes the one outside; without one, it unsets the image's.
In env files, single quotes keep the text; double quotes know \`\\n \\r \\t \\\\ \\" \\$\`; a comment needs a space before its \`#\`; \`format: raw\` keeps all to the letter.

## Defaults
- A service without \`networks\` is on the network \`default\`, \`STACK_default\` in the cluster. Networks, volumes, secrets and configs are called
  \`STACK_NAME\` in the cluster, unless \`name\` says otherwise or they are \`external\`. Networks that no service uses are not made.
- Without \`restart\` and \`deploy.restart_policy\` a service is restarted always; a job, and a service that another one waits for with
  \`service_completed_successfully\`, only when it fails.
- \`mode\` of secrets and configs: \`0440\` and \`"0440"\` are octal, as Docker reads them.
- The stack's name: \`-p\`, \`COMPOSE_PROJECT_NAME\`, \`name:\`, the directory's name in small letters.

## Limits
One file: 1 MiB (callers may allow up to 10 MiB); 64 levels; 1000 aliases; 100 documents; 500,000 values with aliases unfolded (100,000 before, in files
with anchors or tags); 10 MiB made by interpolation; 100 files by \`include\` and \`extends\`; 64 steps of \`extends\`; 1024 ports in one range; 500 KiB for a secret or config.
One stack: 10,000 services, 1000 networks, 10,000 volumes, secrets and configs each, 1000 different regular expressions. One service: 100 constraints,
affinities and operators each; 100,000 replicas. Errors name the limit; 200 of them are kept.
`;

function table(keys: Readonly<Record<string, Field>>): string {
  const rows = Object.entries(keys).toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([key, { verdict }]) => `| \`${key}\` | ${describeVerdict(verdict)} |`);
  return `| key | |\n|---|---|\n${rows.join('\n')}\n`;
}

/** A container's keys: only how they differ from a service's. */
function container(place: string, keys: Readonly<Record<string, Field>>): string {
  const missing = Object.keys(serviceKeys).filter((key) => !Object.hasOwn(keys, key)).toSorted().map((key) => `\`${key}\``);
  const own = Object.entries(keys).filter(([key, field]) => field !== serviceKeys[key]);
  const refusals = Map.groupBy(own.filter(([, { verdict }]) => verdict.kind === 'refused'), ([, { verdict }]) => describeVerdict(verdict));
  const rows = [...refusals].map(([text, list]) => `| ${list.map(([key]) => `\`${key}\``).toSorted().join(', ')} | ${text} |\n`).join('');
  return `### ${place}\nAs in a service, without ${missing.join(', ')}, and but for:\n\n${table(Object.fromEntries(own.filter(([, { verdict }]) => verdict.kind !== 'refused')))}${rows}`;
}

/** The objects below keys, where they have more to say than that all of them work. */
function objects(at: string, keys: Readonly<Record<string, Field>>): string {
  const parts: string[] = [];
  const seen = new Map<Shape, string>();
  const walk = (shape: Shape, place: string): void => {
    if (shape.kind === 'list' || shape.kind === 'map' || shape.kind === 'short') walk(shape.of, `${place}${shape.kind === 'list' ? '[]' : shape.kind === 'map' ? '.*' : ''}`);
    if (shape.kind !== 'object') return;
    const known = seen.get(shape);
    if (known !== undefined) {
      parts.push(`### ${place}\nAs \`${known}\`.\n`);
      return;
    }
    seen.set(shape, place);
    if (shape.keys['image']) {
      parts.push(container(place, shape.keys));
      return;
    }
    parts.push(`### ${place}\n${table(shape.keys)}`);
    for (const [key, field] of Object.entries(shape.keys)) if (field.verdict.kind === 'works') walk(field.shape, `${place}.${key}`);
  };
  for (const [key, field] of Object.entries(keys)) if (field.verdict.kind === 'works' && key !== 'deploy') walk(field.shape, `${at}.${key}`);
  return parts.join('\n');
}
