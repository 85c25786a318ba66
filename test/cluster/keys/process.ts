/** What runs, as whom, where and with which environment. */
import { expect } from 'vitest';
import { speaking } from './images.ts';
import type { Row, Theme } from './row.ts';
import type { Seen } from './seen.ts';

const runs = (pattern: RegExp) => (seen: Seen) => seen.printed(pattern);

const commands: readonly Row[] = [
  { keys: ['services.command', 'services.image', 'services'], form: 'a list', service: 'command: ["sh", "-c", "echo \\"$$0|$$1\\"; exec sleep 1000", "a b", "c"]', see: runs(/^a b\|c$/m) },
  { keys: ['services.command'], form: 'a string is split into words, no shell', service: 'command: sh -c \'echo "$$0|$$1"; exec sleep 1000\' "a b" $$HOME', see: runs(/^a b\|\$HOME$/m) },
  { keys: ['services.command'], form: 'keeps the entrypoint of the image', service: `image: ${speaking}\ncommand: [two, words]\nhealthcheck: { disable: true }`, see: runs(/^two words$/m) },
  { keys: ['services.entrypoint'], form: 'a list, with a command as its arguments', service: 'entrypoint: ["sh", "-c", "echo \\"$$*\\"; exec sleep 1000", "x"]\ncommand: [one, two]', see: runs(/^one two$/m) },
  { keys: ['services.entrypoint'], form: 'a string; the command of the image goes', service: `image: ${speaking}\nentrypoint: sh -c 'echo "[$$*]"; exec sleep 1000' x\nhealthcheck: { disable: true }`, see: runs(/^\[\]$/m) },
  { keys: ['services.entrypoint'], form: 'an empty one clears the image\'s', service: `image: ${speaking}\nentrypoint: []\ncommand: ["sh", "-c", "echo alone; exec sleep 1000"]\nhealthcheck: { disable: true }`, see: runs(/^alone$/m) },
  { keys: ['services.working_dir'], service: 'working_dir: /srv/app/new', says: 'pwd', see: '/srv/app/new' },
  { keys: ['services.init'], service: 'init: true', says: 'head -c 17 /proc/1/cmdline; echo; (busybox usleep 100000 &); while busybox pidof usleep >/dev/null; do true; done; grep -c "State:.Z" /proc/[0-9]*/status | grep -vc ":0"', see: '/sbin/tsorch-init\n0' },
  { keys: ['services.tty'], service: 'tty: true', says: 'tty; [ -t 1 ] && echo terminal', see: /^\/dev\/pts\/0\s+terminal/ },
  { keys: ['services.stdin_open'], service: 'stdin_open: true', see: async (seen) => expect(await seen.sh('readlink /proc/1/fd/0')).toMatch(/^pipe:/) },
  {
    keys: ['services.runtime'], service: 'runtime: runc',
    see: async (seen) => {
      expect(await seen.bundle('runtime')).toMatch(/\brunc$/);
    },
  },
];

const people: readonly Row[] = [
  { keys: ['services.user'], form: 'by name, with its groups', service: 'user: web', says: 'id; echo $HOME', see: /^uid=1234\(web\) gid=2345\(web\) groups=2345\(web\),3456\(extra\)\n\/srv$/ },
  { keys: ['services.user'], form: 'by numbers', service: 'user: "77:88"', says: 'id -u; id -g; id -G', see: '77\n88\n88' },
  { keys: ['services.user'], form: 'a number and a group by name', service: 'user: "77:more"', says: 'id -u; id -g', see: '77\n4567' },
  { keys: ['services.group_add'], service: 'group_add: [extra, "999"]', says: 'id -G', see: '0 999 3456' },
  { keys: ['services.hostname'], service: 'hostname: own-name', says: 'hostname; cat /etc/hostname; echo $HOSTNAME; grep own-name /etc/hosts', see: /^own-name\nown-name\nown-name\n[\d.]+\s+.*own-name/ },
  { keys: ['services.hostname'], form: 'a template', service: 'hostname: "{{.Service.Name}}-{{.Task.Slot}}-{{.Node.Hostname}}"', says: 'hostname', see: /^k-process_hostname-2-1-node-[12]$/ },
  { keys: ['services.domainname'], service: 'hostname: box\ndomainname: example.test', says: 'cat /proc/sys/kernel/domainname; grep box /etc/hosts', see: [/^example\.test\n/, /box\.example\.test/] },
  { keys: ['services.uts'], service: 'uts: host', says: 'hostname; readlink /proc/self/ns/uts', see: namespace('uts') },
];

