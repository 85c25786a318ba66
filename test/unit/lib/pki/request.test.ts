import { execFileSync } from 'node:child_process';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { expect, it } from 'vitest';
import { createRequest } from '../../../../lib/pki/request.ts';

function openssl(input: string, ...args: string[]): string {
  return execFileSync('openssl', args, { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] });
}

// Lengths on both sides of where DER's own length fields grow.
it.each([1, 5, 60, 64, 110, 111, 112, 200, 255, 256, 300])('a request with a name of %i bytes is read and verified by openssl', async (length) => {
  const name = 'n'.repeat(length);
  const { csr, privateKey } = await createRequest(name);
  expect(() => openssl(csr, 'req', '-verify', '-noout')).not.toThrow();
  expect(openssl(csr, 'req', '-noout', '-subject', '-nameopt', 'oneline,utf8')).toContain(name);
  const key = createPublicKey(createPrivateKey(privateKey)).export({ type: 'spki', format: 'pem' });
  expect(openssl(csr, 'req', '-noout', '-pubkey').trim()).toBe(key.toString().trim());
});

it('a name is kept as it is, whatever is in it', async () => {
  const { csr } = await createRequest('nöde, CN=admin + OU=x');
  expect(openssl(csr, 'req', '-noout', '-subject', '-nameopt', 'utf8,sep_multiline,esc_ctrl')).toContain('CN=nöde, CN=admin + OU=x');
});
