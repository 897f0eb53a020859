// The same as plain.py with the official client for Node.
//
//     node plain.mjs http://127.0.0.1:8000
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// The packages lie in the cache, not beside this file.
const require = createRequire(pathToFileURL(process.env.CLIENTS + "/"));
const OpenAI = require("openai").OpenAI;

const messages = [{ role: "user", content: "hi" }];
const client = new OpenAI({ baseURL: process.argv[2] + "/v1", apiKey: "k", timeout: 20_000 });

const checks = {
  async lists_models() {
    const names = [];
    for await (const model of await client.models.list()) names.push(model.id);
    assert.deepEqual(names, ["bare", "busy", "m"]);
  },
  async chats() {
    const answer = await client.chat.completions.create({ model: "m", messages });
    assert.equal(answer.choices[0].message.content, "Hello");
    assert.equal(answer.usage.prompt_tokens, 3);
    assert.ok(answer._request_id);
  },
  async calls_tools() {
    const ask = [{ role: "user", content: "tools" }];
    const [choice] = (await client.chat.completions.create({ model: "m", messages: ask })).choices;
    assert.equal(choice.message.tool_calls[0].function.arguments, '{"a":1}');
    assert.equal(choice.finish_reason, "tool_calls");
  },
  async completes() {
    assert.equal((await client.completions.create({ model: "m", prompt: "hi" })).choices[0].text, "Hello");
  },
  async embeds() {
    const { data } = await client.embeddings.create({ model: "m", input: "hi" });
    assert.deepEqual(Array.from(data[0].embedding), [1, -0.5]);
  },
  async refuses_what_is_not_there() {
    const asking = client.chat.completions.create({ model: "nope", messages });
    await assert.rejects(asking, { status: 404, code: "model_not_found", param: "model" });
  },
  async refuses_what_it_cannot_do() {
    const asking = client.embeddings.create({ model: "bare", input: "hi" });
    await assert.rejects(asking, { status: 501, code: "capability_not_supported" });
  },
  async refuses_a_wrong_key() {
    await assert.rejects(client.withOptions({ apiKey: "wrong" }).models.list(), { status: 401, code: "invalid_api_key" });
  },
  async passes_on_a_refusal() {
    const asking = client.chat.completions.create({ model: "busy", messages }, { maxRetries: 1 });
    await assert.rejects(asking, { status: 429 });
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
  } catch (error) {
    failed += 1;
    console.log(`${name}: ${error}`);
  }
}
console.log(`${Object.keys(checks).length - failed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
