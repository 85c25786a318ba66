/**
 * A key and a request for a certificate over it. Hosts need this when they join and when their certificate is renewed, and only then load
 * the library for it.
 */

/** PEM, both; the key is PKCS#8. */
export async function createRequest(commonName: string): Promise<{ readonly csr: string; readonly privateKey: string }> {
  const { algorithm, createKeyPair, exportKey, x509 } = await import('./crypto.ts');
  const keys = await createKeyPair();
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({ name: [{ CN: [commonName] }], keys, signingAlgorithm: algorithm });
  return { csr: `${csr.toString('pem')}\n`, privateKey: await exportKey(keys.privateKey) };
}
