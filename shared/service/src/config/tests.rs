//! Laws of reading settings.

use super::*;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn environment(pairs: &[(&str, &str)]) -> Environment {
    Environment::from_pairs(pairs.iter().copied())
}

fn reader(pairs: &[(&str, &str)]) -> Reader {
    Reader::new(Flags::default(), environment(pairs), File::default())
}

fn file(text: &str) -> File {
    File::parse(Path::new("gantry.toml"), text).unwrap()
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
    let mut flags = Flags::default();
    flags.set("GANTRY_A", "--a", Some(1));
    let pairs = environment(&[("GANTRY_A", "2"), ("GANTRY_B", "2")]);
    let mut reader = Reader::new(flags, pairs, file("a = 3\nb = 3\nc = 3"));
    for (name, expected) in [("GANTRY_A", 1), ("GANTRY_B", 2), ("GANTRY_C", 3), ("GANTRY_D", 4)] {
        assert_eq!(reader.value::<u16>(name).default(4), Ok(expected), "{name}");
    }
    let settings = reader.finish().unwrap();
    let sources: Vec<String> = settings.entries.iter().map(|entry| entry.source.to_string()).collect();
    assert_eq!(sources, ["--a", "GANTRY_B", "gantry.toml", "default"]);
}

#[test]
fn the_native_name_beats_an_alias_and_an_alias_beats_its_older_twin() {
    let all = [("GANTRY_PORT", "1"), ("ABSTRACTGATEWAY_PORT", "2"), ("ABSTRACTFLOW_GATEWAY_PORT", "3")];
    for (skipped, expected) in [(0, 1), (1, 2), (2, 3)] {
        let value = reader(&all[skipped..]).value("GANTRY_PORT").alias("ABSTRACTGATEWAY_PORT").default(0_u16);
        assert_eq!(value, Ok(expected));
    }
}

#[test]
fn an_unusable_number_is_an_error_that_names_the_variable_and_what_it_accepts() {
    let mut reader = reader(&[("ABSTRACTGATEWAY_PORT", "http")]);
    let error = reader.value("GANTRY_PORT").alias("ABSTRACTGATEWAY_PORT").default(8080_u16).unwrap_err();
    assert_eq!(
        error.to_string(),
        "GANTRY_PORT (from ABSTRACTGATEWAY_PORT) is 'http': expected a whole number from 0 to 65535"
    );
}

#[test]
fn a_number_out_of_bounds_is_refused_with_the_bounds() {
    let error = reader(&[("GANTRY_SHARDS", "0")]).value("GANTRY_SHARDS").within(1..=64).default(4_u16).unwrap_err();
    assert!(error.to_string().ends_with("is '0': expected a number from 1 to 64"), "{error}");
}

#[test]
fn a_choice_takes_its_words_in_any_case_and_lists_them_when_refused() {
    let choices = [("safe", 1), ("fast", 2)];
    let mut reader = reader(&[("GANTRY_A", "FAST"), ("GANTRY_B", "quick")]);
    assert_eq!(reader.choice("GANTRY_A", &choices).default(1), Ok(2));
    let error = reader.choice("GANTRY_B", &choices).default(1).unwrap_err();
    assert!(error.to_string().ends_with("'quick': expected one of safe, fast"), "{error}");
    assert_eq!(reader.choice("GANTRY_C", &choices).default(1), Ok(1));
}

#[test]
fn a_default_choice_is_shown_by_its_word() {
    let mut reader = reader(&[]);
    assert_eq!(reader.choice("GANTRY_C", &[("safe", 1), ("fast", 2)]).default(2), Ok(2));
    assert_eq!(reader.finish().unwrap().entries[0].value, "fast");
}

#[test]
fn no_secret_is_ever_shown() {
    let mut reader = reader(&[
        ("GANTRY_KEY", "hunter2"),
        ("GANTRY_TOKEN", "hunter2, hunter3"),
        ("ABSTRACTGATEWAY_AUTH_TOKENS", "hunter4"),
        ("GANTRY_NATS_URL", "nats://me:hunter2@broker:4222"),
    ]);
    let key: SecretString = reader.value("GANTRY_KEY").required().unwrap();
    assert_eq!(key.expose_secret(), "hunter2");
    let tokens = reader.secrets("GANTRY_TOKEN").alias("ABSTRACTGATEWAY_AUTH_TOKENS").all();
    let texts: Vec<&str> = tokens.iter().map(|token| token.expose_secret()).collect();
    assert_eq!(texts, ["hunter2", "hunter3", "hunter4"]);
    let url: String = reader.value("GANTRY_NATS_URL").required().unwrap();
    assert_eq!(url, "nats://me:hunter2@broker:4222");
    let shown = serde_json::to_string(&reader.finish().unwrap()).unwrap();
    assert!(!shown.contains("hunter"), "{shown}");
    assert!(shown.contains("nats://[redacted]@broker:4222"), "{shown}");
}

