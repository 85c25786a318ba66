/** `--wait`: shows services becoming ready, and fails with what holds them up when they do not. */
import type { Command } from 'commander';
import type { PodListItem, ServiceListItem } from '../../model/api.ts';
import type { ApiClient } from '../client.ts';
import type { GlobalOptions } from '../commands/command.ts';
import { exitCode, ExitError } from '../exit.ts';
import { note, type Io } from '../io.ts';
import { formatElapsed, parseDuration } from '../output/values.ts';
import { deadlineOf } from './deadline.ts';
import { progressOf, type Progress } from './progress.ts';
import { createProgressView } from './view.ts';

export interface WaitOptions extends GlobalOptions {
  readonly wait: boolean;
  readonly timeout: string;
}

export function addWaitOptions(to: Command): Command {
  return to.option('--wait', 'wait until the services are ready', false).option('--timeout <time>', 'how long to wait', '2m');
}

export function waitOptions(options: WaitOptions): { readonly timeoutMs: number } {
  return { timeoutMs: parseDuration(options.timeout) };
}

/** Resolves when all are ready; ends the command with 5 after the time, 1 when an update was paused or rolled back. */
export async function waitForServices(io: Io, client: ApiClient, ids: readonly string[], options: { readonly timeoutMs: number }): Promise<void> {
  if (ids.length === 0) return;
  const started = io.now();
  const view = createProgressView(io);
  const wanted = new Set(ids);
  let failed: Progress[] = [];
  let left: Progress[] | undefined;
  try {
    left = await deadlineOf(options.timeoutMs, io.signal).until(async () => {
      const [services, pods] = await Promise.all([client.get<ServiceListItem[]>('/v1/services'), client.get<PodListItem[]>('/v1/pods', { all: true })]);
      const progress = services.filter((service) => wanted.has(service.id)).map((service) => progressOf(service, pods));
      // Removed meanwhile by somebody else: nothing to wait for any more, but not a success either.
      for (const id of wanted) {
        if (!services.some((service) => service.id === id)) progress.push({ id, state: 'failed', ready: 0, desired: 0, reasons: ['the service was removed'] });
      }
      view.show(progress, io.now() - started);
      failed = progress.filter((each) => each.state === 'failed');
      const waiting = progress.filter((each) => each.state === 'waiting');
      return failed.length > 0 || waiting.length === 0 ? { done: true } : { done: false, left: waiting };
    });
  } finally {
    view.end();
  }
  if (failed.length > 0) return fail(io, failed, 'failed', exitCode.failed);
  if (left) return fail(io, left, `not ready after ${formatElapsed(options.timeoutMs)}`, exitCode.timeout);
}

function fail(io: Io, services: readonly Progress[], what: string, code: number): never {
  const all = services.map((service) => `${service.id} (${service.ready}/${service.desired}${service.reasons[0] ? `, ${service.reasons[0]}` : ''})`).join('; ');
  note(io, `error: ${what}: ${all}; see \`tsorch ps ${services[0]?.id} -a\``);
  throw new ExitError(code);
}
