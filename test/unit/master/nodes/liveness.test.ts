import { describe, expect, test } from 'vitest';
import { FakeClock } from '../../../../lib/clock.ts';
import { Liveness } from '../../../../master/nodes/liveness.ts';

const times = { graceMs: 3_000, startGraceMs: 8_000, witnessedGraceMs: 20_000 };

function make() {
  const clock = new FakeClock();
  return { clock, liveness: new Liveness({ clock, ...times }) };
}

describe('liveness', () => {
  test('a node nobody has heard of since the start is unknown for the start grace, then down', async () => {
    const { clock, liveness } = make();
    expect(liveness.state('n')).toBe('unknown');
    expect(liveness.nextChange(['n'])).toBe(8_000);
    await clock.advance(7_999);
    expect(liveness.state('n')).toBe('unknown');
    await clock.advance(1);
    expect(liveness.state('n')).toBe('down');
    expect(liveness.nextChange(['n'])).toBeUndefined();
  });

  test('a lost session is forgiven for the grace, and a new one ends it', async () => {
    const { clock, liveness } = make();
    liveness.connected('n');
    expect(liveness.state('n')).toBe('ready');
    await clock.advance(60_000);
    liveness.lost('n');
    expect(liveness.state('n')).toBe('unknown');
    await clock.advance(2_999);
    liveness.connected('n');
    expect(liveness.state('n')).toBe('ready');
    liveness.lost('n');
    await clock.advance(3_000);
    expect(liveness.state('n')).toBe('down');
  });

  test('tells since when a node is away: at the latest since its own start', async () => {
    const { clock, liveness } = make();
    const start = clock.monotonic();
    await clock.advance(500);
    expect(liveness.lostAt('n')).toBe(start);
    liveness.connected('n');
    expect(liveness.lostAt('n')).toBeNull();
    await clock.advance(500);
    liveness.lost('n');
    await clock.advance(500);
    expect(liveness.lostAt('n')).toBe(start + 1000);
  });

  test('a host whose proxy still speaks has the longer grace, and the short one from when that ends', async () => {
    const { clock, liveness } = make();
    liveness.connected('n');
    liveness.witness('n', true);
    await clock.advance(60_000);
    liveness.lost('n');
    await clock.advance(10_000);
    expect(liveness.state('n')).toBe('unknown');
    liveness.witness('n', false);
    expect(liveness.nextChange(['n'])).toBe(3_000);
    await clock.advance(3_000);
    expect(liveness.state('n')).toBe('down');
  });

  test('a witness does not keep a node without an agent for ever', async () => {
    const { clock, liveness } = make();
    liveness.connected('n');
    liveness.witness('n', true);
    liveness.lost('n');
    await clock.advance(20_000);
    expect(liveness.state('n')).toBe('down');
  });

  test('a proxy that was restarted long ago changes nothing', async () => {
    const { clock, liveness } = make();
    liveness.connected('n');
    liveness.witness('n', true);
    liveness.witness('n', true);
    liveness.witness('n', false);
    liveness.witness('n', false);
    await clock.advance(60_000);
    liveness.lost('n');
    expect(liveness.nextChange(['n'])).toBe(3_000);
  });
});
