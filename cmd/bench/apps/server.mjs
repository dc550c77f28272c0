// Answers with the process's pid, at the port or socket of the first argument.
import { createServer } from "node:http";

const server = createServer((request, response) => {
  request.resume();
  response.writeHead(200, { "Content-Type": "text/plain" });
  response.end(`pid ${process.pid}\n`);
});
server.listen(/^\d+$/.test(process.argv[2]) ? { host: "127.0.0.1", port: +process.argv[2] } : process.argv[2]);
process.on("SIGTERM", () => server.close(() => process.exit(0)));
