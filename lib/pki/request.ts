/**
 * Requests for certificates, PKCS#10, of EC P-256 keys.
 *
 * ```
 * request = SEQUENCE { info, algorithm, BIT STRING signature over info }
 * info    = SEQUENCE { version 0, name, public key, [0] attributes }
 * ```
 */
import { createPublicKey, generateKeyPair, sign, verify, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { bits, der, holding, oid, open, readAll, sequence, tag } from './der.ts';
import { ecdsaWithSha256, encodeName } from './name.ts';
import { pem, unpem } from './pem.ts';

const label = 'CERTIFICATE REQUEST';

/** What openssl and others sign requests with, by the encoded object identifier. */
const hashes: ReadonlyMap<string, string> = new Map([['2', 'sha256'], ['3', 'sha384'], ['4', 'sha512']].map(([last, hash]) => [oid(`1.2.840.10045.4.3.${last}`).toString('hex'), hash ?? '']));

export class MalformedRequestError extends Error {
  override readonly name = 'MalformedRequestError';
}

/** A new EC P-256 key pair. */
export function createKeyPair(): Promise<{ readonly publicKey: KeyObject; readonly privateKey: KeyObject }> {
  return promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
}

/** PKCS#8, PEM. */
export function exportKey(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** A key and a request for a certificate over it. PEM, both. */
export async function createRequest(name: string): Promise<{ readonly csr: string; readonly privateKey: string }> {
  const { publicKey, privateKey } = await createKeyPair();
  const info = sequence(der(tag.integer, Buffer.of(0)), encodeName({ commonName: name }), publicKey.export({ type: 'spki', format: 'der' }), der(holding(0)));
  return { csr: pem(label, sequence(info, ecdsaWithSha256, bits(sign('sha256', info, privateKey)))), privateKey: exportKey(privateKey) };
}

/**
 * The key that a request is for; nothing else it says is looked at. Throws MalformedRequestError when it cannot be read, its key is
 * not EC P-256, or it was not signed by that key.
 */
export function requestedKey(csrPem: string): KeyObject {
  let key: KeyObject;
  let signed: boolean;
  try {
    const [info, algorithm, signature] = open(readAll(unpem(label, csrPem))[0], tag.sequence);
    const [, , spki] = open(info, tag.sequence);
    const hash = hashes.get(open(algorithm, tag.sequence)[0]?.whole.toString('hex') ?? '');
    if (!info || !spki || signature?.tag !== tag.bitString || !hash) throw new MalformedRequestError('the certificate request is not one of ECDSA');
    key = createPublicKey({ key: spki.whole, format: 'der', type: 'spki' });
    if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw new MalformedRequestError('the key of the certificate request is not EC P-256');
    signed = verify(hash, info.whole, key, signature.content.subarray(1));
  } catch (error) {
    if (error instanceof MalformedRequestError) throw error;
    throw new MalformedRequestError('the certificate request cannot be read', { cause: error });
  }
  if (!signed) throw new MalformedRequestError('the certificate request is not signed by its own key');
  return key;
}
