// A site's server that uses Segment's Node library as its manual says.
const { createRequire } = require("node:module");
const given = JSON.parse(process.argv[2]);
const { Analytics } = createRequire(`${given.modules}/`)("@segment/analytics-node");

const client = new Analytics({ writeKey: given.write_key, host: given.host, path: given.path, flushInterval: 200 });
const errors = [];
client.on("error", (error) => errors.push(String(error.reason ?? error.code)));
for (const { do: what, ...call } of given.calls) client[what](call);
client.closeAndFlush({ timeout: 20000 }).then(() => {
  if (errors.length) {
    console.error(errors.join("\n"));
    process.exitCode = 1;
  }
});
