/**
 * The addresses that a host stands for, as the system knows them, and that may be dialled.
 * @throws {Error} when it has no address, or none that may
 */
export async function addressesOf(host: string, mayDial: (address: string) => boolean): Promise<readonly string[]> {
  const { lookup } = await import("node:dns/promises");
  const found = await lookup(host, { all: true });
  const addresses = found.map(({ address }) => address).filter(mayDial);
  if (addresses.length === 0) throw new Error(`${host} stands for no address that may be dialled`);
  return addresses;
}

/** Dials one address after the other until one answers. */
export async function dialEach<T>(addresses: readonly string[], dial: (address: string) => Promise<T>): Promise<T> {
  let failure: unknown;
  for (const address of addresses) {
    try {
      return await dial(address);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}
