/** The numbers rtnetlink's objects share. Each object has its file: link, address, route, rule, neighbour. */
export const rtm = {
  newLink: 16, deleteLink: 17, getLink: 18,
  newAddress: 20, deleteAddress: 21, getAddress: 22,
  newRoute: 24, deleteRoute: 25, getRoute: 26,
  newNeighbour: 28, deleteNeighbour: 29, getNeighbour: 30,
  newRule: 32, deleteRule: 33, getRule: 34,
} as const;

export const family = { unspecified: 0, inet: 2, bridge: 7, inet6: 10 } as const;

/** How far an address or a route's target reaches. */
export const scope = { global: 0, link: 253, host: 254 } as const;
