/** Bodies of HTTP answers, read no further than a bound. Whoever stops reading ends the request. */

/** The text of a body. @throws {RangeError} when it is larger than `maxBytes` */
export async function readAll(response: Response, maxBytes: number): Promise<string> {
  let text = "";
  for await (const part of parts(response, maxBytes)) text += part.text;
  return text;
}

/** The lines of a body that may never end, without those that are empty. @throws {RangeError} when one is over `maxBytes` */
export async function* lines(response: Response, maxBytes: number): AsyncGenerator<string> {
  let line = "";
  let lineBytes = 0;
  for await (const { text, bytes } of parts(response, Infinity)) {
    const ends = text.split("\n");
    for (const [n, part] of ends.entries()) {
      line += part;
      if (n < ends.length - 1) {
        if (line.trim() !== "") yield line;
        line = "";
        lineBytes = 0;
      }
    }
    lineBytes += bytes;
    if (line !== "" && lineBytes > maxBytes) throw new RangeError(`A line of an answer is over ${maxBytes} bytes`);
  }
}

async function* parts(response: Response, maxBytes: number): AsyncGenerator<{ text: string; bytes: number }> {
  if (response.body === null) return;
  const decoder = new TextDecoder();
  let total = 0;
  for await (const bytes of response.body) {
    total += bytes.length;
    if (total > maxBytes) throw new RangeError(`An answer is over ${maxBytes} bytes`);
    yield { text: decoder.decode(bytes, { stream: true }), bytes: bytes.length };
  }
}
