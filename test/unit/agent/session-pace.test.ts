import { describe, expect, test } from 'vitest';
import { Pace } from '../../../agent/session-pace.ts';
import type { PodPhase, PodStatus } from '../../../model/pod.ts';

function status(id: string, phase: PodPhase): PodStatus {
  return { id, node: 'n', phase, ready: false, message: '', restarts: 0, since: 0, containers: [] };
}

function after(moves: readonly (readonly [id: string, phase: PodPhase | 'gone', at: number])[]): Pace {
  const pace = new Pace();
  for (const [id, phase, at] of moves) {
    if (phase === 'gone') pace.gone(id);
    else pace.moved(status(id, phase), at);
  }
  return pace;
}

const four = ['a', 'b', 'c', 'd'].map((id) => [id, 'starting', 0] as const);

describe('a burst', () => {
  test.each([
    ['nothing moves', [], 0, false],
    ['one pod begins', [['a', 'starting', 0]], 0, false],
    ['three begin', four.slice(0, 3), 0, false],
    ['four begin', four, 0, true],
    ['four wait, and have for long', four, 3000, false],
    ['three of the four have moved no more', [...four, ['a', 'preparing', 2500]], 3500, false],
    ['all have moved since', [...four, ...four.map(([id]) => [id, 'starting', 2500] as const)], 3500, true],
    ['one of them runs by now', [...four, ['a', 'running', 10]], 10, false],
    ['one has ended for good', [...four, ['a', 'failed', 10]], 10, false],
    ['one is gone', [...four, ['a', 'gone', 10]], 10, false],
    ['four of five are left', [...four, ['e', 'stopping', 5], ['a', 'running', 10]], 10, true],
  ] as const)('%s', (_, moves, now, expected) => {
    expect(after(moves).burst(now)).toBe(expected);
  });
});
