import { assertEquals } from "@std/assert";
import { sameSecret } from "../../src/core/secret.ts";

Deno.test("H49 sameSecret, texts of all kinds, are the same only when they are", () => {
  const texts = ["", "a", "b", "ab", "aa", "aaa", "ä", "sesame", "sesamE", "Sesame", "sesame ", "\0", "a\0"];
  for (const left of texts) {
    for (const right of texts) assertEquals(sameSecret(left, right), left === right, JSON.stringify([left, right]));
  }
});
