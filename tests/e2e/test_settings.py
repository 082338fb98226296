"""Flags, environment and files of settings."""

import pytest

from support.assay import Assay, run_assay


@pytest.fixture
def serve(assay) -> Assay:
    return assay("serve")


def test_flags_environment_and_file_are_checked(tmp_path):
    data = str(tmp_path / "data")
    unknown_flag = run_assay("serve", "--data", data, "--no-such-flag")
    assert unknown_flag.returncode == 2 and "no-such-flag" in unknown_flag.stderr
    assert run_assay("serve", "--data", data, "--park-max", "soon").returncode == 2
    assert run_assay("no-such-command").returncode == 2
    missing = run_assay("serve", "--data", data, "--config", str(tmp_path / "none.toml"))
    assert missing.returncode == 2 and "none.toml" in missing.stderr
    for wrong in (
        ("--listen", "nowhere"),
        ("--in-flight-max", "1KB"),
        ("--requests-max", "0"),
        ("--queue-max", "0"),
        ("--body-max", "0"),
        ("--in-flight-max", "-1"),
        ("--cache", "-64MB"),
        ("--disk-reserve", "2000TB"),
        ("--write-buffers", "1.5XB"),
        ("--connections-max", "99999999999999999999"),
        ("--connections-per-address", "-1"),
        ("--chat-max", "0s"),
        ("--answer-max", "0"),
        ("--answer-max", "10GB"),
        ("--answer-max", "1MB", "--in-flight-max", "1MB"),
        ("--heartbeat", "0s"),
        ("--capability-ttl", "0s"),
        ("--allowed-host", "http://x"),
        ("--allowed-host", "x/y"),
        ("--park-max", "300y"),
        ("--park-max", "36501d"),
        ("--listen", "app.example:8080"),
        ("--write-buffers", "0"),
        ("--redact-in", "feedback"),
        ("--forwarded-header", "forwarded"),
        ("--insecure-no-auth", "--anonymous", "chat"),
        ("--cors-origin", "https://u@app.example"),
        ("--mlflow-url", "http://127.0.0.1:1/#/experiments/0"),
        ("--mlflow-url", "http://127.0.0.1:1/?o=1"),
        ("--model-url", "http://127.0.0.1:1/v1#top"),
    ):
        for check in ((), ("--check",)):
            refused = run_assay("serve", "--data", data, *wrong, *check)
            assert refused.returncode == 2 and wrong[0] in refused.stderr, refused
    for flag in ("--mlflow-url", "--model-url"):
        refused = run_assay("serve", "--data", data, flag, "http://bob:s3cret@127.0.0.1:1")
        assert refused.returncode == 2 and flag in refused.stderr and "s3cret" not in refused.stderr + refused.stdout

    not_pem, not_there = tmp_path / "file", str(tmp_path / "nofile")
    not_pem.write_text("hello")
    for wrong in (
        ("--tls-cert", not_there, "--tls-key", not_there),
        ("--tls-cert", str(not_pem), "--tls-key", str(not_pem)),
        ("--mlflow-ca-file", not_there),
        ("--model-ca-file", str(not_pem)),
        ("--keys", str(not_pem)),
        ("--capability-keys", not_there),
        ("--data", str(not_pem)),
        ("--data", str(not_pem / "below")),
    ):
        refused = run_assay("serve", *(() if wrong[0] == "--data" else ("--data", data)), *wrong, "--check")
        path = str(not_pem) if wrong[0] == "--data" else wrong[1]
        assert refused.returncode == 2 and wrong[0] in refused.stderr and path in refused.stderr, refused

    config = tmp_path / "assay.toml"
    config.write_text('park-max = "7h"\nno-such-key = 1\n')
    unknown_key = run_assay("serve", "--data", data, "--config", str(config))
    assert unknown_key.returncode == 2 and "no-such-key" in unknown_key.stderr

    no_file = run_assay("serve", "--data", data, "--config", str(tmp_path))
    assert no_file.returncode == 2 and "it is no file" in no_file.stderr, no_file

    config.write_text('park-max = "7h"\nlisten = "127.0.0.1:1"\n')
    checked = run_assay("serve", "--data", data, "--config", str(config), "--check", env={"ASSAY_LISTEN": "127.0.0.1:2"})
    assert checked.returncode == 0, checked.stderr
    assert "7h" in checked.stdout and "127.0.0.1:2" in checked.stdout and "127.0.0.1:1\"" not in checked.stdout
    assert not (tmp_path / "data").exists(), "--check runs nothing"


def test_what_check_prints_is_a_config(tmp_path):
    settings = ("--data", str(tmp_path / "it's"), "--anonymous", "chat,feedback", "--redact-pattern", r"order=[A-Z]\d+\"", "--redact-pattern", r"it's=#\d+", "--drain-delay", "5s")
    printed = run_assay("serve", *settings, "--check")
    assert printed.returncode == 0, printed.stderr
    config = tmp_path / "assay.toml"
    config.write_text(printed.stdout)
    again = run_assay("serve", "--config", str(config), "--check")
    assert again.returncode == 0 and again.stdout == printed.stdout, again.stderr
    assert 'anonymous = ["chat", "feedback"]' in printed.stdout and 'drain-delay = "5s"' in printed.stdout


