/** The first address of this machine that others may reach: IPv4 before IPv6. `127.0.0.1` when there is none. */
export function firstOutsideHost(): string {
  const outside = Deno.networkInterfaces().filter((face) =>
    !/^(127\.|169\.254\.|::1$|fe80:)/i.test(face.address) && face.name !== "lo"
  );
  return (outside.find((face) => face.family === "IPv4") ?? outside[0])?.address ?? "127.0.0.1";
}
