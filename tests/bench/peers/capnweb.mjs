// capnweb over one WebSocket.
import { WebSocket, WebSocketServer } from "ws";
import { play } from "./peer.mjs";

// It looks for the one of browsers, which this version of Node does not have.
globalThis.WebSocket ??= WebSocket;
const { newWebSocketRpcSession, RpcTarget } = await import("capnweb");

class Greeter extends RpcTarget {
  hello({ name }) {
    return { msg: `hello ${name}` };
  }
}

await play({
  async serve() {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
    server.on("connection", (socket) => newWebSocketRpcSession(socket, new Greeter()));
    await new Promise((resolve) => server.once("listening", resolve));
    return { address: `ws://127.0.0.1:${server.address().port}`, close: () => server.close() };
  },
  async connect(address) {
    const socket = new WebSocket(address);
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
    const greeter = newWebSocketRpcSession(socket);
    return { call: async () => ({ msg: (await greeter.hello({ name: "world" })).msg }), close: () => socket.close() };
  },
});
