/** What an allocator answers. Having no room is an answer, not an accident: `exhausted` says what is full. */
export type Allocated<T> = { readonly ok: T } | { readonly exhausted: string };
