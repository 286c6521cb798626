import { Child } from "../support/child.ts";

/** A program of examples/ as a process. Whoever makes one disposes it. */
export class Program extends Child {
  constructor(name: string, ...args: string[]) {
    super(new URL(`../../examples/${name}`, import.meta.url), ...args);
  }
}

/** Runs a program to its end. */
export async function run(name: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  await using program = new Program(name, ...args);
  return await program.ended();
}
