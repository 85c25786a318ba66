/** See lib/oci/archive.ts: people's machines read archives as well. */
export { readArchive, type ArchiveImage } from '../../lib/oci/archive.ts';
