/** What a plan and a record say of one container: its policy, whether it runs, is up and serves. */
import { type ContainerSpec, containersOf, type RestartPolicy } from '../../../model/spec.ts';
import { effectiveCheck } from './health.ts';
import { type ContainerLocal, containerId, newContainer, type Observed, type Plan, type PodLocal, type StepInput } from './types.ts';

/** Init containers first. */
export function specsOf(plan: Plan): readonly ContainerSpec[] {
  return containersOf(plan);
}

export function specOf(plan: Plan, name: string): ContainerSpec | undefined {
  return specsOf(plan).find((spec) => spec.name === name);
}

export function isInit(plan: Plan, name: string): boolean {
  return plan.initContainers?.some((spec) => spec.name === name) ?? false;
}

/** Its own, else the pod's. An init container that has succeeded is not run again, whatever they say. */
export function policyOf(plan: Plan, name: string): RestartPolicy {
  const policy = specOf(plan, name)?.restart ?? plan.restart;
  const forever = policy.condition === 'any' || policy.condition === 'unless-stopped';
  return forever && isInit(plan, name) ? { ...policy, condition: 'on-failure' } : policy;
}

export function localOf(local: Pick<PodLocal, 'containers'>, name: string): ContainerLocal {
  return local.containers[name] ?? newContainer;
}

/** For good, and well. */
export function hasSucceeded(container: ContainerLocal): boolean {
  return container.state === 'done' && container.ended.at(-1)?.failed !== true;
}

export function hasFailed(container: ContainerLocal): boolean {
  return container.state === 'done' && container.ended.at(-1)?.failed === true;
}

/** It is there and its process has not ended. */
export function isAlive(found: Observed): boolean {
  return found.state === 'running' || (found.state === 'unknown' && found.pid > 0);
}

/** The container's live attempt as the runtime sees it, if it runs. */
export function running(input: StepInput, name: string, container: ContainerLocal): Observed | undefined {
  if (container.state !== 'live') return undefined;
  const id = containerId(input.podId, name, container.attempt);
  return input.observed.find((o) => o.id === id && isAlive(o));
}

/** It runs, and its postStart hooks are through. */
export function isUp(input: StepInput, spec: ContainerSpec, container: ContainerLocal): boolean {
  return running(input, spec.name, container) !== undefined && (container.hooksDone ?? 0) >= (spec.postStart?.length ?? 0);
}

/** It is up, and every check it has says that it may be sent to. */
export function isServing(input: StepInput, spec: ContainerSpec, container: ContainerLocal): boolean {
  return (
    isUp(input, spec, container) &&
    container.condemned === undefined &&
    (!effectiveCheck(spec.healthcheck, container.image?.healthcheck) || container.health === 'healthy') &&
    (!spec.startupProbe || container.startupPassed === true) &&
    (!spec.readinessProbe || container.probedReady === true)
  );
}
