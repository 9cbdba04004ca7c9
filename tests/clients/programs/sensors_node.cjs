// A site's server that uses the Sensors Analytics Node SDK; what was not confirmed waits in its cache.
// It runs until its input ends, as a server would.
const { createRequire } = require("node:module");
const given = JSON.parse(process.argv[2]);
const SensorsAnalytics = createRequire(`${given.modules}/`)("sa-sdk-node");

const sdk = new SensorsAnalytics();
if (given.cache) sdk.initNWConsumer({ url: given.url, cachePath: given.cache }, { count: 10, timeSpan: 200 });
else sdk.submitTo({ url: given.url }, { count: 10, timeSpan: 200 });
for (const [what, ...call] of given.calls) sdk[what](...call);
process.stdin.resume().on("end", () => process.exit(0));
