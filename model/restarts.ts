/** `depends_on` with `restart: true`: who is restarted once what it depends on, changed by an explicit operation, is well again. */
import { baseRevision } from './revision.ts';
import type { Service } from './service.ts';
import { serviceId } from './spec.ts';

/** The service with those of the changed ones noted that it is to be restarted after; the same object when there are none. */
export function withRestarts(service: Service, changed: ReadonlySet<string>): Service {
  const follows = service.spec.dependsOn.filter(({ restart }) => restart).map((dependency) => serviceId(service.spec.stack, dependency.service));
  const noted = service.restartAfter ?? [];
  const all = [...new Set([...noted.filter((id) => follows.includes(id)), ...follows.filter((id) => changed.has(id) && id !== service.id)])].sort();
  if (all.length === noted.length && all.every((id) => noted.includes(id))) return service;
  const { restartAfter: _before, ...rest } = service;
  return all.length === 0 ? rest : { ...rest, restartAfter: all };
}

/** The service as it is when all its pods shall be replaced by others of the same spec. */
export function restarted(service: Service): Service {
  const round = Number(/~(\d+)$/.exec(service.revision)?.[1] ?? 0) + 1;
  return { ...service, revision: `${baseRevision(service.revision)}~${round}` };
}
