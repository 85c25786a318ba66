/** What a host gives its peers of its network, unless it is told. */
import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';

/** Of a link whose speed nobody knows: half of a gigabit per second. */
const unknownRate = 62_500_000;

/** Bytes per second: half of what the link of this address carries. */
export async function defaultPeerRate(address: string, directory = '/sys/class/net'): Promise<number> {
  const [name] = Object.entries(networkInterfaces()).find(([, addresses]) => addresses?.some((each) => each.address === address)) ?? [];
  if (name === undefined) return unknownRate;
  // Megabits per second; -1, or an error, where there is no such thing.
  const speed = Number(await readFile(`${directory}/${name}/speed`, 'utf8').catch(() => ''));
  return speed > 0 ? (speed * 1_000_000) / 8 / 2 : unknownRate;
}
