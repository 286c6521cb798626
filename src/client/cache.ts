import type { TextStore } from "../core/store.ts";
import { cacheFolder, fileStore } from "../transport/file_store.ts";
import type { ClientOptions } from "./options.ts";

/** Where what registries list is kept for a later start. @throws {TypeError} when there is nothing to keep, or no place for it */
export function cacheOf({ cache, endpoints, registry }: ClientOptions): TextStore | undefined {
  if (cache === undefined) return undefined;
  if (endpoints !== undefined) throw new TypeError("Cannot keep a cache: endpoints that are given need none");
  if (typeof cache !== "string") {
    if (typeof cache?.load === "function" && typeof cache.save === "function") return cache;
    throw new TypeError('Cannot keep a cache: it must be "file", the path of a folder, or a store with load and save');
  }
  if (cache === "") throw new TypeError("Cannot keep a cache: the path of its folder is empty");
  if (cache !== "file") return fileStore(cache);
  // Registries of one's own have no address that would tell one from another.
  if (registry !== undefined) {
    throw new TypeError("Cannot keep a cache of a registry: give the path of a folder for it");
  }
  return fileStore(cacheFolder());
}
