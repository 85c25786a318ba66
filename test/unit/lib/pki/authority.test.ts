import { execFileSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority, createAuthority, MalformedRequestError } from '../../../../lib/pki/authority.ts';
import { certificateDigest, certificateLife, renewalTime } from '../../../../lib/pki/certificate.ts';
import { createRequest } from '../../../../lib/pki/request.ts';

const dayMs = 86_400_000;
const now = Date.now();
let dir: string;
let pem: Awaited<ReturnType<typeof createAuthority>>;
let authority: Authority;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'tsorch-authority-'));
  pem = await createAuthority('test', now);
  authority = await Authority.load(pem);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function openssl(...args: string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function verify(certificate: string, ...options: string[]): string {
  writeFileSync(join(dir, 'ca.pem'), pem.certificate);
  writeFileSync(join(dir, 'cert.pem'), certificate);
  return openssl('verify', '-x509_strict', '-CAfile', join(dir, 'ca.pem'), ...options, join(dir, 'cert.pem'));
}

describe('certificates', () => {
  it('hold before another implementation, for what they are meant for only', async () => {
    const server = await authority.issue({ subject: { commonName: 'master:m1', organizationalUnit: 'master' }, names: ['localhost', '127.0.0.1', '::1', 'm1.example'], now });
    expect(verify(server.certificate, '-purpose', 'sslserver', '-verify_hostname', 'm1.example')).toContain('OK');
    expect(verify(server.certificate, '-purpose', 'sslserver', '-verify_ip', '127.0.0.1')).toContain('OK');
    expect(() => verify(server.certificate, '-verify_hostname', 'other.example')).toThrow();
    const client = await authority.issue({ subject: { commonName: 'node:n1', organizationalUnit: 'node' }, now });
    expect(verify(client.certificate, '-purpose', 'sslclient')).toContain('OK');
    expect(() => verify(client.certificate, '-purpose', 'sslserver')).toThrow();
    expect(openssl('x509', '-in', join(dir, 'cert.pem'), '-noout', '-subject')).toMatch(/CN ?= ?node:n1.*OU ?= ?node/);
  });

  it('are no authorities themselves', async () => {
    const node = await authority.issue({ subject: { commonName: 'node:n1' }, now });
    const forged = await (await Authority.load({ certificate: node.certificate, privateKey: node.privateKey })).issue({ subject: { commonName: 'admin:me' }, now });
    writeFileSync(join(dir, 'node.pem'), node.certificate);
    expect(() => verify(forged.certificate, '-untrusted', join(dir, 'node.pem'))).toThrow();
  });

  it('live for 90 days at most and differ in their serial numbers', async () => {
    const [a, b] = [await authority.issue({ subject: { commonName: 'a' }, now, lifeMs: 1000 * 86_400_000 }), await authority.issue({ subject: { commonName: 'a' }, now, lifeMs: 86_400_000 })];
    expect(certificateLife(a.certificate).to - now).toBeLessThanOrEqual(90 * dayMs);
    expect(certificateLife(a.certificate).from).toBeLessThan(now);
    expect(certificateLife(b.certificate).to - now).toBeLessThanOrEqual(dayMs);
    expect(new X509Certificate(a.certificate).serialNumber).not.toBe(new X509Certificate(b.certificate).serialNumber);
  });

  it('keep a subject as it is, whatever is in it', async () => {
    const name = 'node:a, CN=admin:root + OU=admin';
    const parsed = new X509Certificate((await authority.issue({ subject: { commonName: name, organizationalUnit: 'node' }, now })).certificate).toLegacyObject();
    expect(parsed.subject).toMatchObject({ CN: name, OU: 'node' });
  });

  it('have the digest that openssl finds', () => {
    writeFileSync(join(dir, 'ca.pem'), pem.certificate);
    const printed = openssl('x509', '-in', join(dir, 'ca.pem'), '-noout', '-fingerprint', '-sha256');
    expect(printed.split('=')[1]!.trim().replaceAll(':', '').toLowerCase()).toBe(certificateDigest(pem.certificate));
  });

  it('are to be renewed at 50 to 80 % of their life', async () => {
    const { certificate } = await authority.issue({ subject: { commonName: 'a' }, now });
    const { from, to } = certificateLife(certificate);
    fc.assert(fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (random) => {
      const part = (renewalTime(certificate, random) - from) / (to - from);
      return part >= 0.5 && part <= 0.8;
    }));
  });
});

describe('requests', () => {
  it('get a certificate over their key and nothing else they ask for', async () => {
    const { csr, privateKey } = await createRequest('admin:root');
    const certificate = new X509Certificate(await authority.issueFor(csr, { subject: { commonName: 'node:n1', organizationalUnit: 'node' }, now }));
    expect(certificate.checkPrivateKey((await import('node:crypto')).createPrivateKey(privateKey))).toBe(true);
    expect(certificate.toLegacyObject().subject).toMatchObject({ CN: 'node:n1', OU: 'node' });
    expect(certificate.ca).toBe(false);
  });

  it('made by openssl are taken, but for other keys', async () => {
    const request = (kind: string[]) => {
      openssl('req', '-new', '-nodes', '-newkey', ...kind, '-keyout', join(dir, 'k.pem'), '-out', join(dir, 'csr.pem'), '-subj', '/CN=x');
      return openssl('req', '-in', join(dir, 'csr.pem'));
    };
    const subject = { commonName: 'node:n1' };
    await authority.issueFor(request(['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']), { subject, now });
    await expect(authority.issueFor(request(['ec', '-pkeyopt', 'ec_paramgen_curve:P-384']), { subject, now })).rejects.toBeInstanceOf(MalformedRequestError);
    await expect(authority.issueFor(request(['rsa:1024']), { subject, now })).rejects.toBeInstanceOf(MalformedRequestError);
  });

  it('that are not signed by their key are refused', async () => {
    const { csr } = await createRequest('x');
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const der = Buffer.from(csr.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
    const point = createPublicKey(other.privateKey.export({ type: 'pkcs8', format: 'pem' })).export({ type: 'spki', format: 'der' }).subarray(-64);
    // Another key in the place of the one that signed.
    const at = der.indexOf(Buffer.from([0x03, 0x42, 0x00, 0x04]));
    expect(at).toBeGreaterThan(0);
    point.copy(der, at + 4);
    const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
    await expect(authority.issueFor(forged, { subject: { commonName: 'x' }, now })).rejects.toBeInstanceOf(MalformedRequestError);
  });

  it.each(['', 'hello', '-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n'])('that cannot be read are refused: %j', async (text) => {
    await expect(authority.issueFor(text, { subject: { commonName: 'x' }, now })).rejects.toBeInstanceOf(MalformedRequestError);
  });
});
