/** `apply`: sends a stack to the master, says what changed, and with --wait stays until it runs. */
import type { Command } from 'commander';
import type { ApplyResult } from '../../model/api.ts';
import { segment } from '../client.ts';
import { note, print, wantsColor, type Io } from '../io.ts';
import { painter, plain, type Style } from '../output/color.ts';
import { showValue } from '../output/format.ts';
import { hintAtPushes } from '../push/hint.ts';
import { formatElapsed } from '../output/values.ts';
import { addImageOptions, applyRequest, type ImageOptions } from '../stack/registries.ts';
import { addStackOptions, loadStackFiles, type StackOptions } from '../stack/load.ts';
import { addWaitOptions, waitForServices, waitOptions, type WaitOptions } from '../wait/services.ts';
import { command, formatOption, withClient, type FormatOptions } from './command.ts';

export function applyCommand(io: Io): Command {
  const apply = addWaitOptions(addImageOptions(addStackOptions(command('apply', 'make the cluster run a stack', ['tsorch apply -f stack.yml --wait', 'tsorch apply -f stack.yml -f production.yml -p shop', 'cat stack.yml | tsorch apply -f - -p demo', 'tsorch apply -f stack.yml --resolve-image always']))));
  return apply.addOption(formatOption()).action(async (options: StackOptions & ImageOptions & WaitOptions & FormatOptions) => {
    const wait = waitOptions(options);
    const { stack } = await loadStackFiles(io, options);
    const started = io.now();
    await withClient(io, options, async (client) => {
      const result = await client.json<ApplyResult>('PUT', `/v1/stacks/${segment(stack.name)}`, await applyRequest(io, stack, options));
      for (const warning of result.warnings) note(io, `warning: ${plain(warning)}`);
      if (options.format === 'table') showResult(io, result);
      else showValue(io, options.format, result);
      await hintAtPushes(io, client, stack);
      if (!options.wait) return;
      const ids = Object.entries(result.services).flatMap(([id, action]) => (action === 'removed' ? [] : [id]));
      const out = options.format === 'table' ? io : { ...io, stdout: io.stderr };
      await waitForServices(out, client, ids, wait);
      if (options.format === 'table') print(io, `stack ${result.stack} is ready after ${formatElapsed(io.now() - started)}`);
    });
  });
}

const styles: Readonly<Record<string, Style>> = { created: 'green', updated: 'yellow', removed: 'red', unchanged: 'dim' };

function showResult(io: Io, result: ApplyResult): void {
  const paint = painter(wantsColor(io));
  for (const [kind, things] of [['network', result.networks], ['volume', result.volumes], ['service', result.services]] as const) {
    for (const [name, action] of Object.entries(things)) {
      if (kind !== 'service' && action === 'unchanged') continue;
      print(io, `${kind} ${plain(name)} ${paint(styles[action], action)}`);
    }
  }
}
