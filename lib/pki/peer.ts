/**
 * The certificate authority behind a server, taken from its TLS handshake and believed only when its digest is the one that was
 * handed over by other means (a join token). Nothing is sent before that.
 */
import { connect } from 'node:tls';
import { isIP } from 'node:net';
import { certificateDigest } from './certificate.ts';

export class WrongAuthorityError extends Error {
  override readonly name = 'WrongAuthorityError';
}

/** The CA's PEM. Rejects with WrongAuthorityError when the server's chain does not contain it. */
export function fetchAuthority(host: string, port: number, digest: string, timeoutMs = 10_000): Promise<string> {
  return new Promise((resolve, reject) => {
    // Anyone may answer here; that is what the digest is for.
    const socket = connect({ host, port, rejectUnauthorized: false, minVersion: 'TLSv1.2', ...(isIP(host) ? {} : { servername: host }) }, () => {
      const seen = new Set<string>();
      for (let certificate = socket.getPeerCertificate(true); certificate?.raw && !seen.has(certificate.fingerprint256); certificate = certificate.issuerCertificate) {
        seen.add(certificate.fingerprint256);
        const pem = `-----BEGIN CERTIFICATE-----\n${certificate.raw.toString('base64').replace(/.{64}/g, '$&\n').trimEnd()}\n-----END CERTIFICATE-----\n`;
        if (certificateDigest(pem) === digest) {
          socket.destroy();
          return resolve(pem);
        }
      }
      socket.destroy();
      reject(new WrongAuthorityError(`${host}:${port} is not of the cluster that the token is for`));
    });
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`${host}:${port} did not answer in ${timeoutMs} ms`)));
    socket.on('error', reject);
  });
}
