import { environment } from "../core/platform.ts";
import type { TextStore } from "../core/store.ts";

/** What is larger was not saved here. */
const MAX_BYTES = 64 * 1024 * 1024;

/**
 * Texts as files of one folder, which is made when it is needed; nobody else may read them. A text is written beside its file and then
 * takes its place, so that no crash leaves half of it, and several processes may share the folder.
 */
export function fileStore(folder: string): TextStore {
  const pathOf = (name: string) => `${folder}/${name}`;
  return {
    async load(name) {
      try {
        const { size } = await Deno.stat(pathOf(name));
        if (size > MAX_BYTES) throw new Error(`Cannot load ${pathOf(name)}: it has ${size} bytes, over ${MAX_BYTES}`);
        return await Deno.readTextFile(pathOf(name));
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return undefined;
        throw error;
      }
    },
    async save(name, text) {
      await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
      const beside = await Deno.makeTempFile({ dir: folder, prefix: `${name}.` });
      try {
        using file = await Deno.open(beside, { write: true });
        const bytes = new TextEncoder().encode(text);
        for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
        // Or a machine that loses its power keeps the new name and not what was written.
        await file.sync();
        await Deno.rename(beside, pathOf(name));
      } catch (error) {
        await Deno.remove(beside).catch(() => {});
        throw error;
      }
    },
  };
}

/** Where this system keeps what programs can do without. */
export function cacheFolder(): string {
  const home = environment("HOME");
  switch (Deno.build.os) {
    case "windows":
      return `${environment("LOCALAPPDATA") ?? environment("TEMP") ?? "."}\\erpc`;
    case "darwin":
      return `${home ?? "/tmp"}/Library/Caches/erpc`;
    default:
      return `${environment("XDG_CACHE_HOME") || (home ? `${home}/.cache` : "/tmp")}/erpc`;
  }
}