/** The script's last word is the machine's own namespace: hosts of a local cluster share all but the network with it. */
export function namespace(kind: string): Row['see'] {
  return async (seen) => expect((await seen.output()).trim().split('\n').at(-1)).toBe(await seen.own(kind));
}

const environment: readonly Row[] = [
  {
    keys: ['services.environment'], form: 'a mapping', service: 'environment: { PLAIN: "x y", NUMBER: 1.10, FLAG: true, DOLLAR: $$HOME, EMPTY: "", OUTSIDE: }',
    says: 'echo "$PLAIN|$NUMBER|$FLAG|$DOLLAR|$OUTSIDE|${EMPTY-unset}"', see: 'x y|1.10|true|$HOME|from outside|',
  },
  { keys: ['services.environment'], form: 'a list, and what is unset', service: 'environment: ["A=b=c", OUTSIDE, FROM_IMAGE]', says: 'echo "$A|$OUTSIDE|${FROM_IMAGE-unset}"', see: 'b=c|from outside|unset' },
  { keys: ['services.environment'], form: 'templates and variables of the file', service: 'environment: { WHO: "{{.Task.Name}}", WHERE: "{{.Node.Hostname}}", FILLED: "${OUTSIDE}-${MISSING:-default}" }', says: 'echo "$WHO|$WHERE|$FILLED"', see: /^k-process_environment-3\.1\.\w+\|node-[12]\|from outside-default$/ },
  {
    keys: ['services.env_file', 'services.env_file.path'], form: 'one, and what the service says itself wins', service: 'env_file: one.env\nenvironment: { TWO: service }',
    says: 'echo "$ONE|$TWO|$QUOTED"', see: '1|service|a # b',
  },
  {
    keys: ['services.env_file.required', 'services.env_file.format', 'services.env_file.path'], form: 'a list: raw, and one that may be missing',
    service: 'env_file:\n  - one.env\n  - { path: raw.env, format: raw }\n  - { path: not-there.env, required: false }', says: 'echo "$ONE|$RAW"', see: '1|"kept" $ONE',
  },
];

const notes: readonly Row[] = [
  {
    keys: ['services.labels'], form: 'a mapping and what a label file adds', service: 'labels: { tier: front, both: service }\nlabel_file: a.labels',
    see: async (seen) => expect((await seen.service()).spec.template.containers[0]?.labels).toEqual({ tier: 'front', both: 'service', filed: 'yes' }),
  },
  { keys: ['services.labels', 'services.label_file'], form: 'lists', service: 'labels: ["a=b", bare]\nlabel_file: [a.labels]', see: async (seen) => expect((await seen.service()).spec.template.containers[0]?.labels).toEqual({ a: 'b', bare: '', filed: 'yes', both: 'file' }) },
  {
    keys: ['services.annotations'], service: 'annotations: { com.example.note: "for the runtime" }',
    see: async (seen) => expect(await seen.bundle('config.json')).toContain('"com.example.note":"for the runtime"'),
  },
  { keys: ['services.sysctls'], form: 'a mapping', service: 'sysctls: { net.core.somaxconn: 333, kernel.shmmni: 77 }', says: 'cat /proc/sys/net/core/somaxconn /proc/sys/kernel/shmmni', see: '333\n77' },
  { keys: ['services.sysctls'], form: 'a list', service: 'sysctls: ["net.ipv4.ip_forward=0", "net.ipv4.tcp_keepalive_time=99"]', says: 'cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/tcp_keepalive_time', see: '0\n99' },
  { keys: ['services.logging', 'services.logging.options'], service: 'logging: { driver: json-file, options: { max-size: 8k, max-file: "1" } }', says: 'seq 1 40000',
    see: async (seen) => {
      await seen.printed(/== the end/);
      // Kept is a whole number of blocks, and what is read while more is written may be a little more.
      await seen.until('its early output to be given up', async () => (await seen.cluster.ok(['logs', seen.id, '--no-prefix'])).length < 40_000);
      expect(await seen.cluster.ok(['logs', seen.id, '--no-prefix'])).toMatch(/^40000$/m);
    } },
];

export const process: Theme = {
  name: 'k-process',
  env: { OUTSIDE: 'from outside' },
  files: { 'one.env': 'ONE=1\nTWO=file\nQUOTED="a # b" # and a remark\n', 'raw.env': 'RAW="kept" $ONE\n', 'a.labels': 'filed=yes\nboth=file\n' },
  rows: [...commands, ...people, ...environment, ...notes],
};
