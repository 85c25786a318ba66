/** An HTTP probe: a status from 200 to 399 passes. Certificates are not looked at, redirects not followed. */
import http from 'node:http';
import tls from 'node:tls';
import { isIP } from 'node:net';
import type { Probe } from '../../../model/lifecycle.ts';
import type { CheckResult } from '../step/types.ts';
import { dial, type Place } from './place.ts';

type HttpAsk = Extract<Probe['ask'], { kind: 'http' }>;

/** Bytes of a body that are read, so that the server sees its answer taken. */
const bodyBytes = 10_240;

export function askHttp(ask: HttpAsk, place: Place, signal: AbortSignal, noAnswer: string): Promise<CheckResult> {
  return new Promise((resolve) => {
    const plain = dial(place, ask.port);
    plain.on('error', () => {});
    const socket = ask.scheme === 'https' ? tls.connect({ socket: plain, rejectUnauthorized: false, ...(isIP(place.host) ? {} : { servername: place.host }) }) : plain;
    let answer: CheckResult | undefined;
    const finish = (result: CheckResult) => {
      signal.removeEventListener('abort', late);
      socket.destroy();
      plain.destroy();
      resolve(answer ?? result);
    };
    const late = () => finish({ passed: false, output: noAnswer });
    signal.addEventListener('abort', late, { once: true });
    socket.on('error', (error) => finish({ passed: false, output: error.message }));
    try {
      const request = http.request({ method: 'GET', path: ask.path || '/', headers: headersOf(ask, place), createConnection: () => socket });
      request.on('error', (error) => finish({ passed: false, output: error.message }));
      request.on('response', (response) => {
        const { statusCode = 0, statusMessage = '' } = response;
        const passed = statusCode >= 200 && statusCode < 400;
        answer = { passed, output: passed ? '' : `HTTP ${statusCode}${statusMessage === '' ? '' : ` ${statusMessage}`}` };
        let read = 0;
        response.on('data', (data: Buffer) => {
          read += data.length;
          if (read > bodyBytes) finish(answer as CheckResult);
        });
        response.on('end', () => finish(answer as CheckResult));
        response.on('error', () => finish(answer as CheckResult));
      });
      request.end();
    } catch (error) {
      // A header that cannot be one.
      finish({ passed: false, output: (error as Error).message });
    }
  });
}

function headersOf({ headers, port, scheme }: HttpAsk, { host }: Place): Record<string, string> {
  const said = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  const standard = port === (scheme === 'https' ? 443 : 80);
  return { host: standard ? host : `${host}:${port}`, 'user-agent': 'tsorch-probe', accept: '*/*', connection: 'close', ...said };
}
