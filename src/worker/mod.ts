/**
 * Handlers in threads of their own, for methods that compute for so long that they would hold up everything else.
 *
 * ```ts ignore
 * // count_worker.ts
 * import { serveWorker } from "@erpc/erpc/worker";
 * import { Words } from "./words.ts";
 *
 * serveWorker(Words, { count: ({ text }) => ({ words: text.split(/\s+/).length }) });
 * ```
 *
 * ```ts ignore
 * // server.ts
 * import { WorkerPool } from "@erpc/erpc/worker";
 *
 * await using pool = new WorkerPool(new URL("./count_worker.ts", import.meta.url), { size: 2 });
 * await using server = new Server();
 * server.handle(Words, { ...others, count: pool.method(Words, "count") });
 * ```
 *
 * @module
 */
export { serveWorker } from "./serve_worker.ts";
export type { WorkerHandler, WorkerImplementation } from "./serve_worker.ts";
export { WorkerPool } from "./worker_pool.ts";
export type { WorkerPoolOptions, WorkerPoolStats } from "./worker_pool.ts";
