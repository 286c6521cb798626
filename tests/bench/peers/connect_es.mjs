// connect-es over HTTP/2, with the Connect protocol and JSON; the messages are those of google.protobuf, which need no compiler.
import { createServer } from "node:http2";
import { createClient } from "@connectrpc/connect";
import { connectNodeAdapter, createConnectTransport } from "@connectrpc/connect-node";
import { create, toBinary } from "@bufbuild/protobuf";
import { fileDesc, serviceDesc } from "@bufbuild/protobuf/codegenv2";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { play } from "./peer.mjs";

const STRING = 9;
const OPTIONAL = 1;
const proto = create(FileDescriptorProtoSchema, {
  name: "greeter.proto",
  package: "bench",
  syntax: "proto3",
  messageType: [
    { name: "HelloRequest", field: [{ name: "name", number: 1, type: STRING, label: OPTIONAL, jsonName: "name" }] },
    { name: "HelloReply", field: [{ name: "msg", number: 1, type: STRING, label: OPTIONAL, jsonName: "msg" }] },
  ],
  service: [{
    name: "Greeter",
    method: [{ name: "Hello", inputType: ".bench.HelloRequest", outputType: ".bench.HelloReply" }],
  }],
});
const file = fileDesc(Buffer.from(toBinary(FileDescriptorProtoSchema, proto)).toString("base64"));
const Greeter = serviceDesc(file, 0);

await play({
  async serve() {
    const server = createServer(connectNodeAdapter({
      routes: (router) => router.service(Greeter, { hello: ({ name }) => ({ msg: `hello ${name}` }) }),
    }));
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    return { address: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
  },
  connect(baseUrl) {
    const client = createClient(Greeter, createConnectTransport({ baseUrl, httpVersion: "2" }));
    const call = async () => {
      const { msg } = await client.hello({ name: "world" });
      return { msg };
    };
    return { call, close: () => {} };
  },
});
