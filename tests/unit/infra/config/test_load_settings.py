from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from auto_insurance.infra.config import (
    DEVELOPMENT_JWT_SECRET,
    ConfigError,
    Environment,
    Settings,
    describe,
    load_settings,
    render_markdown,
)
from auto_insurance.infra.config.tree import LEAVES

GOOD_SECRET = "k3Zb8q" * 8
PRODUCTION = {"ENVIRONMENT": "production", "JWT_SECRET_KEY": GOOD_SECRET}


def problems(env: dict[str, str], folder: Path, **overrides: object) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        load_settings(env, folder, overrides)
    assert all(str(problem) in str(caught.value) for problem in caught.value.problems)
    return {problem.name: problem.message for problem in caught.value.problems}


def test_the_names_and_defaults_that_users_know(tmp_path: Path) -> None:
    shown = {row.name: row.value for row in describe(load_settings({}, tmp_path))}
    expected = {
        "ENVIRONMENT": "development",
        "DEBUG": "false",
        "DATABASE_URL": "",
        "DB_POOL_SIZE": "10",
        "DB_MAX_OVERFLOW": "20",
        "DB_ECHO": "false",
        "REDIS_URL": "",
        "REDIS_MAX_CONNECTIONS": "50",
        "EVENT_LOG": "postgres",
        "KAFKA_BOOTSTRAP_SERVERS": "",
        "KAFKA_CONSUMER_GROUP": "telematics-consumers-v2",
        "KAFKA_NUM_CONSUMERS": "1",
        "JWT_SECRET_KEY": "********",
        "JWT_ALGORITHM": "HS256",
        "JWT_EXPIRE_MINUTES": "1440",
        "CACHE_TTL_DEFAULT": "300",
        "CACHE_TTL_RISK_SCORE": "3600",
        "ML_BATCH_SIZE": "32",
        "ENABLE_METRICS": "true",
        "METRICS_PORT": "9090",
        "HOST": "127.0.0.1",
        "PORT": "8000",
        "DEMO_MODE": "false",
        "DATA_DIR": ".data",
    }
    assert expected.items() <= shown.items()


def test_the_environment_wins_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    (tmp_path / ".env.development").write_text("DB_POOL_SIZE=7\nPORT=9001\nDB_ECHO=\n", encoding="utf-8")
    settings = load_settings({"AUTO_INSURANCE_DB_POOL_SIZE": "8"}, tmp_path, {"ML_BATCH_SIZE": 5})
    assert (settings.database.pool_size, settings.server.port, settings.ml.batch_size) == (8, 9001, 5)
    sources = {row.name: row.source for row in describe(settings)}
    assert sources["DB_POOL_SIZE"] == "environment (AUTO_INSURANCE_DB_POOL_SIZE)"
    assert sources["PORT"] == ".env.development"
    assert sources["ML_BATCH_SIZE"] == "code"
    assert sources["DB_ECHO"] == "default", "an empty value counts as not given"


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_MAX_CONNECTIONS", "11")
    assert load_settings().redis.max_connections == 11


def test_production_has_bigger_pools(tmp_path: Path) -> None:
    settings = load_settings(PRODUCTION, tmp_path)
    assert (settings.database.pool_size, settings.database.max_overflow) == (20, 40)
    assert settings.is_production
    assert {row.source for row in describe(settings) if row.name == "DB_POOL_SIZE"} == {"default (production)"}
    assert load_settings({**PRODUCTION, "DB_POOL_SIZE": "3"}, tmp_path).database.pool_size == 3


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    found = problems(
        {
            "ENVIRONMENT": "production",
            "DEBUG": "yes",
            "DB_POOL_SIZE": "ten",
            "PORT": "70000",
            "EVENT_LOG": "kafka",
            "AUTO_INSURANCE_DB_POOL_SZE": "5",
            "DEMO_MODE": "1",
            "DB_ECHO": "true",
        },
        tmp_path,
    )
    assert set(found) == {
        "DEBUG",
        "DB_POOL_SIZE",
        "PORT",
        "KAFKA_BOOTSTRAP_SERVERS",
        "AUTO_INSURANCE_DB_POOL_SZE",
        "DEMO_MODE",
        "DB_ECHO",
        "JWT_SECRET_KEY",
    }
    assert "did you mean DB_POOL_SIZE?" in found["AUTO_INSURANCE_DB_POOL_SZE"]
    assert found["DB_POOL_SIZE"] == (
        "'ten' from environment: input should be a valid integer, unable to parse string as an integer"
    )


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        ("", "refuses the development default"),
        (DEVELOPMENT_JWT_SECRET, "refuses the development default"),
        ("hunter2", "shorter than 32 bytes"),
        ("CHANGE_ME" * 5, "placeholder"),
    ],
)
@pytest.mark.parametrize("environment", ["production", "staging"])
def test_weak_secrets_are_refused_where_it_counts(tmp_path: Path, environment: str, secret: str, says: str) -> None:
    found = problems({"ENVIRONMENT": environment, "JWT_SECRET_KEY": secret}, tmp_path)
    assert list(found) == ["JWT_SECRET_KEY"]
    assert says in found["JWT_SECRET_KEY"]
    assert not secret or secret not in found["JWT_SECRET_KEY"]


