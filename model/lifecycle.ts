/** What happens to a container around its run: checks of how it is, and commands before and after. Durations in milliseconds. */

export interface Healthcheck {
  /** `exec` runs argv; `shell` runs one string by `/bin/sh -c`; `none` switches the image's check off. */
  readonly test:
    | { readonly kind: 'exec'; readonly argv: readonly string[] }
    | { readonly kind: 'shell'; readonly command: string }
    | { readonly kind: 'none' };
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly retries: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
}

/** The image's own check with other times; what is absent is the image's. Without one in the image there is no check. */
export interface HealthcheckOverride {
  readonly test: { readonly kind: 'image' };
  readonly intervalMs?: number;
  readonly timeoutMs?: number;
  readonly retries?: number;
  readonly startPeriodMs?: number;
  readonly startIntervalMs?: number;
}

/** A question asked of a running container again and again. */
export interface Probe {
  readonly ask:
    | { readonly kind: 'exec'; readonly argv: readonly string[] }
    /** 200 to 399 passes. `host` is the pod's address unless told. */
    | { readonly kind: 'http'; readonly scheme: 'http' | 'https'; readonly port: number; readonly path: string; readonly host?: string; readonly headers: Readonly<Record<string, string>> }
    | { readonly kind: 'tcp'; readonly port: number; readonly host?: string }
    /** grpc.health.v1; SERVING passes. */
    | { readonly kind: 'grpc'; readonly port: number; readonly service: string };
  readonly initialDelayMs: number;
  readonly periodMs: number;
  readonly timeoutMs: number;
  /** So many in a row decide. */
  readonly successThreshold: number;
  readonly failureThreshold: number;
}

/** A command run in a container at a point of its life. What is absent is the container's own. */
export interface Hook {
  readonly command: { readonly kind: 'exec'; readonly argv: readonly string[] } | { readonly kind: 'shell'; readonly command: string };
  readonly user?: string;
  readonly workingDir?: string;
  readonly env: Readonly<Record<string, string | null>>;
  readonly privileged: boolean;
}
