import { status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { rpcError } from '../../../../agent/runtime/client.ts';

test.each([
  [status.DEADLINE_EXCEEDED, 'Deadline exceeded after 3s', 'timeout'],
  [status.UNKNOWN, 'context deadline exceeded: unknown', 'timeout'],
  [status.UNKNOWN, 'failed to start shim: exit status 1: unknown', 'internal'],
  [status.NOT_FOUND, 'container "c" in namespace "tsorch": not found', 'not-found'],
  [status.UNAVAILABLE, 'connection error', 'unavailable'],
] as const)('containerd says %s, %s: %s', (code, details, expected) => {
  const cause = Object.assign(new Error(details), { code, details });
  expect(rpcError('/containerd.services.tasks.v1.Tasks/Kill', cause)).toMatchObject({ code: expected, message: `containerd Tasks/Kill: ${details}`, cause });
});
