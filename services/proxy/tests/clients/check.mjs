// The same as check.py with the official client for Node: raw iteration and the helper that accumulates.
//
//     node check.mjs http://127.0.0.1:8000 < scenarios.json
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// The packages lie in the cache, not beside this file.
const require = createRequire(pathToFileURL(process.env.CLIENTS + "/"));
const OpenAI = require("openai").OpenAI;

const ask = [{ role: "user", content: "hi" }];
const client = new OpenAI({ baseURL: process.argv[2] + "/v1", apiKey: "k", maxRetries: 0, timeout: 20_000 });

async function raw(model) {
  let text = "", finish = null;
  const calls = [];
  for await (const chunk of await client.chat.completions.create({ model, stream: true, messages: ask })) {
    for (const choice of chunk.choices) {
      text += choice.delta.content ?? "";
      finish = choice.finish_reason ?? finish;
      for (const call of choice.delta.tool_calls ?? []) {
        const known = (calls[call.index] ??= ["", ""]);
        known[0] += call.function.name ?? "";
        known[1] += call.function.arguments ?? "";
      }
    }
  }
  return { text, finish, calls };
}

async function accumulated(model) {
  const [choice] = (await client.chat.completions.stream({ model, messages: ask }).finalChatCompletion()).choices;
  const calls = (choice.message.tool_calls ?? []).map((call) => [call.function.name, call.function.arguments]);
  return { text: choice.message.content ?? "", finish: choice.finish_reason, calls };
}

function problem(found, scenario) {
  if ("error" in scenario) return `took a cut answer for a whole one: ${JSON.stringify(found)}`;
  const { text, finish, calls } = scenario;
  const wanted = JSON.stringify({ text, finish, calls });
  return JSON.stringify(found) === wanted ? null : `understood ${JSON.stringify(found)} and not ${wanted}`;
}

let passed = 0, failed = 0;
for (const scenario of JSON.parse(readFileSync(0, "utf8"))) {
  for (const read of [raw, accumulated]) {
    let wrong;
    try {
      wrong = problem(await read(scenario.name), scenario);
    } catch (error) {
      wrong = scenario.error !== undefined && String(error.message).includes(scenario.error) ? null : `raised ${error}`;
    }
    if (wrong === null) passed += 1;
    else {
      failed += 1;
      console.log(`${read.name} ${scenario.name}: ${wrong}`);
    }
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
