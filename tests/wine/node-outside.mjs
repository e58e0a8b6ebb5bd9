// Runs scripts with Node.js for programs under Wine, where there is none. It prints the address on
// which it listens. Each connection is a run: a line of JSON (`arguments` and `environment`), then
// standard input; back comes standard output in pieces, each after its length (4 bytes, the highest
// first), and after a length of 0 the exit code in one byte.
//
//   WINEPREFIX=... node node-outside.mjs

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';

const { WINEPREFIX } = process.env;

// What Windows calls C:\a is below the prefix here.
const translated = (text) =>
  text.replace(/\b([a-z]):[\\/](?!\/)\S*/gi, (path, drive) =>
    WINEPREFIX + '/dosdevices/' + drive.toLowerCase() + path.slice(1).replaceAll('\\', '/'),
  );

async function firstLine(socket) {
  let known = Buffer.alloc(0);
  while (!known.includes(10)) {
    const [more] = await once(socket, 'data');
    known = Buffer.concat([known, more]);
  }
  socket.pause();
  const end = known.indexOf(10);
  if (end + 1 < known.length) socket.unshift(known.subarray(end + 1));
  return JSON.parse(known.subarray(0, end));
}

async function serve(socket) {
  const asked = await firstLine(socket);
  const environment = Object.entries(asked.environment).map(([name, value]) => [
    name,
    translated(value),
  ]);
  const child = spawn(process.execPath, asked.arguments.map(translated), {
    env: { PATH: process.env.PATH, ...Object.fromEntries(environment) },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.on('error', () => {});
  socket.pipe(child.stdin);
  // Who is gone needs no more of it.
  socket.on('close', () => child.stdin.end());
  child.stdout.on('data', (piece) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(piece.length);
    socket.write(Buffer.concat([length, piece]));
  });
  const [code] = await once(child, 'close');
  socket.end(Buffer.of(0, 0, 0, 0, code ?? 1));
}

const server = createServer({ allowHalfOpen: true }, (socket) => {
  socket.on('error', () => socket.destroy());
  serve(socket).catch(() => socket.destroy());
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
console.log(`127.0.0.1:${server.address().port}`);
