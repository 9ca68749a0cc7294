// Loads the build for JavaScript as the JavaScript provider does, and checks its answers; with the official module, also
// the time of an evaluation of both.
//
// Usage: node host.mjs DOCUMENTS MODULE [OFFICIAL]

import { readFileSync } from "node:fs";

/** What TinyGo's `wasm_exec.js` offers to a module, as far as one of the two calls it. */
function imports(memory) {
  const numbers = () => new DataView(memory().buffer);
  const nanoseconds = () => BigInt(Date.now()) * 1_000_000n;
  const zeros = (...addresses) => {
    addresses.forEach((address) => numbers().setUint32(address, 0, true));
    return 0;
  };
  return {
    gojs: { "runtime.ticks": nanoseconds },
    // Of these only the first two are there in JavaScript; the others are for the official module for WASI.
    wasi_snapshot_preview1: {
      fd_write: (_file, _buffers, _count, written) => zeros(written),
      random_get: () => 0,
      proc_exit: (code) => {
        if (code !== 0) throw new Error(`the module exited with ${code}`);
      },
      clock_time_get: (_clock, _precision, time) => {
        numbers().setBigUint64(time, nanoseconds(), true);
        return 0;
      },
      args_sizes_get: zeros,
      args_get: () => 0,
      fd_read: () => 8,
    },
  };
}

/** An instance as a function from an input document to its output document. */
function load(path) {
  const module = new WebAssembly.Module(readFileSync(path));
  let memory;
  const instance = new WebAssembly.Instance(module, imports(() => memory));
  const { malloc, free, evaluate, _start } = instance.exports;
  memory = instance.exports.memory;
  _start();
  const [encoder, decoder] = [new TextEncoder(), new TextDecoder()];
  const host = (input) => {
    const bytes = encoder.encode(input);
    const address = malloc(bytes.length + 1);
    const block = new Uint8Array(memory.buffer, address, bytes.length + 1);
    block.set(bytes);
    block[bytes.length] = 0;
    const result = evaluate(address, bytes.length);
    const [output, length] = [Number(result >> 32n) >>> 0, Number(result & 0xffff_ffffn)];
    const answer = decoder.decode(new Uint8Array(memory.buffer, output, length));
    free(address);
    return answer;
  };
  return { host, imports: WebAssembly.Module.imports(module).map((it) => `${it.module} ${it.name}`) };
}

/** Microseconds of an evaluation, of the fastest of some rounds. */
function time(host, input) {
  let best = Infinity;
  for (let round = 0; round < 20; round++) {
    const begin = process.hrtime.bigint();
    for (let count = 0; count < 500; count++) host(input);
    best = Math.min(best, Number(process.hrtime.bigint() - begin) / 500 / 1_000);
  }
  return best;
}

const [documents, path, officialPath] = process.argv.slice(2);
const lines = readFileSync(documents, "utf8").trimEnd().split("\n").map((line) => line.split("\t"));
const ours = load(path);
if (String(ours.imports) !== "gojs runtime.ticks") throw new Error(`imports ${ours.imports}`);
// The second time with flags that are kept.
for (const [input, expected] of [...lines, ...lines]) {
  const answer = ours.host(input);
  if (answer !== expected) throw new Error(`${input}: ${answer} instead of ${expected}`);
}
console.log(`node ${process.version}: ${2 * lines.length} equal answers`);
if (officialPath) {
  const official = load(officialPath).host;
  const [input, expected] = lines[0];
  if (official(input) !== expected) throw new Error(`the official module: ${official(input)}`);
  const times = [official, ours.host].map((host) => time(host, input).toFixed(1));
  console.log(`an evaluation of a static flag takes ${times[0]} µs with the official module, ${times[1]} µs with this one`);
}