def test_placeholder_passwords_in_addresses_are_refused(tmp_path: Path) -> None:
    found = problems(
        {**PRODUCTION, "DATABASE_URL": "postgresql://u:CHANGE_ME@h/d", "REDIS_URL": "redis://:change-me@[bad"}, tmp_path
    )
    assert "placeholder" in found["DATABASE_URL"]


def test_addresses_must_name_the_right_engine_and_are_not_shown(tmp_path: Path) -> None:
    found = problems({"DATABASE_URL": "mysql://root:hunter2@h/d", "REDIS_URL": "localhost:6379"}, tmp_path)
    assert "postgresql://" in found["DATABASE_URL"]
    assert "redis://" in found["REDIS_URL"]
    assert "hunter2" not in str(found)


def test_a_frozen_consumer_loses_its_transaction_before_its_partitions(tmp_path: Path) -> None:
    found = problems({"KAFKA_SESSION_TIMEOUT_S": "15", "DB_IDLE_IN_TRANSACTION_TIMEOUT_S": "15"}, tmp_path)
    assert "above DB_IDLE_IN_TRANSACTION_TIMEOUT_S" in found["KAFKA_SESSION_TIMEOUT_S"]


def test_mail_and_identity_provider_must_fit(tmp_path: Path) -> None:
    found = problems(
        {
            **PRODUCTION,
            "SMTP_USERNAME": "mailer",
            "SMTP_TLS": "none",
            "OIDC_ISSUER": "http://idp.example",
            "OIDC_ROLE_MAP": "bosses=admin,machines=service",
        },
        tmp_path,
    )
    assert {"SMTP_HOST", "SMTP_PASSWORD", "SMTP_TLS", "OIDC_CLIENT_ID", "OIDC_ISSUER", "OIDC_ROLE_MAP"} <= found.keys()
    assert "must be group=role" in found["OIDC_ROLE_MAP"]
    assert "https://" in found["OIDC_ISSUER"]


def test_a_wrong_environment_is_named(tmp_path: Path) -> None:
    assert "'prod' from environment" in problems({"ENVIRONMENT": "prod"}, tmp_path)["ENVIRONMENT"]


