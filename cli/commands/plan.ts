/** `plan`: what apply would change, where each pod would go, and why not elsewhere. Nothing is written. */
import type { Command } from 'commander';
import type { PlannedPod, PlannedService, PlanResult } from '../../model/api.ts';
import { segment } from '../client.ts';
import { note, print, wantsColor, type Io } from '../io.ts';
import { painter, plain, type Paint, type Style } from '../output/color.ts';
import { showValue } from '../output/format.ts';
import { addImageOptions, applyRequest, type ImageOptions } from '../stack/registries.ts';
import { addStackOptions, loadStackFiles, type StackOptions } from '../stack/load.ts';
import { command, formatOption, withClient, type FormatOptions } from './command.ts';

export function planCommand(io: Io): Command {
  return addImageOptions(addStackOptions(command('plan', 'show what apply would do, and where each pod would go', ['tsorch plan -f stack.yml', 'tsorch plan -f stack.yml --format json'])))
    .addOption(formatOption())
    .action(async (options: StackOptions & ImageOptions & FormatOptions) => {
      const { stack } = await loadStackFiles(io, options);
      const plan = await withClient(io, options, async (client) => client.json<PlanResult>('POST', `/v1/stacks/${segment(stack.name)}/plan`, await applyRequest(io, stack, options)));
      for (const warning of plan.warnings ?? []) note(io, `warning: ${plain(warning)}`);
      if (options.format !== 'table') return showValue(io, options.format, plan);
      print(io, renderPlan(plan, painter(wantsColor(io))));
    });
}

const marks: Readonly<Record<PlannedService['action'], readonly [string, Style]>> = {
  create: ['+', 'green'],
  update: ['~', 'yellow'],
  remove: ['-', 'red'],
  unchanged: ['=', 'dim'],
};

const podStyles: Readonly<Record<PlannedPod['action'], Style>> = { create: 'green', replace: 'yellow', stop: 'red', keep: 'dim' };

export function renderPlan(plan: PlanResult, paint: Paint): string {
  const blocks = plan.services.map((service) => {
    const [mark, style] = marks[service.action];
    const head = paint(style, `${mark} ${service.id}: ${service.action}${service.action === 'update' && !service.restarts ? ' in place' : ''}`);
    const changes = service.changes.map((change) => `    ${plain(change.path)}: ${value(change.before)} -> ${value(change.after)}`);
    // Pods that stay as they are would bury the ones that do not.
    const pods = service.pods.filter((pod) => pod.action !== 'keep').flatMap((pod) => podLines(pod, paint));
    const kept = service.pods.length - service.pods.filter((pod) => pod.action !== 'keep').length;
    return [head, ...changes, ...pods, ...(kept > 0 ? [paint('dim', `    ${kept} pod${kept === 1 ? '' : 's'} stay${kept === 1 ? 's' : ''}`)] : [])].join('\n');
  });
  const count = (action: PlannedService['action']) => plan.services.filter((service) => service.action === action).length;
  const homeless = plan.services.flatMap((service) => service.pods).filter((pod) => pod.node === null && pod.action !== 'stop').length;
  const summary = `${count('create')} to create, ${count('update')} to update, ${count('remove')} to remove, ${count('unchanged')} unchanged`;
  return `${[...blocks, summary + (homeless > 0 ? paint('red', `; ${homeless} pod${homeless === 1 ? ' fits' : 's fit'} on no node`) : '')].join('\n')}\n`;
}

function podLines(pod: PlannedPod, paint: Paint): string[] {
  const where = pod.node === null ? (pod.action === 'stop' ? '' : ` on ${paint('red', 'no node')}`) : ` on ${pod.node}`;
  return [`    ${paint(podStyles[pod.action], pod.action)} ${pod.name}${where}`, ...pod.why.map((reason) => paint('dim', `        - ${plain(reason.message)}`))];
}

function value(of: unknown): string {
  return of === undefined ? 'none' : plain(JSON.stringify(of));
}
