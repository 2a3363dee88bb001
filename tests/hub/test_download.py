"""The download of hub models: what is fetched, how far it is, and one sentence for each thing that goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from replora.catalog import HUB
from replora.event_lines import EventError
from replora.hub.download import (
    OFFLINE,
    SILENT,
    Download,
    Downloaded,
    Downloading,
    Downloads,
    download,
    download_lines,
    from_line,
    to_line,
)
from replora.hub.names import HubError, check_name, is_downloaded, repository, wanted_files
from replora.options import SpecError

NAME = "hf:some/model"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("timm:vit_tiny_patch16_224.augreg_in21k_ft_in1k", "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"),
        ("hf:distilbert-base-uncased", "distilbert-base-uncased"),
        (" hf:sentence-transformers/all-MiniLM-L6-v2 ", "sentence-transformers/all-MiniLM-L6-v2"),
    ],
)
def test_names_stand_for_repositories(name, found):
    assert repository(name) == found
    assert check_name(name) == name.strip()


@pytest.mark.parametrize(
    "name",
    ["", "vit", "timm:", "timm:vit_tiny_patch16_224", "timm:../x.y", "hf:", "hf:../../etc", "hf:a/b/c", "hf:a..b",
     "hf:.x", "local:/etc", "hf:a b", "hf:a\nb", "hf:" + "x" * 200, "https://hub/x"],
)  # fmt: skip
def test_other_names_are_one_sentence(name):
    with pytest.raises(
        HubError, match=r"^A model of the hub is named timm:NAME\.TAG or hf:ID, as in .*, got "
    ) as found:
        check_name(name)
    assert len(str(found.value)) < 260
    assert not is_downloaded(name)


def test_suggested_models_have_good_names():
    assert all(check_name(name) == name for name in HUB)


def test_only_what_is_read_is_wanted_the_weights_last(files):
    assert wanted_files(NAME, list(files)) == ["config.json", "tokenizer.json", "model.safetensors"]
    assert wanted_files("timm:a.b", list(files)) == ["config.json", "model.safetensors"]
    with pytest.raises(HubError, match=r"hf:some/model has no model\.safetensors on the hub"):
        wanted_files(NAME, ["config.json", "pytorch_model.bin"])


def test_a_model_is_fetched_and_then_here(hub, cache, files):
    hub.repositories["some/model"] = files
    assert not is_downloaded(NAME)
    told = list(download(Download(backbone=NAME)))
    total = sum(len(files[each]) for each in ("config.json", "tokenizer.json", "model.safetensors"))
    assert told[0] == Downloading(0, 0, 0.0)
    assert isinstance(told[-1], Downloaded)
    assert told[-1].total == total
    assert is_downloaded(NAME)
    stored = {path.name: path.read_bytes() for path in cache.glob("models--some--model/snapshots/*/*")}
    assert stored == {each: files[each] for each in ("config.json", "tokenizer.json", "model.safetensors")}


def test_progress_is_told_as_bytes_come(hub, files):
    hub.repositories["some/model"] = {**files, "model.safetensors": bytes(4_000_000)}
    hub.pause = 1.0
    told = [each for each in download(Download(backbone=NAME)) if isinstance(each, Downloading) and each.total]
    assert {each.total for each in told} == {4_000_010}
    assert any(0 < each.done < 4_000_000 for each in told)
    assert [each.done for each in told] == sorted(each.done for each in told)


def test_the_operator_s_token_stays_at_home(hub, files, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.repositories["some/model"] = files
    list(download(Download(backbone=NAME)))
    assert hub.tokens == {None}


def test_a_refused_connection_is_the_offline_sentence(endpoint, closed_port):
    endpoint(f"http://127.0.0.1:{closed_port}")
    with pytest.raises(HubError) as found:
        list(download(Download(backbone=NAME)))
    assert str(found.value) == OFFLINE


def test_a_name_that_leads_nowhere_is_the_offline_sentence(endpoint):
    endpoint("http://no.such.host.invalid")
    with pytest.raises(HubError, match=r"The hub cannot be reached from this machine"):
        list(download(Download(backbone=NAME)))


def test_offline_mode_is_the_offline_sentence(hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match=r"The hub cannot be reached from this machine"):
        list(download(Download(backbone=NAME)))
    assert hub.asked == []


@pytest.mark.slow
def test_a_hub_that_never_answers_is_given_up(hub, files):
    hub.repositories["some/model"], hub.silent = files, True
    with pytest.raises(HubError) as found:
        list(download(Download(backbone=NAME)))
    assert str(found.value) == SILENT


def test_a_download_that_stalls_is_given_up_after_its_patience(hub, files):
    hub.repositories["some/model"] = {**files, "model.safetensors": bytes(4_000_000)}
    hub.pause = 20.0
    with pytest.raises(HubError, match=r"The hub has sent nothing for 1 s, so the download was given up"):
        list(download(Download(backbone=NAME, patience=1.0)))
    assert not is_downloaded(NAME)


@pytest.mark.slow
def test_a_truncated_file_is_a_sentence_and_no_model(hub, files):
    hub.repositories["some/model"], hub.truncate = files, 1000
    with pytest.raises(HubError) as found:
        list(download(Download(backbone=NAME, patience=5.0)))
    assert "\n" not in str(found.value)
    assert not is_downloaded(NAME)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (500, "The hub refused hf:some/model with status 500; try again later."),
        (403, "The hub refused hf:some/model with status 403; try again later."),
    ],
)
def test_a_refusal_is_a_sentence(status, sentence, hub, files):
    hub.repositories["some/model"], hub.status = files, status
    with pytest.raises(HubError) as found:
        list(download(Download(backbone=NAME)))
    assert str(found.value) == sentence


def test_a_model_that_is_not_there_or_too_large_or_no_safetensors_is_a_sentence(hub, files, monkeypatch):
    with pytest.raises(HubError, match=r"The hub has no model hf:some/model, or it is not public\."):
        list(download(Download(backbone=NAME)))
    hub.repositories["some/model"] = {"config.json": b"{}", "pytorch_model.bin": b"a pickle"}
    with pytest.raises(HubError, match=r"hf:some/model has no model\.safetensors on the hub"):
        list(download(Download(backbone=NAME)))
    hub.repositories["some/model"] = {**files, "model.safetensors": bytes(1_600_000)}
    monkeypatch.setenv("REPLORA_MAX_DOWNLOAD_MB", "1")
    with pytest.raises(HubError, match=r"hf:some/model has 2 MB; at most 1 MB are downloaded\."):
        list(download(Download(backbone=NAME)))


def test_what_a_server_does_not_download_it_does_not_ask_for(hub, monkeypatch):
    monkeypatch.setenv("REPLORA_DOWNLOADS", "off")
    with pytest.raises(HubError, match=r"This server downloads no models"):
        list(download(Download(backbone=NAME)))
    monkeypatch.setenv("REPLORA_DOWNLOADS", "suggested")
    with pytest.raises(HubError, match=r"This server downloads only the models of the list, got hf:some/model\."):
        list(download(Download(backbone=NAME)))
    Downloads.from_environment().check(next(iter(HUB)))
    monkeypatch.setenv("REPLORA_DOWNLOADS", "perhaps")
    with pytest.raises(SpecError, match=r"REPLORA_DOWNLOADS must be one of on, suggested, off, got 'perhaps'\."):
        list(download(Download(backbone=NAME)))
    assert hub.asked == []


def test_specs_and_lines(hub, files, tmp_path: Path):
    for event in (Downloading(1, 2, 0.5), Downloaded(2, 1.0)):
        assert from_line(to_line(event)) == event
    for line in ("", "[]", "{}", '{"event": "party"}', '{"event": "downloaded", "total": 1}'):
        with pytest.raises(EventError, match="Not an event of a download"):
            from_line(line)
    with pytest.raises(SpecError, match=r"patience must be a number from 0\.1 to 600, got 0\."):
        Download(patience=0.0)
    with pytest.raises(HubError, match="A model of the hub is named"):
        Download(backbone="local:/etc")
    hub.repositories["some/model"] = files
    lines = list(download_lines(Download(backbone=NAME).to_dict(), lambda: None, tmp_path / "job"))
    assert isinstance(from_line(lines[-1]), Downloaded)
    assert not (tmp_path / "job").exists()
