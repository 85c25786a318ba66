/** PEM: DER in base64 between two lines that say what it is. */

export function pem(label: string, der: Uint8Array): string {
  const lines = Buffer.from(der).toString('base64').replace(/.{64}/g, '$&\n').trimEnd();
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}

/** The first block of this label. Throws when there is none. */
export function unpem(label: string, text: string): Buffer {
  const found = new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]*)-----END ${label}-----`).exec(text);
  if (!found) throw new RangeError(`no ${label.toLowerCase()} in the PEM text`);
  return Buffer.from(found[1] ?? '', 'base64');
}
