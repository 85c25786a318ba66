/** Secrets and configs: how they come into a container, and where they come from. */
import { expect } from 'vitest';
import type { FileObjectListItem } from '../../../model/api.ts';
import type { Row, Theme } from './row.ts';

const look = (path: string) => `busybox stat -c "%u:%g %a" ${path}; cat ${path}`;

/** Both kinds have the same keys; only a secret stays in memory. */
const grants = (kind: 'secrets' | 'configs', base: string): readonly Row[] => [
  { keys: [`services.${kind}`, kind, `${kind}.content`], form: 'short', service: `${kind}: [plain]`, says: look(`${base}plain`), see: '0:0 444\nplain text' },
  {
    keys: [`services.${kind}.source`, `services.${kind}.target`, `services.${kind}.uid`, `services.${kind}.gid`, `services.${kind}.mode`], form: 'long',
    service: `${kind}: [{ source: plain, target: /etc/app/own, uid: "1234", gid: "2345", mode: 0400 }, { source: plain, target: named, mode: "0440" }]`,
    says: `${look('/etc/app/own')}; ${look(`${base}named`)}`, see: '1234:2345 400\nplain text\n0:0 440\nplain text',
  },
  { keys: [`${kind}.file`], service: `${kind}: [filed]`, says: look(`${base}filed`), see: /from a file$/ },
  { keys: [`${kind}.environment`], service: `${kind}: [outside]`, says: look(`${base}outside`), see: /from outside$/ },
  { keys: [`${kind}.external`], service: `${kind}: [foreign]`, says: look(`${base}foreign`), see: /from another stack$/ },
  {
    keys: [`${kind}.name`], service: `${kind}: [renamed]`, says: look(`${base}renamed`),
    see: async (seen) => {
      expect(await seen.output()).toMatch(/renamed text$/m);
      expect((await seen.cluster.json<FileObjectListItem[]>([kind.slice(0, -1), 'ls'])).map(({ name }) => name)).toContain(`k-${kind}-name`);
    },
  },
  { keys: [`${kind}.template_driver`], service: `${kind}: [template]\nenvironment: { WHO: me }`, says: look(`${base}template`), see: new RegExp(`k-files_${kind}-template-driver me node-[12]$`) },
  {
    keys: [`${kind}.labels`], service: `${kind}: [labelled]`,
    see: async (seen) => expect(JSON.stringify(await seen.cluster.json([kind.slice(0, -1), 'inspect', 'k-files_labelled']))).toContain('"tier":"gold"'),
  },
];

const objects = (kind: string) => `
    ${kind}:
      plain: { content: "plain text\\n" }
      filed: { file: ./a.txt }
      outside: { environment: OUTSIDE }
      foreign: { external: true, name: k-shared-${kind} }
      renamed: { name: k-${kind}-name, content: "renamed text\\n" }
      labelled: { content: x, labels: { tier: gold } }
      template: { template_driver: golang, content: "{{.Service.Name}} {{env \\"WHO\\"}} {{.Node.Hostname}}\\n" }`;

export const files: Theme = {
  name: 'k-files',
  env: { OUTSIDE: 'from outside' },
  files: { 'a.txt': 'from a file' },
  top: `${objects('secrets')}${objects('configs')}`,
  rows: [
    ...grants('secrets', '/run/secrets/'), ...grants('configs', '/'),
    { keys: ['services.secrets'], form: 'in memory alone, and not to be written', service: 'secrets: [plain]\nread_only: true', says: 'grep " /run/secrets/plain " /proc/mounts | cut -d" " -f3; echo x >/run/secrets/plain', see: /^tmpfs\n.*(Read-only|denied)/ },
  ],
};
