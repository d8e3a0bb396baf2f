"""The cassettes themselves: what is in them, and that recording them again changes nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scripts import cassettes as script
from tests.recorded import test_jobs, test_oauth, test_orchestration, test_recorded, test_site, test_workflows
from tests.recorded.cassettes import (
    TOKEN,
    WRONG_TOKEN,
    Serializer,
    kept_request,
    kept_response,
    same_credential,
)

ORIGIN = "http://127.0.0.1:4055"
RECORDED = sorted(script.CASSETTES.rglob("*.yaml"))


def request(url: str = f"{ORIGIN}/api/v1/me", body: bytes = b"", **headers: str) -> Any:
    return SimpleNamespace(
        uri=url, body=body, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def response(body: bytes, **headers: str) -> dict[str, Any]:
    return {
        "status": {"code": 200, "message": "OK"},
        "headers": {name.replace("_", "-"): [value] for name, value in headers.items()},
        "body": {"string": body},
    }


# ------------------------------------------------------------------------------------------------------- the folder


def test_every_recorded_test_has_its_cassette_and_no_other_is_there() -> None:
    wanted = {
        script.CASSETTES / module.__name__.rpartition(".")[2] / f"{name}.yaml"
        for module in (test_jobs, test_oauth, test_orchestration, test_recorded, test_site, test_workflows)
        for name in vars(module)
        if name.startswith("test_")
    }
    assert set(RECORDED) == wanted


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_no_cassette_holds_a_credential_or_the_address_of_the_emulator(path: Path) -> None:
    text = path.read_text(encoding="utf-8").lower()
    text = text.replace("/v1/consumer/jobs?token=", "/v1/consumer/jobs?")  # the name of a batch: it opens nothing
    text = re.sub(r"token=\*{3}", "masked", text)
    secrets = (TOKEN, WRONG_TOKEN, "test-token", "bearer ", "authorization:", "cookie", "token=")
    assert [secret for secret in (*secrets, "127.0.0.1", "localhost") if secret in text] == []
    assert re.findall(r"civitai_[0-9a-f]{20}", text) == []  # what tokens of the accounts service look like
    for exchange in Serializer.deserialize(text)["interactions"]:
        assert exchange["request"]["headers"].keys() <= {"accept", "content-type", "range", "credential"}
        assert exchange["request"]["headers"].get("credential", ["sent"]) == ["sent"]


def test_recording_again_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("uvicorn", reason="the emulator is not installed")
    status = script.main(["--check"])
    assert (status, capsys.readouterr().err) == (0, "")


# ------------------------------------------------------------------------------------------------------- the command


def test_differences_are_named_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = {Path("m/same.yaml"): b"1", Path("m/new.yaml"): b"2", Path("m/other.yaml"): b"3"}
    monkeypatch.setattr(script, "record", lambda: wanted)
    script.write({Path("m/same.yaml"): b"1", Path("m/old.yaml"): b"2", Path("m/other.yaml"): b"4"}, tmp_path)
    before = script.present(tmp_path)

    assert script.main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err.splitlines()[:-1] == [
        "m/new.yaml is missing",
        "m/old.yaml has no test",
        "m/other.yaml differs",
    ]
    assert script.present(tmp_path) == before

    assert script.main([], tmp_path) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "3 cassettes, 3 changed"
    assert script.present(tmp_path) == wanted
    assert script.main(["--check"], tmp_path) == 0


def test_a_recording_that_fails_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> dict[Path, bytes]:
        raise script.RecordingError("1 failed")

    script.write({Path("m/a.yaml"): b"1"}, tmp_path)
    monkeypatch.setattr(script, "record", fail)
    assert script.main([], tmp_path) == 1
    assert capsys.readouterr().err.startswith("1 failed\n")
    assert script.present(tmp_path) == {Path("m/a.yaml"): b"1"}


# ------------------------------------------------------------------------------------------------------ what is kept


def test_of_a_request_only_what_is_known_to_be_harmless_is_kept() -> None:
    kept = kept_request(
        request(Authorization=f"Bearer {TOKEN}", Cookie="a=b", User_Agent="x", X_New="y", Accept="application/json"),
        origin=ORIGIN,
    )
    assert kept.headers == {"accept": "application/json", "credential": "sent"}
    again = kept_request(kept, origin=ORIGIN)
    assert again.headers == {"accept": "application/json", "credential": "sent"}


@pytest.mark.parametrize(
    ("recorded", "kept"),
    [
        (f"{ORIGIN}/api/v1/models?limit=1", "https://civitai.com/api/v1/models?limit=1"),
        (f"{ORIGIN}/v2/consumer/workflows", "https://orchestration.civitai.com/v2/consumer/workflows"),
        (f"{ORIGIN}/v1/consumer/jobs", "https://orchestration.civitai.com/v1/consumer/jobs"),
        (f"{ORIGIN}9/api", f"{ORIGIN}9/api"),
        ("https://civitai.com/v2/x", "https://civitai.com/v2/x"),
    ],
)
def test_the_real_hosts_stand_in_addresses_bodies_and_redirects(recorded: str, kept: str) -> None:
    body = json.dumps({"url": recorded}).encode()
    asked = kept_request(request(recorded, body, Content_Type="application/json"), origin=ORIGIN)
    came = kept_response(
        response(body, Content_Type="application/json", Content_Length="1", Location=recorded, Date="now"),
        origin=ORIGIN,
    )
    assert asked.uri == kept
    for text in (asked.body, came["body"]["string"]):
        assert json.loads(text) == {"url": kept}
    assert came["headers"] == {
        "content-length": [str(len(came["body"]["string"]))],
        "content-type": ["application/json"],
        "location": [kept],
    }
    assert kept_response(came, origin=None) == came


def test_secrets_of_the_accounts_service_are_masked() -> None:
    form = b"grant_type=refresh_token&client_id=me&client_secret=s1&refresh_token=s2&code=s3&code_verifier=s4&token=s5"
    asked = kept_request(request(body=form, content_type="application/x-www-form-urlencoded"), origin=None)
    assert asked.body == (
        b"grant_type=refresh_token&client_id=me&client_secret=***&refresh_token=***&code=***&code_verifier=***&token=***"
    )
    body = b'{"access_token": "s1", "refresh_token": "s2", "id_token": "s3", "device_code": "s4", "scope": ["1"]}'
    came = kept_response(response(body, content_type="application/json"), origin=None)
    assert json.loads(came["body"]["string"]) == {
        **dict.fromkeys(("access_token", "refresh_token", "id_token", "device_code"), "***"),
        "scope": ["1"],
    }


def test_the_accounts_service_has_a_host_of_its_own() -> None:
    auth = "http://127.0.0.1:4056"
    kept = kept_request(request(f"{auth}/api/auth/oauth/userinfo"), origin=ORIGIN, auth=auth)
    assert kept.uri == "https://auth.civitai.com/api/auth/oauth/userinfo"


def test_a_file_is_kept_as_it_came() -> None:
    content = ORIGIN.encode() + b"\x00\xff"
    kept = kept_response(response(content, content_type="image/png"), origin=ORIGIN)
    assert kept["body"]["string"] == content


def test_a_token_where_there_was_none_is_another_request() -> None:
    with_token = kept_request(request(authorization="Bearer x"), origin=None)
    without = kept_request(request(), origin=None)
    same_credential(with_token, with_token)
    same_credential(without, without)
    with pytest.raises(AssertionError, match="is sent, and was not sent"):
        same_credential(with_token, without)
    with pytest.raises(AssertionError, match="is not sent, and was sent"):
        same_credential(without, with_token)


@pytest.mark.parametrize("text", ["", "a", "a\nb", "a\nb\n", " a\n  b \n", "é\n😀", "a\r\nb\x00", "- a: &b *c\n#"])
def test_what_is_written_is_read_again(text: str) -> None:
    cassette = {"string": text, "bytes": text.encode() + b"\xff"}
    assert Serializer.deserialize(Serializer.serialize(cassette)) == cassette


def test_json_is_written_a_field_a_line() -> None:
    written = Serializer.serialize({"string": '{\n  "name": "café 😀",\n  "id": 5\n}'})
    assert written.splitlines() == ["string: |-", "  {", '    "name": "café 😀",', '    "id": 5', "  }"]
