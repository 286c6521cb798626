/**
 * Who may call: an interceptor on each side, which knows no contract and serves them all. The client's adds a token to every
 * call, the server's lets nobody pass without the right one.
 *
 *     deno run -A examples/auth.ts
 */
import { Client, type Interceptor, RpcError, sameSecret, Server, service, unary } from "@erpc/erpc";

const Vault = service("demo.Vault", {
  open: unary<{ box: number }, { holds: string }>(),
});

/** For clients: shows a token with every call. */
function withToken(token: string): Interceptor {
  return (next) => (call) => {
    call.metadata.set("authorization", `Bearer ${token}`);
    return next(call);
  };
}

/** For servers: lets nobody pass who does not show the token. */
function requireToken(token: string): Interceptor {
  return (next) => async (call) => {
    if (!sameSecret(call.metadata.text("authorization") ?? "", `Bearer ${token}`)) {
      throw new RpcError("unauthenticated", "Show a token", { executed: "no" });
    }
    return await next(call);
  };
}

await using server = new Server({ interceptors: [requireToken("sesame")] });
server.handle(Vault, { open: ({ box }) => ({ holds: `what is in box ${box}` }) });
await server.listen();

for (const token of ["sesame", "please"]) {
  await using client = new Client({ endpoints: [server.endpoint], interceptors: [withToken(token)] });
  try {
    console.log(`with "${token}":`, await client.service(Vault).open({ box: 7 }));
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    console.log(`with "${token}": ${error.code}, ${error.message}`);
  }
}
