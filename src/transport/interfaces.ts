/**
 * The first address of this machine that others may reach: IPv4 before IPv6. `127.0.0.1` when there is none.
 * @param onlyIPv4 whether one of IPv6 is of no use
 */
export function firstOutsideHost(onlyIPv4 = false): string {
  const outside = Deno.networkInterfaces().filter((face) =>
    !/^(127\.|169\.254\.|::1$|fe80:)/i.test(face.address) && face.name !== "lo"
  );
  const best = outside.find((face) => face.family === "IPv4") ?? (onlyIPv4 ? undefined : outside[0]);
  return best?.address ?? "127.0.0.1";
}
