/** Bytes → base64. In pieces, because a call takes only so many arguments. */
export function base64(data: Uint8Array): string {
  let binary = '';
  for (let at = 0; at < data.length; at += 8192) binary += String.fromCharCode(...data.subarray(at, at + 8192));
  return btoa(binary);
}
