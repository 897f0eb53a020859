"""Everything that is no stream, with the official clients as people set them up: answers, embeddings, lists, errors.

    python plain.py http://127.0.0.1:8000

The last line is `N passed, N failed`. How often the backend was asked is counted by whoever runs this.
"""
import sys

import anthropic
import openai
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

BASE = sys.argv[1]
ASK = [{"role": "user", "content": "hi"}]
# Retries as they come out of the box: what must not be repeated says so itself.
OPENAI = openai.OpenAI(base_url=BASE + "/v1", api_key="k", timeout=20)
ANTHROPIC = anthropic.Anthropic(base_url=BASE, api_key="k", timeout=20)


def raised(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


def lists_models():
    assert [model.id for model in OPENAI.models.list()] == ["bare", "busy", "m"]


def anthropic_lists_models():
    models = list(ANTHROPIC.models.list())
    assert [model.id for model in models] == ["bare", "busy", "m"] and models[0].type == "model", models
    assert ANTHROPIC.models.retrieve("m").display_name == "m"


def chats():
    answer = OPENAI.chat.completions.create(model="m", messages=ASK)
    assert answer.choices[0].message.content == "Hello" and answer.choices[0].finish_reason == "stop", answer
    assert answer.usage.prompt_tokens == 3 and answer._request_id, answer


def calls_tools():
    answer = OPENAI.chat.completions.create(model="m", messages=[{"role": "user", "content": "tools"}])
    [call] = answer.choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("f", '{"a":1}'), answer
    assert answer.choices[0].finish_reason == "tool_calls", answer


def completes():
    assert OPENAI.completions.create(model="m", prompt="hi").choices[0].text == "Hello"


def embeds():
    # This client asks for base64 by itself, and the backend only knows numbers.
    assert OPENAI.embeddings.create(model="m", input="hi").data[0].embedding == [1.0, -0.5]
    given = OPENAI.embeddings.create(model="m", input="hi", encoding_format="float")
    assert given.data[0].embedding == [1.0, -0.5]


def refuses_what_is_not_there():
    error = raised(openai.NotFoundError, lambda: OPENAI.chat.completions.create(model="nope", messages=ASK))
    assert error.code == "model_not_found" and error.param == "model" and error.request_id, error
    assert "bare" in str(error), error


def refuses_what_it_cannot_do():
    error = raised(openai.InternalServerError, lambda: OPENAI.embeddings.create(model="bare", input="hi"))
    assert (error.status_code, error.code) == (501, "capability_not_supported"), error


def refuses_a_wrong_key():
    stranger = OPENAI.with_options(api_key="wrong")
    error = raised(openai.AuthenticationError, lambda: stranger.models.list())
    assert error.code == "invalid_api_key", error


def passes_on_a_refusal():
    patient = OPENAI.with_options(max_retries=1)
    error = raised(openai.RateLimitError, lambda: patient.chat.completions.create(model="busy", messages=ASK))
    assert "later" in str(error) and float(error.response.headers["retry-after-ms"]) <= 60_000, error


def langchain_invokes():
    answer = ChatOpenAI(model="m", base_url=BASE + "/v1", api_key="k", timeout=20).invoke("hi")
    assert answer.content == "Hello" and answer.usage_metadata["input_tokens"] == 3, answer
    embeddings = OpenAIEmbeddings(model="m", base_url=BASE + "/v1", api_key="k", check_embedding_ctx_length=False)
    assert embeddings.embed_documents(["hi"]) == [[1.0, -0.5]]


def anthropic_answers():
    answer = ANTHROPIC.messages.create(model="m", max_tokens=9, messages=ASK)
    assert answer.content[0].text == "Hello" and answer.stop_reason == "end_turn" and answer._request_id, answer
    assert answer.usage.input_tokens == 3, answer


def anthropic_calls_tools():
    tool = {"name": "f", "input_schema": {"type": "object"}}
    ask = [{"role": "user", "content": "tools"}]
    answer = ANTHROPIC.messages.create(model="m", max_tokens=9, messages=ask, tools=[tool])
    [call] = [block for block in answer.content if block.type == "tool_use"]
    assert (call.name, call.input, answer.stop_reason) == ("f", {"a": 1}, "tool_use"), answer


def anthropic_counts():
    assert ANTHROPIC.messages.count_tokens(model="m", messages=ASK).input_tokens > 0


def anthropic_refuses():
    error = raised(anthropic.NotFoundError, lambda: ANTHROPIC.messages.create(model="no", max_tokens=9, messages=ASK))
    assert error.body["error"]["type"] == "not_found_error" and error.request_id, error


CHECKS = [
    lists_models,
    anthropic_lists_models,
    chats,
    calls_tools,
    completes,
    embeds,
    refuses_what_is_not_there,
    refuses_what_it_cannot_do,
    refuses_a_wrong_key,
    passes_on_a_refusal,
    langchain_invokes,
    anthropic_answers,
    anthropic_calls_tools,
    anthropic_counts,
    anthropic_refuses,
]


def main():
    failed = 0
    for check in CHECKS:
        try:
            check()
        except Exception as error:  # whatever a client may meet
            failed += 1
            print(f"{check.__name__}: {type(error).__name__}: {error}")
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
