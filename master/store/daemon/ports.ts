/** Two loopback ports that stay the same from start to start, as long as nobody else takes them. */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

export interface Ports {
  readonly client: number;
  readonly peer: number;
}

export async function loadPorts(file: string): Promise<Ports | null> {
  try {
    const { client, peer } = JSON.parse(await readFile(file, 'utf8')) as Partial<Ports>;
    return isPort(client) && isPort(peer) && client !== peer ? { client, peer } : null;
  } catch {
    return null;
  }
}

/** The known ports if they are free, else others, which are then kept. */
export async function choosePorts(file: string): Promise<Ports> {
  const known = await loadPorts(file);
  if (known && (await isFree(known.client)) && (await isFree(known.peer))) return known;
  const [client, peer] = await freePorts();
  const ports = { client, peer };
  await writeFile(`${file}.new`, JSON.stringify(ports), { mode: 0o600 });
  await rename(`${file}.new`, file);
  return ports;
}

/** Both held at once, so that they differ. */
async function freePorts(): Promise<[number, number]> {
  const [one, two] = [createServer(), createServer()];
  try {
    return [await listen(one, 0), await listen(two, 0)];
  } finally {
    one.close();
    two.close();
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await listen(server, port);
    return true;
  } catch {
    return false;
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

function listen(server: ReturnType<typeof createServer>, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 65_536;
}
