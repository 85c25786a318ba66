/** Numbers that rules and elements share. */

/** Every entry of a list of rules' expressions or sets' elements. */
export const listElement = 1;

export const dataAttribute = { value: 1, verdict: 2 } as const;

export const verdictCode = { drop: 0, accept: 1, jump: -3, goto: -4, return: -5 } as const;
