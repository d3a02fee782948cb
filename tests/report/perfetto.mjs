// Perfetto's own trace processor on a trace file: node perfetto.mjs BUNDLE_FOLDER TRACE.json[.gz] SQL...
//
// BUNDLE_FOLDER holds engine_bundle.js and trace_processor.wasm, the worker of Perfetto's page.  The worker is started
// in this process with the few things of a browser that it asks for, and spoken to as the page does: protocol buffers
// (perfetto/trace_processor/trace_processor.proto) through a message port.  Prints one JSON list: for each SQL statement
// {columns, rows}, 64-bit integers as strings.
import fs from 'node:fs';
import path from 'node:path';

const [folder, trace, ...statements] = process.argv.slice(2);
const APPEND = 1, FINALIZE = 2, QUERY = 3;

// ------------------------------------------------------------------------------------------------ protocol buffers
function varint(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return Buffer.from([...bytes, value]);
}
const number = (field, value) => Buffer.concat([varint(field * 8), varint(value)]);
const blob = (field, bytes) => Buffer.concat([varint(field * 8 + 2), varint(bytes.length), bytes]);

function readVarint(bytes, at) {
  let value = 0n;
  for (let shift = 0n; ; shift += 7n) {
    const byte = bytes[at++];
    value |= BigInt(byte & 127) << shift;
    if (byte < 128) return [value, at];
  }
}

function* fields(bytes) {
  for (let at = 0; at < bytes.length;) {
    let key, value;
    [key, at] = readVarint(bytes, at);
    const kind = Number(key & 7n);
    if (kind === 0) [value, at] = readVarint(bytes, at);
    else {
      let size = kind === 1 ? 8n : 4n;
      if (kind === 2) [size, at] = readVarint(bytes, at);
      value = bytes.subarray(at, at += Number(size));
    }
    yield [Number(key >> 3n), value];
  }
}

function* varints(bytes) {
  for (let at = 0, value; at < bytes.length;) {
    [value, at] = readVarint(bytes, at);
    yield value;
  }
}

// ------------------------------------------------------------------------------------------------------ the worker
const replies = [];
const port = { postMessage: (bytes) => replies.push(Buffer.from(bytes)) };
globalThis.self = globalThis;
globalThis.WorkerGlobalScope = class {};
globalThis.location = { href: 'file:///engine_bundle.js' };
globalThis.importScripts = () => {};
globalThis.XMLHttpRequest = class {
  open(_method, name) { this.name = path.basename(name); }
  send() { [this.status, this.response] = [200, new Uint8Array(fs.readFileSync(path.join(folder, this.name))).buffer]; }
};
const kept = globalThis.process;
globalThis.process = undefined; // else the worker takes this for a server
try {
  (0, eval)(fs.readFileSync(path.join(folder, 'engine_bundle.js'), 'utf8'));
} catch (error) { // its line is the whole bundle; only the message helps
  globalThis.process = kept;
  kept.stderr.write(String(error));
  kept.exit(1);
}
globalThis.process = kept;
globalThis.onmessage({ data: port });

await new Promise((done) => setTimeout(done)); // the worker is compiled; now it sets itself up

let sequence = 0;
function call(method, ...parts) {
  const rpc = Buffer.concat([number(1, ++sequence), number(2, method), ...parts]);
  port.onmessage({ data: new Uint8Array(blob(1, rpc)) });
}

// TraceProcessorRpcStream.msg = 1; TraceProcessorRpc.fatal_error = 5, query_result = 203, append_result = 201
function* answers(wanted) {
  for (const reply of replies.splice(0)) {
    for (const [, rpc] of fields(reply)) {
      for (const [field, value] of fields(rpc)) {
        if (field === 5) throw new Error(value.toString());
        if (field === wanted) yield value;
      }
    }
  }
}

function query(sql) {
  call(QUERY, blob(103, blob(1, Buffer.from(sql))));
  const columns = [], cells = [];
  for (const result of answers(203)) { // column_names = 1, error = 2, batch = 3
    for (const [field, value] of fields(result)) {
      if (field === 1) columns.push(value.toString());
      if (field === 2 && value.length) throw new Error(`${sql}: ${value}`);
      if (field === 3) cells.push(...batch(value));
    }
  }
  const rows = [];
  for (let at = 0; at < cells.length; at += columns.length) rows.push(cells.slice(at, at + columns.length));
  return { columns, rows };
}

// cells = 1 (kinds: 1 null, 2 integer, 3 double, 4 string), varint_cells = 2, float64_cells = 3, string_cells = 5
function batch(bytes) {
  let kinds = [], integers = [], doubles = [], strings = [];
  for (const [field, value] of fields(bytes)) {
    if (field === 1) kinds = kinds.concat(typeof value === 'bigint' ? [value] : [...varints(value)]);
    if (field === 2) integers = integers.concat(typeof value === 'bigint' ? [value] : [...varints(value)]);
    if (field === 3) for (let at = 0; at < value.length; at += 8) doubles.push(value.readDoubleLE(at));
    if (field === 5) strings = value.toString().split('\0');
  }
  const taken = { 2: 0, 3: 0, 4: 0 };
  return kinds.map((kind) => {
    const at = taken[kind]++;
    if (kind === 2n) return BigInt.asIntN(64, integers[at]).toString();
    return kind === 3n ? doubles[at] : kind === 4n ? strings[at] : null;
  });
}

const bytes = fs.readFileSync(trace);
for (let at = 0; at < bytes.length; at += 16e6) call(APPEND, blob(101, bytes.subarray(at, at + 16e6)));
call(FINALIZE);
[...answers(201)]; // a fatal error is thrown
const found = [];
for (const sql of statements) found.push(query(sql));
process.stdout.write(JSON.stringify(found));
