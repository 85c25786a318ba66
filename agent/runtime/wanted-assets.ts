/** Which assets a container is to have, decided before anything is made. */
import { createHash } from 'node:crypto';
import type { Assets, RuntimeContext } from './context.ts';
import { offersIpc } from './join.ts';
import type { CreateRequest } from './port.ts';
import { layerSize } from './spec/storage.ts';

/** Our quota projects have this first byte; the others tell containers, also those of other agents on the file system, apart. */
const projectBase = 0x54000000;

/** Nothing, for the most common container. */
export function wantedAssets(context: RuntimeContext, id: string, request: CreateRequest): Assets {
  const size = layerSize(request.spec.storageOpt);
  const images = request.imageMounts?.length ?? 0;
  return {
    ...(offersIpc(request) ? { shm: true } : {}),
    ...(images > 0 ? { images } : {}),
    ...(size === null ? {} : { project: projectOf(context, id), layerSize: size }),
  };
}

function projectOf(context: RuntimeContext, id: string): number {
  const digest = createHash('sha256').update(`${context.runDir}\0${id}`).digest();
  return projectBase + digest.readUIntBE(0, 3);
}
