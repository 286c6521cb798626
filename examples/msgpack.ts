/**
 * Messages with binary values and 64-bit integers, which JSON has no form for: the MessagePack codec.
 *
 *     deno run -A examples/msgpack.ts
 */
import { Client, Server, service, unary } from "@erpc/erpc";
import { msgpack } from "@erpc/erpc/msgpack";

type Picture = { name: string; takenAtNs: bigint; pixels: Uint8Array };

const Pictures = service("demo.Pictures", {
  invert: unary<Picture, Picture>({ idempotent: true, codec: msgpack() }),
});

await using server = new Server({ codecs: [msgpack()] });
server.handle(Pictures, {
  invert: (picture) => ({ ...picture, pixels: picture.pixels.map((value) => 255 - value) }),
});
await server.listen();

await using client = new Client({ endpoints: [server.endpoint] });
const pictures = client.service(Pictures);

const cat: Picture = { name: "cat", takenAtNs: 1_767_225_600_123_456_789n, pixels: Uint8Array.of(0, 10, 128, 255) };
console.log("sent     ", cat);
console.log("received ", await pictures.invert(cat));
