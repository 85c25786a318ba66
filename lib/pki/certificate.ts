/** Reading certificates. Apart from making them, for which a library is loaded that most programs can do without. */
import { createHash, X509Certificate } from 'node:crypto';

/** sha256 of a certificate's DER, hex: what a join token pins. */
export function certificateDigest(pemText: string): string {
  return createHash('sha256').update(read(pemText).raw).digest('hex');
}

/** When a certificate is to be renewed: at a point between half and four fifths of its life, chosen by `random` in [0, 1). */
export function renewalTime(pemText: string, random: number): number {
  const { from, to } = certificateLife(pemText);
  return from + (to - from) * (0.5 + 0.3 * random);
}

/** Milliseconds since the epoch; of a chain, the first certificate's. */
export function certificateLife(pemText: string): { readonly from: number; readonly to: number } {
  const { validFrom, validTo } = read(pemText);
  return { from: Date.parse(validFrom), to: Date.parse(validTo) };
}

const serverAuth = '1.3.6.1.5.5.7.3.1';

/** Whether it is good for a TLS server that is known by this name. Of a chain, the first one counts. */
export function canServe(pemText: string, name: string): boolean {
  const certificate = read(pemText);
  // Node's types leave the extended usages' absence out.
  const usages = certificate.keyUsage as readonly string[] | undefined;
  return usages?.includes(serverAuth) === true && certificate.checkHost(name) !== undefined;
}

/** Of a chain, the first one. */
function read(pemText: string): X509Certificate {
  try {
    return new X509Certificate(pemText);
  } catch (cause) {
    throw new Error('no certificate in the PEM text', { cause });
  }
}
