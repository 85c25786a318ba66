/** `healthcheck`, with Docker's defaults. */
import type { Healthcheck } from '../../spec.ts';
import type { Reader } from './reader.ts';

export function makeHealthcheck(service: Reader): Healthcheck | undefined {
  const check = service.at('healthcheck');
  if (!check.node) return undefined;
  const test = testOf(check);
  if (!test) {
    if (!check.has('test')) check.error('the healthcheck has no test', 'say what to run with test, or disable: true to switch the image\'s check off');
    return undefined;
  }
  // 0 asks for the default, as in Docker.
  return {
    test,
    intervalMs: check.ms('interval') || 30_000,
    timeoutMs: check.ms('timeout') || 30_000,
    retries: check.number('retries') || 3,
    startPeriodMs: check.ms('start_period') ?? 0,
    startIntervalMs: check.ms('start_interval') || 5000,
  };
}

function testOf(check: Reader): Healthcheck['test'] | undefined {
  const words = check.strings('test');
  if (check.flag('disable') === true || words?.[0] === 'NONE') return { kind: 'none' };
  if (!words || words.length < 2) return undefined;
  return words[0] === 'CMD' ? { kind: 'exec', argv: words.slice(1) } : { kind: 'shell', command: words[1] ?? '' };
}
