import json
import os
import stat

import pytest

from emotion_mlflow.errors import ConfigError
from emotion_mlflow.service import keys

NAMES = ("admin_password", "store_key", "store_users")
OWNER = "7:8"


@pytest.fixture
def files(tmp_path):
    return {name: tmp_path / "secrets" / name for name in NAMES}


def test_secrets_are_made_once_for_their_owner_alone(files):
    assert keys.ensure(files, OWNER) == list(NAMES)
    kept = {name: file.read_text() for name, file in files.items()}
    assert keys.ensure(files, OWNER) == []
    assert {name: file.read_text() for name, file in files.items()} == kept
    assert {stat.S_IMODE(file.stat().st_mode) for file in files.values()} == {0o600}
    assert stat.S_IMODE(files["store_key"].parent.stat().st_mode) == 0o700


def test_root_gives_the_files_to_the_user_of_the_containers(files):
    keys.ensure(files, OWNER)
    kept = files["store_key"].stat()
    expected = (os.geteuid(), os.getegid()) if os.geteuid() else (7, 8)
    assert (kept.st_uid, kept.st_gid) == expected


def test_every_secret_is_another_one_of_256_bits(files, tmp_path):
    keys.ensure(files, OWNER)
    again = {"admin_password": tmp_path / "other" / "admin_password"}
    keys.ensure(again, OWNER)
    made = [files["admin_password"].read_text(), files["store_key"].read_text(), again["admin_password"].read_text()]
    assert len(set(made)) == 3
    assert [len(text.strip()) for text in made] == [43, 43, 43]  # 32 bytes in base64


def test_the_store_knows_one_user_with_one_bucket(files):
    keys.ensure(files, OWNER)
    (user,) = json.loads(files["store_users"].read_text())["identities"]
    assert user["credentials"] == [{"accessKey": "mlflow", "secretKey": files["store_key"].read_text().strip()}]
    assert {action.partition(":")[2] for action in user["actions"]} == {"mlflow"}


def test_a_secret_that_others_may_read_is_refused(files):
    keys.ensure(files, OWNER)
    files["admin_password"].chmod(0o644)
    with pytest.raises(ConfigError, match=r"chmod 600.*got mode 644"):
        keys.ensure(files, OWNER)


def test_a_folder_that_others_may_enter_is_refused_and_stays_as_it_is(files):
    folder = files["store_key"].parent
    folder.mkdir(mode=0o755)
    with pytest.raises(ConfigError, match=r"chmod 700.*got mode 755 in .*secrets"):
        keys.ensure(files, OWNER)
    assert (stat.S_IMODE(folder.stat().st_mode), list(folder.iterdir())) == (0o755, [])


def test_an_empty_secret_is_refused(files):
    keys.ensure(files, OWNER)
    files["admin_password"].write_text("")
    with pytest.raises(ConfigError, match="got an empty file"):
        keys.ensure(files, OWNER)


def test_half_a_secret_is_not_left_for_a_whole_one(files, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("os.chown", full)
    with pytest.raises(OSError, match="No space left"):
        keys.ensure(files, OWNER)
    assert not any(files["store_key"].parent.iterdir())


@pytest.mark.parametrize(("user", "group", "owner"), [(1000, 1001, "1000:1001"), (0, 0, "10001:10001")])
def test_the_containers_run_as_whoever_starts_them_but_never_as_root(monkeypatch, user, group, owner):
    monkeypatch.setattr("os.geteuid", lambda: user)
    monkeypatch.setattr("os.getegid", lambda: group)
    assert keys.owner() == owner
