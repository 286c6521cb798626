/** Waits until something is so that no event tells of. Rejects when it has not become so in 20 s. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (let round = 0; round < 2_000; round++) {
    if (await isSo()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (let round = 0; round < 2_000; round++) {
    if (await isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`It never became so: ${isSo}`);
}
