/** The certificates of the tests; `certs/make.sh` says which there are and makes them. */

/** A certificate and its key, as the options of both sides take them. */
export function pair(name: string): { cert: string; key: string } {
  const text = read(name);
  const at = text.indexOf("-----BEGIN PRIVATE");
  return { cert: text.slice(0, at), key: text.slice(at) };
}

/** The certificate of an authority in PEM form. */
export function authority(name: "ca" | "other_ca"): string {
  return read(name);
}

function read(name: string): string {
  return Deno.readTextFileSync(new URL(`certs/${name}.pem`, import.meta.url));
}
