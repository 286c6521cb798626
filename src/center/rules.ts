/** How a center answers about routing rules: a contract of its own, on the same connection as everything else. */
import type { Context } from "../core/call.ts";
import { RpcError } from "../core/error.ts";
import type { Logger } from "../core/logger.ts";
import { type Method, serverStream, type Service, service, unary } from "../core/service.ts";
import type { Implementation } from "../host/handler.ts";
import { checkRule, type Rule } from "../routing/rule.ts";
import type { RuleBook, RuleCursor, RuleEvent } from "../routing/rule_book.ts";

/** Asks a center for routing rules, and sets them. An ordinary contract: any client of the kit can call it. */
export const CenterRules: Service<{
  /** Puts a rule in the place of the one of the same name. Answers the version from which it holds. */
  readonly set: Method<"unary", { rule: Rule }, { version: number }>;
  /** Takes a rule out, if it is there. */
  readonly remove: Method<"unary", { name: string }, { version: number; removed: boolean }>;
  /** Gives the rules of one service, or of all. */
  readonly list: Method<"unary", { service?: string }, RuleEvent>;
  /** Follows the rules of all services: at once what has changed since a place, then each change. */
  readonly watch: Method<"serverStream", { after?: RuleCursor }, RuleEvent>;
}, Record<never, never>> = service("erpc.Rules", {
  set: unary<{ rule: Rule }, { version: number }>({ idempotent: true }),
  remove: unary<{ name: string }, { version: number; removed: boolean }>({ idempotent: true }),
  list: unary<{ service?: string }, RuleEvent>({ idempotent: true }),
  watch: serverStream<{ after?: RuleCursor }, RuleEvent>({ idempotent: true }),
});

/** Decides who may read the rules of a service, and who may write them. */
export type RuleAccess = (ctx: Context, action: "read" | "write", service: string) => boolean;

/**
 * Answers the contract from a book.
 * @param keep makes what the book holds last beyond this life; a change is answered when it does
 */
export function answerRules(
  book: RuleBook,
  may: RuleAccess,
  logger: Logger,
  keep: () => Promise<void> = () => Promise.resolve(),
): Implementation<typeof CenterRules> {
  const visible = (event: RuleEvent, ctx: Context): RuleEvent => ({
    ...event,
    services: event.services.filter(({ service }) => may(ctx, "read", service)),
  });
  const write = (ctx: Context, service: string) => {
    if (may(ctx, "write", service)) return;
    throw new RpcError("permission_denied", `Cannot change the routing rules of "${service}"`, { executed: "no" });
  };
  return {
    async set(request, ctx) {
      const answer = valid(() => {
        const rule = checkRule(request?.rule);
        write(ctx, rule.service);
        const before = book.get(rule.name);
        if (before !== undefined) write(ctx, before.service);
        const version = book.set(rule);
        logger.info(`Routing rule "${rule.name}" of "${rule.service}" is set, version ${version}`);
        return { version };
      });
      await keep();
      return answer;
    },
    async remove(request, ctx) {
      const name = request?.name;
      const before = book.get(name);
      if (before === undefined) return { version: book.version, removed: false };
      write(ctx, before.service);
      book.remove(name);
      const { version } = book;
      logger.info(`Routing rule "${name}" of "${before.service}" is removed, version ${version}`);
      await keep();
      return { version, removed: true };
    },
    list(request, ctx) {
      return valid(() => {
        const service = request?.service;
        if (service === undefined) return visible(book.after(), ctx);
        const { epoch, version } = book;
        const rules = book.rules(service);
        return visible({ epoch, version, complete: false, services: [{ service, rules }] }, ctx);
      });
    },
    async *watch(request, ctx) {
      for await (const event of book.watch({ after: request?.after, signal: ctx.signal })) yield visible(event, ctx);
    },
  };
}

/** What a caller got wrong is told to the caller. */
function valid<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new RpcError("invalid_argument", error.message, { executed: "yes" });
  }
}