def test_a_file_is_toml(tmp_path):
    config = tmp_path / "assay.toml"
    config.write_text(f'data = "{tmp_path}/data"\nanonymous = [\n  "chat",  # who has no key\n  "feedback",\n]\nredact-pattern = ["ID=ID-\\\\d+", \'no=#\\d\']\nmodel = "\\u0041b"\n')
    printed = run_assay("serve", "--config", str(config), "--check")
    assert printed.returncode == 0, printed
    for line in ('anonymous = ["chat", "feedback"]', r"redact-pattern = ['ID=ID-\d+', 'no=#\d']", 'model = "Ab"'):
        assert line in printed.stdout, printed.stdout


def test_a_variable_of_a_flag_that_is_repeated_has_one_value_a_line(tmp_path):
    """A value may hold commas and whatever else; names with commas between them stay one list."""
    env = {"ASSAY_REDACT_PATTERN": "order=[A-Z],[0-9]{4,8}\n\n  case=C;\\d+\n", "ASSAY_ANONYMOUS": "chat,feedback", "ASSAY_REDACT": "email\nphone", "ASSAY_ALLOWED_HOST": "a.example\nb.example,c.example"}
    printed = run_assay("serve", "--data", str(tmp_path / "data"), "--check", env=env)
    assert printed.returncode == 0, printed.stderr
    assert r"""redact-pattern = ["order=[A-Z],[0-9]{4,8}", 'case=C;\d+']""" in printed.stdout, printed.stdout
    assert 'anonymous = ["chat", "feedback"]' in printed.stdout and 'redact = ["email", "phone"]' in printed.stdout
    assert 'allowed-host = ["a.example", "b.example", "c.example"]' in printed.stdout, printed.stdout
    env = {"ASSAY_KAFKA_PROPERTY": "client.id=a,b\nclient.rack=/etc/ca"}
    printed = run_assay("worker", "--kafka", "127.0.0.1:1", "--data", str(tmp_path / "data"), "--check", env=env)
    assert 'kafka-property = ["client.id=a,b", "client.rack=/etc/ca"]' in printed.stdout, printed


def test_what_librdkafka_alone_knows_is_refused_before_the_start(tmp_path):
    """A start that can't succeed is exit 2, which a service manager does not repeat, and --check finds it."""
    not_there, not_pem = tmp_path / "none.pem", tmp_path / "file.pem"
    not_pem.write_text("hello")
    for words, *properties in (
        (f"ssl.ca.location: {not_there} can't be read", f"ssl.ca.location={not_there}"),
        ("ssl.ca.location", "security.protocol=ssl", f"ssl.ca.location={not_pem}"),
        ("retries", "retries=0"),
    ):
        given = [argument for property in properties for argument in ("--kafka-property", property)]
        for command, check in (("worker", True), ("worker", False), ("ingest", False), ("topics", False)):
            arguments = ["check"] if command == "topics" else ["--data", str(tmp_path / "data")]
            refused = run_assay(command, *arguments, "--kafka", "127.0.0.1:1", *given, *(["--check"] if check else []))
            assert refused.returncode == 2 and words in refused.stderr, refused
    for flag, value, words in (("--kafka-properties", str(tmp_path), "can't be read"), ("--kafka-wait", "8d", "more than 7d"), ("--admin-listen", "worker-1:9108", "ADDRESS:PORT")):
        refused = run_assay("worker", "--kafka", "127.0.0.1:1", "--data", str(tmp_path / "data"), flag, value, "--check")
        assert refused.returncode == 2 and flag in refused.stderr and words in refused.stderr, refused
    refused = run_assay("worker", "--kafka", "127.0.0.1:1", "--data", "", "--check")
    assert refused.returncode == 2 and "--data: it is empty" in refused.stderr, refused


def test_sizes_are_read_with_and_without_a_unit(tmp_path):
    for given, bytes_ in (("65536", 65536), ("64KB", 65536), ("64k", 65536), ("64 KiB", 65536), ("1mb", 1 << 20)):
        printed = run_assay("serve", "--data", str(tmp_path / "data"), "--body-max", given, "--check")
        assert f"body-max = {bytes_}\n" in printed.stdout, (given, printed)


def test_a_variable_that_is_no_setting_is_said(tmp_path):
    for name, unknown in (("ASSAY_DISK_RESERV", True), ("ASSAY_DISK_RESERVE", False), ("ASSAY_COMMIT_INTERVAL", False), ("ASSAY_MODEL_API_KEY", False)):
        value = "64MB" if "DISK" in name else "50ms"
        ran = run_assay("serve", "--data", str(tmp_path / "data"), "--check", env={name: value})
        said = f'event=settings_of_no_command variables="{name}"' in ran.stderr
        assert ran.returncode == 0 and said == unknown, (name, ran.stderr)


