// Seals what comes in on stdin with @wecom/crypto: a list of {token, key, to, timestamp, nonce, message}.
const { createRequire } = require("node:module");
const { readFileSync } = require("node:fs");
const given = JSON.parse(readFileSync(0, "utf8"));
const { encrypt, getSignature } = createRequire(`${process.argv[2]}/`)("@wecom/crypto");

const sealed = given.map(({ token, key, to, timestamp, nonce, message }) => {
  const ciphered = encrypt(key, message, to);
  return { encrypt: ciphered, signature: getSignature(token, timestamp, nonce, ciphered) };
});
process.stdout.write(JSON.stringify(sealed));
