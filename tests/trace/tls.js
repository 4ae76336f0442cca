// A Redis client in Node over TLS, which node's OpenSSL does in memory: tls.js CASE PORT CERTIFICATE. It speaks and logs as
// tls.py does. Its first command is written by a callback that OpenSSL makes within SSL_read.
const { readFileSync } = require('fs');
const { createInterface } = require('readline');
const tls = require('tls');

const [port, ca] = [Number(process.argv[3]), readFileSync(process.argv[4])];
const log = [];
setTimeout(() => process.exit(1), 60000).unref();
const lines = createInterface({ input: process.stdin });
console.log('ready');
lines.once('line', () => {
  const socket = tls.connect({ port, host: '127.0.0.1', ca, checkServerIdentity: () => undefined });
  const ask = () => socket.write('*1\r\n$4\r\nPING\r\n');
  socket.on('secureConnect', ask);
  socket.on('data', (answer) => {
    log.push([socket.localPort, 'PING', 14, answer.length, 'ok']);
    if (log.length < 200) return ask();
    socket.end();
    log.forEach((entry) => console.log(JSON.stringify(entry)));
    console.log('done');
  });
});
