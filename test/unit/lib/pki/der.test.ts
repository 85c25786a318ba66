import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addressBytes } from '../../../../lib/pki/address.ts';
import { Authority } from '../../../../lib/pki/authority.ts';
import { der, oid, open, readAll, sequence, tag, time } from '../../../../lib/pki/der.ts';
import { pem, unpem } from '../../../../lib/pki/pem.ts';
import { createRequest, MalformedRequestError, requestedKey } from '../../../../lib/pki/request.ts';

describe('DER', () => {
  it('is read as it was written', () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.constantFrom(...Object.values(tag)), fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.constant(new Uint8Array(70).fill(1)), fc.constant(new Uint8Array(65_000))))), (parts) => {
      const read = readAll(Buffer.concat(parts.map(([tagByte, content]) => der(tagByte, content))));
      expect(read.map((element) => [element.tag, element.content.toString('hex')])).toEqual(parts.map(([tagByte, content]) => [tagByte, Buffer.from(content).toString('hex')]));
    }), { numRuns: 50 });
  });

  it('that is cut short is refused', () => {
    const whole = sequence(der(tag.octetString, Buffer.alloc(200)));
    for (let length = 1; length < whole.length; length++) expect(() => open(readAll(whole.subarray(0, length))[0], tag.sequence)).toThrow(RangeError);
  });

  it.each([['2.5.29.14', '0603551d0e'], ['1.2.840.10045.4.3.2', '06082a8648ce3d040302'], ['1.3.6.1.4.1.311.21.20', '06092b0601040182371514']])('object identifier %s', (dotted, hex) => {
    expect(oid(dotted).toString('hex')).toBe(hex);
  });

  it('times have two digits for the year until 2049', () => {
    expect(time(Date.UTC(2049, 11, 31, 23, 59, 59)).subarray(2).toString()).toBe('491231235959Z');
    expect(time(Date.UTC(2050, 0, 1)).toString('latin1')).toBe('\x18\x0f20500101000000Z');
  });

  it.each([['10.0.255.1', '0a00ff01'], ['::', '00'.repeat(16)], ['::1', `${'00'.repeat(15)}01`], ['fd00:1::ab:0:7', 'fd000001000000000000' + '00ab' + '0000' + '0007'], ['::ffff:10.0.0.1', `${'00'.repeat(10)}ffff0a000001`], ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008']])('address %s', (address, hex) => {
    expect(addressBytes(address).toString('hex')).toBe(hex);
  });
});

it('whatever is changed in a request, it is refused or of the same key', async () => {
  const { csr } = await createRequest('node:n1');
  const bytes = unpem('CERTIFICATE REQUEST', csr);
  const key = requestedKey(csr).export({ type: 'spki', format: 'der' });
  fc.assert(fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ by;
    try {
      expect(requestedKey(pem('CERTIFICATE REQUEST', changed)).export({ type: 'spki', format: 'der' })).toEqual(key);
    } catch (error) {
      expect(error).toBeInstanceOf(MalformedRequestError);
    }
  }), { numRuns: 1000 });
});

it('an authority that openssl made issues certificates that openssl verifies', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tsorch-der-'));
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: directory, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  try {
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '30', '-subj', '/C=DE/O=Ex ample/CN=made elsewhere', '-addext', 'keyUsage=critical,keyCertSign,cRLSign');
    const authority = await Authority.load({ certificate: readFileSync(join(directory, 'ca.pem'), 'utf8'), privateKey: readFileSync(join(directory, 'ca.key'), 'utf8') });
    const { certificate } = await authority.issue({ subject: { commonName: 'master:m1' }, names: ['m1.example', 'fd00::1', '10.0.0.1'], now: Date.now() });
    writeFileSync(join(directory, 'cert.pem'), certificate);
    expect(openssl('verify', '-x509_strict', '-CAfile', 'ca.pem', '-purpose', 'sslserver', '-verify_ip', 'fd00::1', 'cert.pem')).toContain('OK');
    expect(openssl('x509', '-in', 'cert.pem', '-noout', '-ext', 'subjectAltName')).toContain('DNS:m1.example, IP Address:FD00:0:0:0:0:0:0:1, IP Address:10.0.0.1');
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
