import { expect, test } from 'vitest';
import { isHere } from '../../../cli/push/here.ts';

const interfaces = { lo: [{ address: '127.0.0.1' }, { address: '::1' }], br: [{ address: '172.31.240.1' }], gone: undefined };

test.each([
  ['https://127.0.0.1:7443', true],
  ['https://localhost:7443', true],
  ['https://[::1]:7443', true],
  ['https://172.31.240.1:7443', true],
  ['https://172.31.240.11:7443', false],
  ['https://master.example.com:7443', false],
])('%s', (url, expected) => {
  expect(isHere(url, interfaces)).toBe(expected);
});