#[test]
fn a_refused_url_does_not_show_its_password() {
    let mut reader = reader(&[("GANTRY_URL", "nats://me:hunter2@broker")]);
    let error = reader.value("GANTRY_URL").check("an http URL", |url: &String| url.starts_with("http")).required();
    assert!(!error.unwrap_err().to_string().contains("hunter2"));
}

#[test]
fn an_unknown_variable_is_an_error_that_names_the_closest_known_one() {
    let mut reader = reader(&[("GANTRY_PROT", "1")]);
    reader.value("GANTRY_PORT").default(1_u16).unwrap();
    let error = reader.finish().unwrap_err();
    assert_eq!(error.to_string(), "GANTRY_PROT is not a variable of gantry; did you mean GANTRY_PORT?");
}

#[test]
fn an_unknown_key_of_the_file_is_an_error_that_names_the_closest_known_one() {
    let mut reader = Reader::new(Flags::default(), Environment::default(), file("[nats]\nurl = 'x'\ncread = 'y'"));
    reader.value::<String>("GANTRY_NATS_URL").optional().unwrap();
    reader.value::<String>("GANTRY_NATS_CREDS").optional().unwrap();
    let error = reader.finish().unwrap_err();
    assert!(error.to_string().contains("'nats_cread' in gantry.toml"), "{error}");
    assert!(error.to_string().ends_with("did you mean nats_creds?"), "{error}");
}

#[test]
fn variables_of_the_peer_that_nothing_reads_are_listed_and_no_error() {
    let reader = reader(&[("ABSTRACTGATEWAY_TRIAGE_X", "1"), ("GANTRY_PORT_80_TCP", "tcp://x"), ("PATH", "/bin")]);
    assert_eq!(reader.finish().unwrap().ignored, ["ABSTRACTGATEWAY_TRIAGE_X"]);
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    assert_eq!(reader(&[("GANTRY_PORT", "  ")]).value("GANTRY_PORT").default(7_u16), Ok(7));
}

#[test]
fn a_missing_required_setting_is_an_error_that_names_it() {
    let error = reader(&[]).value::<PathBuf>("GANTRY_WHERE").required().unwrap_err();
    assert_eq!(error.to_string(), "GANTRY_WHERE is not set: expected a path");
}

#[test]
fn durations_take_units_and_plain_seconds() {
    for (text, millis) in [("0.25", 250), ("250ms", 250), ("10s", 10_000), ("2m", 120_000), ("1h", 3_600_000)] {
        assert_eq!(Duration::parse(text), Some(Duration::from_millis(millis)), "{text}");
    }
    for text in ["", "s", "-1", "1w", "1.2.3", "nan", "1e400"] {
        assert_eq!(Duration::parse(text), None, "{text}");
    }
}

#[test]
fn the_file_in_the_data_directory_is_found() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FILE_NAME), "origins = ['a', 'b']\n").unwrap();
    let variables = [("ABSTRACTGATEWAY_DATA_DIR", dir.path().to_str().unwrap())];
    let mut reader = Reader::open(Flags::default(), environment(&variables)).unwrap();
    assert_eq!(reader.value("GANTRY_ORIGINS").optional(), Ok(Some(vec!["a".to_owned(), "b".to_owned()])));
    reader.finish().unwrap();
}

#[test]
fn a_queues_database_path_names_the_directory_of_everything_durable() {
    for (path, directory) in [("/app/data/queue.db", "/app/data"), ("queue.db", "."), ("./d/queue.db", "./d")] {
        let mut reader = Reader::new(Flags::default(), environment(&[("QUEUE_DB_PATH", path)]), File::default());
        assert_eq!(reader.data_dir().unwrap(), Path::new(directory));
    }
    let both = [("QUEUE_DB_PATH", "/app/data/queue.db"), ("GANTRY_DATA_DIR", "/srv")];
    let mut reader = Reader::new(Flags::default(), environment(&both), File::default());
    assert_eq!(reader.data_dir().unwrap(), Path::new("/srv"), "the setting's own name comes first");
}

#[test]
fn a_named_file_that_is_missing_is_an_error() {
    let error = Reader::open(Flags::default(), environment(&[(CONFIG_FILE, "/no/such.toml")])).unwrap_err();
    assert!(error.to_string().starts_with("the configuration file /no/such.toml cannot be used"), "{error}");
}

#[test]
fn a_file_that_is_not_toml_says_where() {
    let error = File::parse(Path::new("gantry.toml"), "a = = 1").unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
}
