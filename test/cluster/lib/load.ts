/** A client that loads a page for as long as it is told, each request on a new connection or all on kept ones; counts failures. */
import { Agent, request } from 'node:http';

export interface Load {
  readonly sent: () => number;
  readonly failures: () => readonly string[];
  /** Waits for the requests under way. */
  stop(): Promise<void>;
}

export function startLoad(urls: readonly string[], options: { readonly keepAlive: boolean; readonly concurrency: number; readonly pauseMs?: number; readonly timeoutMs?: number }): Load {
  const agent = new Agent({ keepAlive: options.keepAlive, maxSockets: options.concurrency });
  const failures: string[] = [];
  let sent = 0;
  let stopped = false;
  const worker = async (index: number): Promise<void> => {
    for (let i = index; !stopped; i++) {
      const url = urls[i % urls.length] as string;
      const began = performance.now();
      try {
        await get(url, agent, options.timeoutMs ?? 5_000);
      } catch (error) {
        failures.push(`${new Date().toISOString()} ${url} after ${Math.round(performance.now() - began)} ms: ${(error as Error).message}`);
      }
      sent++;
      await new Promise((next) => setTimeout(next, options.pauseMs ?? 5));
    }
  };
  const workers = Array.from({ length: options.concurrency }, (_, index) => worker(index));
  return {
    sent: () => sent,
    failures: () => failures,
    async stop() {
      stopped = true;
      await Promise.all(workers);
      agent.destroy();
    },
  };
}

export function get(url: string, agent?: Agent, timeoutMs = 5_000, method = 'GET', body?: string): Promise<{ status: number; body: string; headers: NodeJS.Dict<string | string[]> }> {
  return new Promise((resolve, reject) => {
    const req = request(url, { method, ...(agent ? { agent } : { agent: false }), timeout: timeoutMs, ...(body === undefined ? {} : { headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(body) } }) }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const status = response.statusCode ?? 0;
        if (status >= 400) reject(new Error(`status ${status}`));
        else resolve({ status, body: Buffer.concat(chunks).toString(), headers: response.headers });
      });
      response.on('error', reject);
    });
    req.on('timeout', () => req.destroy(new Error('no answer in time')));
    req.on('error', reject);
    req.end(body);
  });
}
