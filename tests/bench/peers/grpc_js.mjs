// @grpc/grpc-js, with JSON for messages, so that no protobuf stands between.
import grpc from "@grpc/grpc-js";
import { play } from "./peer.mjs";

const method = {
  path: "/bench.Greeter/Hello",
  requestStream: false,
  responseStream: false,
  requestSerialize: (value) => Buffer.from(JSON.stringify(value)),
  requestDeserialize: (bytes) => JSON.parse(bytes.toString()),
  responseSerialize: (value) => Buffer.from(JSON.stringify(value)),
  responseDeserialize: (bytes) => JSON.parse(bytes.toString()),
};

await play({
  async serve() {
    const server = new grpc.Server();
    server.addService({ hello: method }, {
      hello: (call, reply) => reply(null, { msg: `hello ${call.request.name}` }),
    });
    const port = await new Promise((resolve, reject) =>
      server.bindAsync(
        "127.0.0.1:0",
        grpc.ServerCredentials.createInsecure(),
        (error, port) => error ? reject(error) : resolve(port),
      )
    );
    return { address: `127.0.0.1:${port}`, close: () => server.forceShutdown() };
  },
  connect(address) {
    const Greeter = grpc.makeGenericClientConstructor({ hello: method }, "bench.Greeter");
    const client = new Greeter(address, grpc.credentials.createInsecure());
    const call = () =>
      new Promise((resolve, reject) =>
        client.hello({ name: "world" }, (error, reply) => error ? reject(error) : resolve(reply))
      );
    return { call, close: () => client.close() };
  },
});
