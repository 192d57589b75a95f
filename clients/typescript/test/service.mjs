// Services that answer badly, for tests of the client. The real one starts as for the clients of other protocols.
import { createServer, request as httpRequest } from "node:http";

export { Service } from "../../../tests/clients/service.mjs";

// Starts a server on loopback and returns its address.
export async function listen(server) {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${server.address().port}`;
}

// A server that begins an answer and never ends it.
export function dripping() {
  return createServer((_, answer) => {
    answer.writeHead(200, { "content-type": "application/json" });
    const timer = setInterval(() => answer.write(" "), 5);
    answer.on("close", () => clearInterval(timer));
  });
}

// A proxy to `url` that loses the first `lost` answers of a method, after the service made them. It keeps the headers that came.
export function forgetful(url, method, lost) {
  const proxy = createServer((from, to) => {
    proxy.headers = from.headers;
    const loses = from.url === `/v1/${method}` && proxy.lost < lost;
    if (loses) proxy.lost += 1;
    const onwards = httpRequest(url + from.url, { method: from.method, headers: from.headers }, (answer) => {
      if (loses) {
        answer.resume();
        answer.on("end", () => from.socket.destroy());
        return;
      }
      to.writeHead(answer.statusCode, answer.headers);
      answer.pipe(to);
    });
    onwards.on("error", () => from.socket.destroy());
    from.pipe(onwards);
  });
  proxy.lost = 0;
  return proxy;
}