class TestSecretFiles:
    def test_a_mounted_secret_is_read_without_its_line_end(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text(f"{GOOD_SECRET}\n", encoding="utf-8")
        settings = load_settings({"ENVIRONMENT": "production", "JWT_SECRET_KEY_FILE": "key"}, tmp_path)
        assert settings.jwt.secret_key == SecretStr(GOOD_SECRET)
        assert settings.sources["JWT_SECRET_KEY"] == f"file {tmp_path / 'key'}"

    def test_both_forms_at_once_are_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text(GOOD_SECRET, encoding="utf-8")
        found = problems({"JWT_SECRET_KEY": GOOD_SECRET, "JWT_SECRET_KEY_FILE": str(tmp_path / "key")}, tmp_path)
        assert "more than once" in found["JWT_SECRET_KEY"]

    @pytest.mark.parametrize(
        ("content", "says"), [(None, "No such file"), (b"", "empty"), (b"\xff\xfe\x00", "not text")]
    )
    def test_a_bad_file_is_named(self, tmp_path: Path, content: bytes | None, says: str) -> None:
        if content is not None:
            (tmp_path / "key").write_bytes(content)
        assert says in problems({"JWT_SECRET_KEY_FILE": "key"}, tmp_path)["JWT_SECRET_KEY_FILE"]

    def test_a_huge_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_bytes(b"x" * 70_000)
        assert "64 KiB" in problems({"JWT_SECRET_KEY_FILE": "key"}, tmp_path)["JWT_SECRET_KEY_FILE"]

    def test_only_secrets_have_a_file(self, tmp_path: Path) -> None:
        assert "AUTO_INSURANCE_PORT_FILE" in problems({"AUTO_INSURANCE_PORT_FILE": "x"}, tmp_path)


class TestUnknownNames:
    def test_two_spellings_that_disagree(self, tmp_path: Path) -> None:
        assert "more than once" in problems({"PORT": "1", "AUTO_INSURANCE_PORT": "2"}, tmp_path)["PORT"]
        assert load_settings({"PORT": "81", "AUTO_INSURANCE_PORT": "81"}, tmp_path).server.port == 81

    def test_the_prefix_in_small_letters(self, tmp_path: Path) -> None:
        assert "did you mean PORT?" in problems({"auto_insurance_port": "1"}, tmp_path)["auto_insurance_port"]

    def test_misspelt_names_in_our_file_stop_the_start_and_foreign_ones_do_not(self, tmp_path: Path) -> None:
        (tmp_path / ".env.development").write_text("KAFKA_NUM_CONSUMRS=3\nPOSTGRES_PASSWORD=x\n", encoding="utf-8")
        found = problems({}, tmp_path)
        assert list(found) == ["KAFKA_NUM_CONSUMRS"]
        assert "did you mean KAFKA_NUM_CONSUMERS?" in found["KAFKA_NUM_CONSUMRS"]

    def test_misspelt_names_in_the_environment_are_warned_of(self, tmp_path: Path) -> None:
        settings = load_settings({"KAFKA_NUM_CONSUMRS": "3", "PATH": "/bin", "LANG": "C"}, tmp_path)
        assert len(settings.warnings) == 1
        assert "KAFKA_NUM_CONSUMERS" in settings.warnings[0]

    def test_overrides_are_checked_too(self, tmp_path: Path) -> None:
        assert "did you mean PORT?" in problems({}, tmp_path, PORTT=1)["PORTT"]

    def test_the_file_may_not_name_another_environment(self, tmp_path: Path) -> None:
        (tmp_path / ".env.development").write_text("ENVIRONMENT=production\n", encoding="utf-8")
        assert "ENVIRONMENT" in problems({}, tmp_path)

    def test_a_file_that_is_no_text(self, tmp_path: Path) -> None:
        (tmp_path / ".env.development").write_bytes(b"\xff\xfe\x00=1")
        assert "can't be read" in problems({}, tmp_path)[".env.development"]


def test_secrets_never_show(tmp_path: Path) -> None:
    settings = load_settings(
        {
            "JWT_SECRET_KEY": GOOD_SECRET,
            "DATABASE_URL": "postgresql://app:hunter2@db:5432/insurance?password=hunter2",
            "REDIS_URL": "redis://cache:6379/0",
        },
        tmp_path,
    )
    shown = {row.name: row.value for row in describe(settings)}
    assert shown["DATABASE_URL"] == "postgresql://app:********@db:5432/insurance"
    assert shown["REDIS_URL"] == "redis://cache:6379/0"
    assert shown["JWT_SECRET_KEY"] == "********"
    assert "hunter2" not in repr(settings)
    assert GOOD_SECRET not in repr(settings)


@pytest.mark.parametrize("url", ["unix:///run/redis.sock", "redis://h:notaport/0"])
def test_odd_addresses_are_masked_whole(tmp_path: Path, url: str) -> None:
    shown = {row.name: row.value for row in describe(load_settings({"REDIS_URL": url}, tmp_path))}
    assert shown["REDIS_URL"] == "********"


def test_settings_are_frozen_and_ignore_stray_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE", '{"pool_size": 3}')
    settings = load_settings({}, tmp_path)
    assert settings.database.pool_size == 10
    with pytest.raises(ValueError, match="frozen"):
        settings.debug = True  # type: ignore[misc]


def test_the_shipped_files_load() -> None:
    root = Path(__file__).parents[4]
    settings = load_settings({}, root)
    assert settings.environment is Environment.DEVELOPMENT
    assert settings.debug
    example = (root / ".env.production.example").read_text(encoding="utf-8")
    names = {line.partition("=")[0] for line in example.splitlines() if line and not line.startswith("#")}
    assert names <= {leaf.env for leaf in LEAVES}


def test_the_production_example_is_refused_until_it_is_filled_in(tmp_path: Path) -> None:
    example = (Path(__file__).parents[4] / ".env.production.example").read_text(encoding="utf-8")
    (tmp_path / ".env.production").write_text(example, encoding="utf-8")
    assert set(problems({"ENVIRONMENT": "production"}, tmp_path)) == {"DATABASE_URL", "REDIS_URL", "JWT_SECRET_KEY"}
    (tmp_path / ".env.production").write_text(example.replace("CHANGE_ME", GOOD_SECRET), encoding="utf-8")
    assert load_settings({"ENVIRONMENT": "production"}, tmp_path).is_production


def test_the_reference_page_names_every_setting_and_no_secret() -> None:
    page = render_markdown()
    assert all(f"`{leaf.env}`" in page for leaf in LEAVES)
    assert DEVELOPMENT_JWT_SECRET not in page
    assert "10 (production 20)" in page
    assert "`postgres`, `kafka`" in page


def test_every_setting_has_a_name_of_its_own_and_a_meaning() -> None:
    assert len({leaf.env for leaf in LEAVES}) == len(LEAVES)
    assert all(leaf.field.description and leaf.theme for leaf in LEAVES)
    assert isinstance(Settings().jwt.secret_key, SecretStr)
