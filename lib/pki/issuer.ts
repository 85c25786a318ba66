/** The authority's work, by @peculiar/x509: loaded only where something is signed, since it takes its share of memory. */
import { randomBytes, type webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import { algorithm, createKeyPair, exportKey, importKey, x509 } from './crypto.ts';
import { MalformedRequestError, maxLifeMs, type AuthorityPem, type IssueOptions, type Subject } from './issue.ts';

const dayMs = 86_400_000;
const caYears = 10;
/** Clocks of hosts differ: a new certificate is valid a little before it was made. Less so when it does not live long. */
const backdateMs = 5 * 60_000;
const backdateShare = 0.1;

export async function createAuthority(name: string, now: number): Promise<AuthorityPem> {
  const keys = await createKeyPair();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(), name: subjectText({ commonName: name }), notBefore: new Date(now - backdateMs), notAfter: new Date(now + caYears * 365 * dayMs),
    signingAlgorithm: algorithm, keys: keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: pem(certificate), privateKey: await exportKey(keys.privateKey) };
}

export class Issuer {
  readonly #parsed: x509.X509Certificate;
  readonly #key: webcrypto.CryptoKey;

  private constructor(source: AuthorityPem, key: webcrypto.CryptoKey) {
    this.#parsed = new x509.X509Certificate(source.certificate);
    this.#key = key;
  }

  static async load(source: AuthorityPem): Promise<Issuer> {
    return new Issuer(source, await importKey(source.privateKey));
  }

  /**
   * A certificate over the CSR's public key; whatever else the CSR says is not looked at. Throws MalformedRequestError when it
   * cannot be read, its key is not EC P-256, or it was not signed by that key.
   */
  async issueFor(csrPem: string, options: IssueOptions): Promise<string> {
    return this.#issue(await requestedKey(csrPem), options);
  }

  /** A new key and its certificate. */
  async issue(options: IssueOptions): Promise<{ readonly certificate: string; readonly privateKey: string }> {
    const keys = await createKeyPair();
    return { certificate: await this.#issue(keys.publicKey, options), privateKey: await exportKey(keys.privateKey) };
  }

  async #issue(publicKey: webcrypto.CryptoKey | x509.PublicKey, options: IssueOptions): Promise<string> {
    const names = options.names ?? [];
    const lifeMs = Math.min(options.lifeMs ?? maxLifeMs, maxLifeMs);
    const usages = [x509.ExtendedKeyUsage.clientAuth, ...(names.length > 0 ? [x509.ExtendedKeyUsage.serverAuth] : [])];
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serial(), subject: subjectText(options.subject), issuer: this.#parsed.subject,
      notBefore: new Date(options.now - Math.min(backdateMs, lifeMs * backdateShare)), notAfter: new Date(options.now + lifeMs),
      signingAlgorithm: algorithm, publicKey, signingKey: this.#key,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension(usages),
        ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names.map((name) => ({ type: isIP(name) ? 'ip' as const : 'dns' as const, value: name })))] : []),
        await x509.AuthorityKeyIdentifierExtension.create(this.#parsed),
      ],
    });
    return pem(certificate);
  }
}

async function requestedKey(csrPem: string): Promise<x509.PublicKey> {
  let csr: x509.Pkcs10CertificateRequest;
  let signed: boolean;
  try {
    csr = new x509.Pkcs10CertificateRequest(csrPem);
    const { name, namedCurve } = csr.publicKey.algorithm as { name?: string; namedCurve?: string };
    if (name !== algorithm.name || namedCurve !== algorithm.namedCurve) throw new MalformedRequestError('the key of the certificate request is not EC P-256');
    signed = await csr.verify();
  } catch (error) {
    if (error instanceof MalformedRequestError) throw error;
    throw new MalformedRequestError('the certificate request cannot be read', { cause: error });
  }
  if (!signed) throw new MalformedRequestError('the certificate request is not signed by its own key');
  return csr.publicKey;
}

function subjectText(subject: Subject): x509.JsonName {
  return [{ CN: [subject.commonName] }, ...(subject.organizationalUnit === undefined ? [] : [{ OU: [subject.organizationalUnit] }])];
}

function serial(): string {
  // Positive and of full length: the first bit is clear, the first byte is not zero.
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

function pem(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}
