"""Asks the proxy with the official clients, once for each way in which a backend was seen to answer.

    python check.py http://127.0.0.1:8000 < scenarios.json

Each scenario says what its answer means; every client must understand just that, and must raise where the answer was
cut. The last line is `N passed, N failed`.
"""
import json
import sys

import anthropic
import openai
from langchain_openai import ChatOpenAI

BASE = sys.argv[1]
ASK = [{"role": "user", "content": "hi"}]
OPENAI = openai.OpenAI(base_url=BASE + "/v1", api_key="k", max_retries=0, timeout=20)
ANTHROPIC = anthropic.Anthropic(base_url=BASE, api_key="k", max_retries=0, timeout=20)


def openai_raw(model):
    text, finish, calls = "", None, {}
    for chunk in OPENAI.chat.completions.create(model=model, stream=True, messages=ASK):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or []:
                known = calls.setdefault(call.index, ["", ""])
                known[0] += call.function.name or ""
                known[1] += call.function.arguments or ""
    return text, finish, [calls[index] for index in sorted(calls)]


def openai_accumulated(model):
    with OPENAI.chat.completions.stream(model=model, messages=ASK) as stream:
        for _ in stream:
            pass
        choice = stream.get_final_completion().choices[0]
    calls = [[call.function.name, call.function.arguments] for call in choice.message.tool_calls or []]
    return choice.message.content or "", choice.finish_reason, calls


def langchain(model):
    whole = None
    for chunk in ChatOpenAI(model=model, base_url=BASE + "/v1", api_key="k", max_retries=0, timeout=20).stream("hi"):
        whole = chunk if whole is None else whole + chunk
    assert not whole.invalid_tool_calls, whole.invalid_tool_calls
    calls = [[call["name"], call["args"]] for call in whole.tool_calls]
    return whole.content, whole.response_metadata.get("finish_reason"), calls


STOPS = {"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length"}


def anthropic_stream(model):
    with ANTHROPIC.messages.stream(model=model, max_tokens=9, messages=ASK) as stream:
        for _ in stream:
            pass
        message = stream.get_final_message()
    text = "".join(block.text for block in message.content if block.type == "text")
    calls = [[block.name, block.input] for block in message.content if block.type == "tool_use"]
    return text, STOPS.get(message.stop_reason), calls


CLIENTS = [openai_raw, openai_accumulated, langchain, anthropic_stream]


def meaning(text, finish, calls):
    read = [[name, json.loads(arguments) if isinstance(arguments, str) else arguments] for name, arguments in calls]
    return {"text": text, "finish": finish, "calls": read}


def check(client, scenario):
    try:
        found = meaning(*client(scenario["name"]))
    except (openai.OpenAIError, anthropic.AnthropicError) as error:
        if "error" not in scenario:
            return f"raised {type(error).__name__}: {error}"
        return None if scenario["error"] in str(error) else f"said '{error}' and not '{scenario['error']}'"
    except Exception as error:  # what no client should ever meet
        return f"broke with {type(error).__name__}: {error}"
    if "error" in scenario:
        return f"took a cut answer for a whole one: {found}"
    wanted = meaning(scenario["text"], scenario["finish"], scenario["calls"])
    return None if found == wanted else f"understood {found} and not {wanted}"


def main():
    passed, failed = 0, 0
    for scenario in json.load(sys.stdin):
        for client in CLIENTS:
            problem = check(client, scenario)
            if problem is None:
                passed += 1
            else:
                failed += 1
                print(f"{client.__name__} {scenario['name']}: {problem}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


main()