def test_one_config_serves_all_commands(serve, tmp_path):
    """A key that is another command's is passed over; one that is nobody's, or stands in a section, is a usage error."""
    config = tmp_path / "assay.toml"
    config.write_text(f'data = "{serve.data}"\nlisten = "127.0.0.1:0"\npark-max = "7h"\ncommit-interval = "50ms"\n')
    for tool in (("verify",), ("report",), ("deadletters", "list")):
        ran = run_assay(*tool, "--config", str(config))
        assert ran.returncode == 0 and "other_commands" not in ran.stderr, (tool, ran.stderr)
    process = run_assay("serve", "--config", str(config), "--check")
    assert process.returncode == 0 and "settings_of_other_commands keys=commit-interval" in process.stderr + process.stdout, process
    # A view's store and the topics are kept for different times: of one file, or one environment, each takes its own.
    config.write_text('retention = "1h"\n')
    for given in ((("--config", str(config)), {}), ((), {"ASSAY_RETENTION": "1h"})):
        planned = run_assay("topics", "create", "--kafka", "127.0.0.1:1", *given[0], "--check", env=given[1])
        assert planned.returncode == 0 and 'log-retention = "7d"' in planned.stdout and not planned.stderr, planned
    old_name = run_assay("topics", "create", "--kafka", "127.0.0.1:1", "--retention", "1h", "--check")
    assert old_name.returncode == 2 and "--log-retention" in old_name.stderr, old_name
    old_name = run_assay("topics", "create", "--kafka", "127.0.0.1:1", "--retention", "8d", "--check")
    assert old_name.returncode == 0 and 'log-retention = "8d"' in old_name.stdout, old_name
    both = ("--log-retention", "30d", "--retention", "8d")
    for given, env in ((both, {}), (both[2:] + both[:2], {}), (both[2:], {"ASSAY_LOG_RETENTION": "30d"})):
        refused = run_assay("topics", "create", "--kafka", "127.0.0.1:1", *given, "--check", env=env)
        assert refused.returncode == 2 and "its old name" in refused.stderr, refused
    for wrong, words in (
        ("prak-max = 1", 'there is no setting "prak-max"'),
        ("[report]\nhours = 3", "there is no section [report]"),
        ('data = "x\n', f"{config}: line 1: data: a quote is not closed"),
        ('\ndata = "\\d"\n', f"{config}: line 2: data: \\d can't stand in double quotes"),
        ("hours = 3\nhours = 4", f"{config}: line 2: hours is set in line 1 already"),
    ):
        config.write_text(wrong)
        refused = run_assay("report", "--config", str(config))
        assert refused.returncode == 2 and words in refused.stderr, refused


def test_what_means_nothing_is_refused_by_the_tools():
    for flag, *command in (
        ("--reason", "deadletters", "purge", "a-1", "--reason", "expired"),
        ("--reason", "deadletters", "replay", "a-1", "--reason", "expired"),
        ("--reason", "deadletters", "show", "a-1", "--reason", "expired"),
        ("--all", "deadletters", "list", "--all"),
        ("--rate", "keys", "create", "app", "--scope", "read", "--rate", "0"),
        ("--experiment", "report", "--experiment", ""),
        ("takes no name", "sinks", "list", "mlflow", "--kafka", "127.0.0.1:1"),
        ("--kafka and --data", "sinks", "replay", "mlflow", "--kafka", "127.0.0.1:1", "--data", "d"),
        ("--kafka and --data", "deadletters", "list", "--kafka", "127.0.0.1:1", "--data", "d"),
        ("no brokers", "sinks", "list", "--kafka", " , ,"),
        ("--kafka", "sinks", "list", "--data", "d"),
        ("--kafka", "sinks", "replay", "mlflow"),
        ("--since", "sinks", "replay", "mlflow", "--data", "d", "--since", "1h"),
        ("--verify", "load", "--verify", "--search"),
        ("--keyed", "load", "--keyed", "--mlflow"),
        ("--early", "load", "--early", "0.5", "--no-traces"),
        ("--target", "load", "--target", "http://127.0.0.1:8080/feedback"),
        ("--target", "load", "--target", "http://127.0.0.1:8080?x=1"),
        ("--target", "load", "--target", "http://127.0.0.1:99999"),
        ('"-1" is not a number of 0 or more', "load", "--rate", "-1"),
        ('"nan" is not a number of 0 or more', "load", "--rate", "nan"),
        ("--duration", "load", "--duration", "500ms"),
        ("--verify-for", "load", "--verify-for", "500ms"),
    ):
        refused = run_assay(*command, "--check")
        assert refused.returncode == 2 and flag in refused.stderr, (command, refused)
    for taken in (("deadletters", "purge", "--all", "--reason", "expired"), ("load", "--target", "http://127.0.0.1:8080/"), ("load", "--mlflow", "--repeat", "0.1")):
        assert run_assay(*taken, "--check").returncode == 0, taken
