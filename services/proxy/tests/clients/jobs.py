"""Has requests that nobody can serve now as jobs, with the official clients, and fetches their answers.

    python jobs.py http://127.0.0.1:8000

Whoever runs this keeps every place of the model `m` taken until a line comes that says so. The last line is `done`.
"""
import sys
import time

import anthropic
import openai

BASE = sys.argv[1]
ASK = [{"role": "user", "content": "hi"}]
ASYNC = {"Prefer": "respond-async"}
OPENAI = openai.OpenAI(base_url=BASE + "/v1", api_key="k", max_retries=0, timeout=20)
ANTHROPIC = anthropic.Anthropic(base_url=BASE, api_key="k", max_retries=0, timeout=20)


def deferred(raw):
    raw.http_response.read()  # where a stream was asked for, the client leaves that to its caller
    assert raw.http_response.status_code == 202, raw.http_response.text
    assert raw.headers["preference-applied"] == "respond-async" and int(raw.headers["retry-after"]) >= 1
    job = raw.http_response.json()
    assert (job["object"], job["status"]) == ("job", "queued") and raw.headers["location"] == "/v1/jobs/" + job["id"]
    return job["id"]


def finished(job):
    until = time.monotonic() + 30
    while time.monotonic() < until:
        found = OPENAI.get("/jobs/" + job, cast_to=object)
        if found["status"] not in ("queued", "running"):
            assert found["status"] == "completed", found
            return found["response"]["body"]
        time.sleep(0.05)
    raise AssertionError(f"{job} never ended")


def main():
    chat = deferred(OPENAI.chat.completions.with_raw_response.create(model="m", messages=ASK, extra_headers=ASYNC))
    stream = deferred(
        OPENAI.chat.completions.with_raw_response.create(model="m", messages=ASK, stream=True, extra_headers=ASYNC)
    )
    keyed = {**ASYNC, "Idempotency-Key": "k-1"}
    first, again = (
        deferred(OPENAI.chat.completions.with_raw_response.create(model="m", messages=ASK, extra_headers=keyed))
        for _ in range(2)
    )
    assert first == again and len({chat, stream, first}) == 3
    message = deferred(
        ANTHROPIC.messages.with_raw_response.create(model="m", max_tokens=9, messages=ASK, extra_headers=ASYNC)
    )
    try:
        OPENAI.get("/jobs/job_" + "0" * 32, cast_to=object)
        raise AssertionError("an unknown job was found")
    except openai.NotFoundError as error:
        assert error.code == "job_not_found", error
    print("taken", flush=True)
    for job in (chat, stream, first):
        answer = openai.types.chat.ChatCompletion.model_validate(finished(job))
        assert answer.choices[0].message.content == "Hello" and answer.choices[0].finish_reason == "stop", answer
    body = finished(message)
    assert body["type"] == "message" and body["content"][0]["text"] == "Hello", body
    listed = OPENAI.get("/jobs", cast_to=object, options={"params": {"limit": 2}})
    assert [job["id"] for job in listed["data"]] == [message, first] and listed["has_more"], listed
    print("done", flush=True)


main()
