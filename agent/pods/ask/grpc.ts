/**
 * A gRPC probe: `grpc.health.v1.Health/Check`, one call on a connection of its own. Spoken over HTTP/2 directly, because a channel of
 * grpc-js can be given no socket, and costs more than the question.
 */
import http2 from 'node:http2';
import type { Probe } from '../../../model/lifecycle.ts';
import { HealthCheckRequest, HealthCheckResponse, HealthCheckResponse_ServingStatus, HealthService } from '../../../proto/gen/grpc/health.ts';
import type { CheckResult } from '../step/types.ts';
import { dial, type Place } from './place.ts';

type GrpcAsk = Extract<Probe['ask'], { kind: 'grpc' }>;

/** A message's length is before it: one byte of flags, four of length. */
const headBytes = 5;
const mostBytes = 4096;
const unimplemented = '12';
const notFound = '5';

export function askGrpc(ask: GrpcAsk, place: Place, signal: AbortSignal, noAnswer: string): Promise<CheckResult> {
  return new Promise((resolve) => {
    const socket = dial(place, ask.port);
    const session = http2.connect(`http://${place.host}:${ask.port}`, { createConnection: () => socket });
    const finish = (passed: boolean, output: string) => {
      signal.removeEventListener('abort', late);
      session.destroy();
      socket.destroy();
      resolve({ passed, output });
    };
    const late = () => finish(false, noAnswer);
    signal.addEventListener('abort', late, { once: true });
    session.on('error', (error: Error) => finish(false, error.message));
    const call = session.request({ ':method': 'POST', ':path': HealthService.check.path, 'content-type': 'application/grpc', te: 'trailers', 'user-agent': 'tsorch-probe' });
    const parts: Buffer[] = [];
    let head: http2.IncomingHttpHeaders = {};
    call.on('error', (error: Error) => finish(false, error.message));
    call.on('response', (headers) => (head = headers));
    call.on('trailers', (trailers) => (head = { ...head, ...trailers }));
    call.on('data', (data: Buffer) => {
      parts.push(data);
      if (parts.reduce((sum, part) => sum + part.length, 0) > mostBytes) finish(false, 'the answer is too long for a health check');
    });
    call.on('end', () => {
      const { passed, output } = verdict(ask, head, Buffer.concat(parts));
      finish(passed, output);
    });
    call.end(frame(HealthCheckRequest.encode({ service: ask.service }).finish()));
  });
}

function frame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(headBytes);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

function verdict({ service }: GrpcAsk, head: http2.IncomingHttpHeaders, body: Buffer): CheckResult {
  const failed = (output: string): CheckResult => ({ passed: false, output });
  const code = head['grpc-status'];
  if (code === undefined) return failed(`this is no gRPC server (HTTP ${String(head[':status'] ?? '')})`);
  if (code === unimplemented) return failed('the server does not implement grpc.health.v1.Health');
  if (code === notFound) return failed(`the server knows no service ${JSON.stringify(service)}`);
  if (code !== '0') return failed(`gRPC status ${String(code)}${head['grpc-message'] === undefined ? '' : `: ${decodeMessage(String(head['grpc-message']))}`}`);
  if (body.length < headBytes || body[0] !== 0 || body.readUInt32BE(1) !== body.length - headBytes) return failed('the answer is no health check');
  let status: number;
  try {
    status = HealthCheckResponse.decode(body.subarray(headBytes)).status;
  } catch {
    return failed('the answer is no health check');
  }
  if (status === HealthCheckResponse_ServingStatus.SERVING) return { passed: true, output: '' };
  const name = Object.entries(HealthCheckResponse_ServingStatus).find(([, value]) => value === status)?.[0];
  return failed(`it is ${name ?? `in state ${status}`}`);
}

/** Messages are percent-encoded. */
function decodeMessage(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
