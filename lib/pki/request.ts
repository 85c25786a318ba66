/**
 * A key and a request for a certificate over it: PKCS#10 of one common name and an EC P-256 key, written out here, since hosts
 * need no more than this and the library that could do it would be a tenth of their memory.
 *
 * ```
 * request = SEQUENCE { info, ecdsa-with-SHA256, BIT STRING signature over info }
 * info    = SEQUENCE { version 0, name = SEQUENCE { SET { SEQUENCE { CN, UTF8String } } }, public key, [0] no attributes }
 * ```
 */
import { generateKeyPair, sign } from 'node:crypto';
import { promisify } from 'node:util';

const tag = { integer: 0x02, bitString: 0x03, utf8String: 0x0c, sequence: 0x30, set: 0x31, attributes: 0xa0 } as const;
/** The object identifiers 2.5.4.3 and 1.2.840.10045.4.3.2, encoded. */
const commonNameOid = Buffer.from('0603550403', 'hex');
const ecdsaWithSha256Oid = Buffer.from('06082a8648ce3d040302', 'hex');

/** PEM, both; the key is PKCS#8. */
export async function createRequest(commonName: string): Promise<{ readonly csr: string; readonly privateKey: string }> {
  const { publicKey, privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
  const name = der(tag.sequence, der(tag.set, der(tag.sequence, commonNameOid, der(tag.utf8String, Buffer.from(commonName)))));
  const info = der(tag.sequence, der(tag.integer, Buffer.of(0)), name, publicKey.export({ type: 'spki', format: 'der' }), der(tag.attributes));
  const signature = der(tag.bitString, Buffer.of(0), sign('sha256', info, privateKey));
  const request = der(tag.sequence, info, der(tag.sequence, ecdsaWithSha256Oid), signature);
  const lines = request.toString('base64').replace(/.{64}/g, '$&\n').trimEnd();
  return { csr: `-----BEGIN CERTIFICATE REQUEST-----\n${lines}\n-----END CERTIFICATE REQUEST-----\n`, privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
}

/** One DER element: its tag, the length of its content, the content. */
function der(tagByte: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  if (body.length < 0x80) return Buffer.concat([Buffer.of(tagByte, body.length), body]);
  // Longer ones say how many bytes the length takes.
  const length = body.length < 0x1_00 ? Buffer.of(0x81, body.length) : Buffer.of(0x82, body.length >> 8, body.length & 0xff);
  if (body.length > 0xffff) throw new RangeError(`a DER element of ${body.length} bytes`);
  return Buffer.concat([Buffer.of(tagByte), length, body]);
}
