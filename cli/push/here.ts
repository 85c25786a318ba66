/** Whether a URL leads to this machine: what goes there crosses no wire. */
import { networkInterfaces } from 'node:os';

export function isHere(url: string, interfaces: Readonly<Record<string, readonly { readonly address: string }[] | undefined>> = networkInterfaces()): boolean {
  const host = new URL(url).hostname.replace(/^\[(.*)\]$/, '$1');
  return host === 'localhost' || Object.values(interfaces).some((addresses) => addresses?.some(({ address }) => address === host) === true);
}
