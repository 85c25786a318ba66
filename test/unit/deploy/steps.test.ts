import { expect, test } from 'vitest';
import { createSteps } from '../../../deploy/local/steps.ts';

function record(isTTY: boolean) {
  let text = '';
  let now = 0;
  return { steps: createSteps({ write: (more) => (text += more), isTTY, now: () => (now += 750) }), text: () => text };
}

test('a line per step in a pipe, also for the one that fails', async () => {
  const { steps, text } = record(false);
  expect(await steps.step('network', async () => 3, (value) => `${value} hosts`)).toBe(3);
  await expect(steps.step('master', async () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(text()).toBe('✔ network: 3 hosts (750 ms)\n✘ master: failed (750 ms)\n');
});

test('a terminal shows the step while it lasts, in the same line', async () => {
  const { steps, text } = record(true);
  await steps.step('hosts', async (say) => say('1/3 ready'));
  expect(text()).toBe('\r\u001b[2K… hosts\r\u001b[2K… hosts: 1/3 ready\r\u001b[2K✔ hosts (750 ms)\n');
});
