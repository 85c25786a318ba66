/**
 * A certificate authority: EC P-256, certificates of at most 90 days. PEM in, PEM out; time is an argument. Certificates are written
 * out here: they are all of one form, and the libraries for every form would be a tenth of a program's memory.
 *
 * ```
 * certificate = SEQUENCE { body, algorithm, BIT STRING signature over body }
 * body        = SEQUENCE { [0] version 3, serial, algorithm, issuer, validity, subject, public key, [3] extensions }
 * ```
 */
import { createHash, createPrivateKey, randomBytes, sign, X509Certificate, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import { bits, bytesOf, der, holding, oid, open, positive, readAll, sequence, tag, time } from './der.ts';
import { addressBytes } from './address.ts';
import { ecdsaWithSha256, encodeName, type Subject } from './name.ts';
import { pem } from './pem.ts';
import { createKeyPair, exportKey, requestedKey } from './request.ts';

export { MalformedRequestError } from './request.ts';

export interface AuthorityPem {
  readonly certificate: string;
  readonly privateKey: string;
}

export interface IssueOptions {
  readonly subject: Subject;
  /** DNS names and IP addresses; a certificate with any may be a server's. */
  readonly names?: readonly string[];
  readonly now: number;
  /** At most 90 days, which is also the default. */
  readonly lifeMs?: number;
}

const dayMs = 86_400_000;
const caYears = 10;
export const maxLifeMs = 90 * dayMs;
/** Clocks of hosts differ: a new certificate is valid a little before it was made. Less so when it does not live long. */
const backdateMs = 5 * 60_000;
const backdateShare = 0.1;

const extension = {
  subjectKeyId: oid('2.5.29.14'), keyUsage: oid('2.5.29.15'), subjectAltName: oid('2.5.29.17'), basicConstraints: oid('2.5.29.19'), authorityKeyId: oid('2.5.29.35'),
  extendedKeyUsage: oid('2.5.29.37'),
} as const;
const serverAuth = oid('1.3.6.1.5.5.7.3.1');
const clientAuth = oid('1.3.6.1.5.5.7.3.2');
/** Bits are counted from the left, and those after the last that is set do not belong to the value. */
const usage = { digitalSignature: bits(Buffer.of(0x80), 7), keyCertSignAndCrlSign: bits(Buffer.of(0x06), 1) } as const;
const yes = der(tag.boolean, Buffer.of(0xff));

export async function createAuthority(name: string, now: number): Promise<AuthorityPem> {
  const { publicKey, privateKey } = await createKeyPair();
  const subject = encodeName({ commonName: name });
  const keyId = createHash('sha1').update(publicKey.export({ type: 'spki', format: 'der' }).subarray(-65)).digest();
  const certificate = write({
    issuer: subject, subject, from: now - backdateMs, to: now + caYears * 365 * dayMs, publicKey, signingKey: privateKey,
    extensions: [
      critical(extension.basicConstraints, sequence(yes, der(tag.integer, Buffer.of(0)))),
      critical(extension.keyUsage, usage.keyCertSignAndCrlSign),
      plain(extension.subjectKeyId, der(tag.octetString, keyId)),
    ],
  });
  return { certificate, privateKey: exportKey(privateKey) };
}

export class Authority {
  readonly certificate: string;
  readonly #key: KeyObject;
  /** As they stand in its certificate: what it issues refers to both byte by byte. */
  readonly #subject: Buffer;
  readonly #keyId: Buffer | undefined;

  private constructor(source: AuthorityPem) {
    this.certificate = source.certificate;
    this.#key = createPrivateKey(source.privateKey);
    const { subject, keyId } = read(new X509Certificate(source.certificate).raw);
    this.#subject = subject;
    this.#keyId = keyId;
  }

  static async load(source: AuthorityPem): Promise<Authority> {
    return new Authority(source);
  }

  /**
   * A certificate over the CSR's public key; whatever else the CSR says is not looked at. Throws MalformedRequestError when it
   * cannot be read, its key is not EC P-256, or it was not signed by that key.
   */
  async issueFor(csrPem: string, options: IssueOptions): Promise<string> {
    return this.#issue(requestedKey(csrPem), options);
  }

  /** A new key and its certificate. */
  async issue(options: IssueOptions): Promise<{ readonly certificate: string; readonly privateKey: string }> {
    const { publicKey, privateKey } = await createKeyPair();
    return { certificate: this.#issue(publicKey, options), privateKey: exportKey(privateKey) };
  }

  #issue(publicKey: KeyObject, { subject, names = [], now, lifeMs: wanted = maxLifeMs }: IssueOptions): string {
    const lifeMs = Math.min(wanted, maxLifeMs);
    return write({
      issuer: this.#subject, subject: encodeName(subject), from: now - Math.min(backdateMs, lifeMs * backdateShare), to: now + lifeMs, publicKey, signingKey: this.#key,
      extensions: [
        critical(extension.basicConstraints, sequence()),
        critical(extension.keyUsage, usage.digitalSignature),
        plain(extension.extendedKeyUsage, sequence(clientAuth, ...(names.length > 0 ? [serverAuth] : []))),
        ...(names.length > 0 ? [plain(extension.subjectAltName, sequence(...names.map(altName)))] : []),
        ...(this.#keyId ? [plain(extension.authorityKeyId, sequence(der(bytesOf(0), this.#keyId)))] : []),
      ],
    });
  }
}

interface Certificate {
  readonly issuer: Buffer;
  readonly subject: Buffer;
  /** Milliseconds since the epoch. */
  readonly from: number;
  readonly to: number;
  readonly publicKey: KeyObject;
  readonly signingKey: KeyObject;
  readonly extensions: readonly Buffer[];
}

function write({ issuer, subject, from, to, publicKey, signingKey, extensions }: Certificate): string {
  const body = sequence(
    der(holding(0), der(tag.integer, Buffer.of(2))), positive(serial()), ecdsaWithSha256, issuer, sequence(time(from), time(to)), subject,
    publicKey.export({ type: 'spki', format: 'der' }), der(holding(3), sequence(...extensions)),
  );
  return pem('CERTIFICATE', sequence(body, ecdsaWithSha256, bits(sign('sha256', body, signingKey))));
}

function plain(type: Buffer, value: Buffer): Buffer {
  return sequence(type, der(tag.octetString, value));
}

/** Whoever does not understand it must refuse the certificate. */
function critical(type: Buffer, value: Buffer): Buffer {
  return sequence(type, yes, der(tag.octetString, value));
}

function altName(name: string): Buffer {
  return isIP(name) ? der(bytesOf(7), addressBytes(name)) : der(bytesOf(2), Buffer.from(name, 'ascii'));
}

function serial(): Buffer {
  // Positive and of full length: the first bit is clear, the first byte is not zero.
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}

/** Of a certificate with extensions: its subject's name, and the identifier of its key when it has one. */
function read(certificate: Buffer): { readonly subject: Buffer; readonly keyId: Buffer | undefined } {
  const parts = open(open(readAll(certificate)[0], tag.sequence)[0], tag.sequence);
  const subject = parts[5]?.whole;
  if (!subject) throw new RangeError('the authority\'s certificate has no subject');
  const extensions = open(open(parts.find((part) => part.tag === holding(3)), holding(3))[0], tag.sequence).map((each) => open(each, tag.sequence));
  const value = extensions.find(([type]) => type?.whole.equals(extension.subjectKeyId))?.at(-1)?.content;
  return { subject, keyId: value && readAll(value)[0]?.content };
}
