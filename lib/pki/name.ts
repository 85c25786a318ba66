/** Names in certificates. */
import { der, oid, sequence, tag } from './der.ts';

export interface Subject {
  readonly commonName: string;
  readonly organizationalUnit?: string;
}

export const ecdsaWithSha256 = sequence(oid('1.2.840.10045.4.3.2'));

const commonNameOid = oid('2.5.4.3');
const organizationalUnitOid = oid('2.5.4.11');

/** An X.501 name; whatever is in the texts stays text. */
export function encodeName(subject: Subject): Buffer {
  const part = (type: Buffer, text: string) => der(tag.set, sequence(type, der(tag.utf8String, Buffer.from(text))));
  return sequence(part(commonNameOid, subject.commonName), ...(subject.organizationalUnit === undefined ? [] : [part(organizationalUnitOid, subject.organizationalUnit)]));
}
