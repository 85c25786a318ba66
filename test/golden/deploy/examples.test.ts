/** Each example: the stack as it is resolved, and the plan on three nodes, as people read them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { renderPlan } from '../../../cli/commands/plan.ts';
import { painter } from '../../../cli/output/color.ts';
import { formatDiagnostic, loadStack, printCompose } from '../../../model/stack/load.ts';
import { makeNode } from '../../unit/master/scheduler/make.ts';
import { TestCluster } from '../../unit/master/apply/cluster.ts';

const folder = join(import.meta.dirname, '../../../deploy/examples');
const examples = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory() && existsSync(join(folder, entry.name, 'stack.yml'))).map((entry) => entry.name).toSorted();
const nodes = [
  makeNode(1, { labels: { type: 'frontend', zone: 'a' } }), makeNode(2, { labels: { type: 'backend', zone: 'b', disk: 'ssd' } }), makeNode(3, { labels: { type: 'backend', zone: 'b' } }),
];

test.each(examples)('%s', async (name) => {
  const dir = join(folder, name);
  const read = (path: string): Buffer | null => (existsSync(path) ? readFileSync(path) : null);
  const env = read(join(dir, '.env'));
  const result = loadStack({
    files: [{ path: 'stack.yml', content: readFileSync(join(dir, 'stack.yml'), 'utf8') }], env: {}, envFiles: env ? [{ path: '.env', content: env.toString() }] : [], profiles: ['*'],
    // Where the example lies must not show.
    workingDir: `/examples/${name}`, readFile: (path) => read(path.replace(/^\/examples/, folder)),
  });
  if (!result.ok) throw new Error(result.errors.map((error) => formatDiagnostic(error)).join('\n'));
  expect(result.warnings.map((warning) => formatDiagnostic(warning))).toEqual([]);
  await expect(printCompose(result.compose, 'yaml')).toMatchFileSnapshot(`./expected/${name}.config.yml`);

  const cluster = await TestCluster.start(nodes);
  try {
    const paint = painter(false);
    const first = renderPlan(cluster.preview(result.stack), paint);
    await cluster.apply(result.stack);
    await cluster.settle();
    // In a fixed order, so that addresses and ids are no matter.
    const where = cluster.world.values('pods').map((pod) => `${pod.service}.${nodes.find(({ node }) => node.id === pod.slot)?.node.name ?? pod.slot} on ${nodes.find(({ node }) => node.id === pod.node)?.node.name ?? 'no node'}`).toSorted();
    const again = renderPlan(cluster.preview(result.stack), paint);
    await expect(`${first}\nApplied and settled:\n${where.join('\n')}\n\nApplied again:\n${again}`).toMatchFileSnapshot(`./expected/${name}.plan.txt`);
    expect(cluster.plan(result.stack).ops).toEqual([]);
  } finally {
    await cluster.stop();
  }
});

test('there are examples', () => expect(examples.length).toBeGreaterThanOrEqual(4));
