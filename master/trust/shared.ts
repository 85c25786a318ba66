/** One authority for all masters: the first one puts its own into the store, every other must have the same. */
import { certificateDigest } from '../../lib/pki/certificate.ts';
import type { AuthorityPem } from '../../lib/pki/authority.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import type { Store } from '../store/port.ts';

/**
 * Throws `conflict` when the cluster has another authority: certificates of this master would be worth nothing there.
 * Errors of the store are passed on; to be tried again is harmless.
 */
export async function shareAuthority(store: Store, own: AuthorityPem, caDirectory: string): Promise<void> {
  try {
    await store.commit([{ op: 'put', kind: 'ca', id: 'ca', value: own, guard: 0 }]);
    return;
  } catch (error) {
    if (!isCode(error, 'conflict') && !isCode(error, 'unknown-outcome')) throw error;
  }
  const found = await store.get('ca', 'ca');
  if (!found) throw new TsorchError('unavailable', 'the authority was not stored');
  if (certificateDigest(found.value.certificate) === certificateDigest(own.certificate)) return;
  throw new TsorchError('conflict', 'the cluster in this etcd has another certificate authority than this master', {
    hint: `copy ${caDirectory} from a master of that cluster, or give this one an empty etcd`,
  });
}
