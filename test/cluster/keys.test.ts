/**
 * Every key of a stack file that is said to work, seen at work: what the file says against what a container finds from the inside, or
 * what people see. One cluster of two hosts, a stack per theme; test/unit/model/stack/proved.test.ts sees to it that no key is left out.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cluster } from './lib/cluster.ts';
import { named, stackFile } from './keys/compose.ts';
import { loadImages } from './keys/images.ts';
import { prepareMachine, tidyMachine } from './keys/machine.ts';
import { Outputs } from './keys/outputs.ts';
import type { Row, Theme } from './keys/row.ts';
import { compare, Seen, type AppliedStack } from './keys/seen.ts';
import { themes } from './keys/themes.ts';

let cluster: Cluster;
/** The machine's end of the hosts' wires. */
let machineAddress: string;
const applied = new Map<Theme, AppliedStack & { readonly code: number }>();

beforeAll(async () => {
  const file = prepareMachine();
  cluster = await Cluster.own('t-keys', ['-f', file]);
  await loadImages(cluster);
  machineAddress = (await cluster.address('node-1')).replace(/\d+$/, '1');
  for (const theme of themes.filter(({ first }) => first)) await apply(theme);
  // A few at a time: hundreds of pods at once would keep two cores so busy that hosts fall silent and count as down.
  const rest = themes.filter(({ first }) => !first);
  await Promise.all([0, 1].map(async () => {
    for (let theme = rest.shift(); theme; theme = rest.shift()) await apply(theme);
  }));
}, 900_000);
afterAll(async () => {
  await cluster?.destroy();
  tidyMachine();
}, 300_000);

async function apply(theme: Theme): Promise<void> {
  const dir = join(cluster.dir, theme.name);
  for (const [name, text] of Object.entries({ ...theme.files, 'stack.yml': stackFile(theme) })) {
    mkdirSync(join(dir, name, '..'), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
  const { code, stdout, stderr } = await cluster.tsorch(['apply', '-f', join(dir, 'stack.yml'), ...(theme.flags ?? []), ...(theme.stuck ? [] : ['--wait', '--timeout', '150s'])], { env: { MACHINE: machineAddress, ...theme.env }, timeoutMs: 200_000 });
  applied.set(theme, { cluster, name: theme.name, dir, code, applied: stdout + stderr, outputs: new Outputs(cluster, theme.name) });
}

function title({ keys, form }: Row): string {
  return `${keys.join(', ')}${form === undefined ? '' : `: ${form}`}`;
}

async function check(theme: Theme, row: Row, name: string): Promise<void> {
  const stack = applied.get(theme);
  if (!stack) throw new Error(`${theme.name} was not applied`);
  const seen = new Seen(stack, name);
  if (typeof row.see === 'function') await row.see(seen);
  else compare(await seen.output(), row.see);
}

describe.each(themes)('$name', (theme) => {
  test(theme.stuck ? 'is applied' : 'is applied, and becomes ready', () => {
    expect(applied.get(theme)?.code, applied.get(theme)?.applied).toBe(0);
  });

  describe.concurrent('rows', () => {
    for (const [row, name] of named(theme)) test(title(row), () => check(theme, row, name), 170_000);
  });
});
