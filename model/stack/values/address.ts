/** Whether a text is an IPv4 or IPv6 address, without brackets, zone or prefix length. */
export function isAddress(text: string): boolean {
  return isIpv4(text) || isIpv6(text);
}

function isIpv4(text: string): boolean {
  // No leading zeros: some programs read them as octal.
  const parts = text.split('.');
  return parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
}

function isIpv6(text: string): boolean {
  const halves = text.split('::');
  if (halves.length > 2) return false;
  const sizes = halves.map((half, index) => groups(half, index === halves.length - 1));
  if (sizes.includes(-1)) return false;
  const total = sizes.reduce((sum, size) => sum + size, 0);
  return halves.length === 2 ? total <= 7 : total === 8;
}

/** How many 16-bit groups the text holds, -1 when it is malformed. The last two may be an IPv4 address. */
function groups(text: string, last: boolean): number {
  if (text === '') return 0;
  const parts = text.split(':');
  const tail = parts.at(-1) ?? '';
  const mapped = last && tail.includes('.');
  if (mapped && !isIpv4(tail)) return -1;
  const plain = mapped ? parts.slice(0, -1) : parts;
  return plain.every((part) => /^[0-9a-f]{1,4}$/i.test(part)) ? plain.length + (mapped ? 2 : 0) : -1;
}
