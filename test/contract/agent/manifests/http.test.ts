/** The real GET against real servers: certificates, redirects, and servers that mean no good. */
import { createServer as createHttp, type RequestListener } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { get, type GetRequest } from '../../../../agent/manifests/http.ts';
import { makeTrust } from '../peers/trust.ts';

let servers: Server[];
let over: AbortController;
beforeEach(() => {
  servers = [];
  over = new AbortController();
});
afterEach(async () => {
  over.abort();
  for (const server of servers) {
    (server as ReturnType<typeof createHttp>).closeAllConnections();
    await new Promise((resolve) => { server.close(resolve); });
  }
});

async function listen(server: Server, scheme: 'http' | 'https', host = '127.0.0.1'): Promise<string> {
  servers.push(server);
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return `${scheme}://${host}:${(server.address() as AddressInfo).port}`;
}

const http = (on: RequestListener) => listen(createHttp(on), 'http');
const ask = (url: string, more: Partial<GetRequest> = {}) => get({ url: new URL(url), headers: {}, timeoutMs: 5000, maxBytes: 1000, signal: over.signal, ...more });

it('sends what it is told to, and takes any status for an answer', async () => {
  const url = await http((request, response) => {
    response.setHeader('etag', '"7"');
    response.writeHead(request.headers['if-none-match'] === '"7"' ? 304 : 200).end(request.headers['if-none-match'] === '"7"' ? undefined : 'services: {}');
  });
  expect(await ask(`${url}/web.yml`)).toMatchObject({ status: 200, body: 'services: {}', headers: { etag: '"7"' } });
  expect(await ask(`${url}/web.yml`, { headers: { 'if-none-match': '"7"' } })).toMatchObject({ status: 304, body: '' });
});

it('trusts the CA it is given and no other', async () => {
  const [trust, stranger] = [await makeTrust(), await makeTrust()];
  const { cert, key } = await trust.person('master', 'config', ['localhost']);
  const url = await listen(createHttps({ cert, key }, (_, response) => response.end('yes')), 'https', 'localhost');
  expect(await ask(url, { ca: trust.ca })).toMatchObject({ status: 200, body: 'yes' });
  await expect(ask(url, { ca: stranger.ca })).rejects.toMatchObject({ code: 'unavailable' });
  await expect(ask(url)).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining(`cannot reach ${url}`) });
});

it('follows redirects, but takes no password to another server', async () => {
  const heard: (string | undefined)[] = [];
  const other = await http((request, response) => {
    heard.push(request.headers.authorization);
    response.end('there');
  });
  const url = await http((request, response) => {
    heard.push(request.headers.authorization);
    response.writeHead(302, { location: request.url === '/near' ? '/far' : `${other}/x` }).end();
  });
  expect(await ask(`${url}/near`, { headers: { authorization: 'Bearer x' } })).toMatchObject({ body: 'there' });
  expect(heard).toEqual(['Bearer x', 'Bearer x', undefined]);
});

it.each([['/again', /leads on more than 5 times/], ['file:///etc/passwd', /is not followed/], ['http://', /is not followed/]])('does not follow %s', async (location, message) => {
  const url = await http((_, response) => response.writeHead(302, { location }).end());
  await expect(ask(`${url}/again`)).rejects.toMatchObject({ code: 'invalid', message: expect.stringMatching(message) });
});

it('is not led from TLS to plain text', async () => {
  const trust = await makeTrust();
  const { cert, key } = await trust.person('master', 'config', ['localhost']);
  const plain = await http((_, response) => response.end('in the open'));
  const url = await listen(createHttps({ cert, key }, (_, response) => response.writeHead(302, { location: plain }).end()), 'https', 'localhost');
  await expect(ask(url, { ca: trust.ca })).rejects.toMatchObject({ code: 'invalid', message: expect.stringContaining('is not followed') });
});

it('takes no more than it is to, however it is sent', async () => {
  const url = await http((_, response) => {
    response.writeHead(200);
    const more = setInterval(() => response.write('x'.repeat(300)), 1);
    response.on('close', () => clearInterval(more));
  });
  await expect(ask(url)).rejects.toMatchObject({ code: 'invalid', message: expect.stringContaining('more than 1000 bytes') });
});

it('waits no longer than it is to: for an answer, and for the rest of one', async () => {
  const silent = await http(() => {});
  await expect(ask(silent, { timeoutMs: 150 })).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('did not answer in 150 ms') });
  const dripping = await http((_, response) => {
    response.writeHead(200);
    const more = setInterval(() => response.write('x'), 20);
    response.on('close', () => clearInterval(more));
  });
  await expect(ask(dripping, { timeoutMs: 150 })).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('did not answer in 150 ms') });
});

it('says who cannot be reached, and an answer that breaks off is none', async () => {
  const url = await http((_, response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('half');
    response.socket?.end();
  });
  await expect(ask(url)).rejects.toMatchObject({ code: 'unavailable' });
  await expect(ask('http://127.0.0.1:1')).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('ECONNREFUSED') });
});
