/** Credentials on disk: `ca.pem`, `cert.pem`, `key.pem` in a directory for its owner alone, each written whole or not at all. */
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';

export interface Credentials {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

const files = { ca: 'ca.pem', cert: 'cert.pem', key: 'key.pem' } as const;

/** Where programs that want file names find them. */
export function credentialFiles(directory: string): { readonly ca: string; readonly cert: string; readonly key: string } {
  return { ca: join(directory, files.ca), cert: join(directory, files.cert), key: join(directory, files.key) };
}

/** Null when any of the three is missing. */
export async function readCredentials(directory: string): Promise<Credentials | null> {
  try {
    const [ca, cert, key] = await Promise.all([files.ca, files.cert, files.key].map((file) => readFile(join(directory, file), 'utf8')));
    return ca && cert && key ? { ca, cert, key } : null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

export async function writeCredentials(directory: string, credentials: Credentials): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  // The certificate last: while it is the old one, the old key still lies beside it until the very end.
  for (const part of ['ca', 'key', 'cert'] as const) await writeSecret(join(directory, files[part]), credentials[part]);
}

/** A file of mode 0600, whole or not at all, on disk when this resolves. */
export async function writeSecret(path: string, content: string): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}
