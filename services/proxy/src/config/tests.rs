//! The names that deployments know are read, and the file is held to its form.

use super::{Config, FileSettings, read_address};
use secrecy::ExposeSecret;
use service::config::{Environment, File, Flags, Reader};

fn read(pairs: &[(&str, &str)]) -> Config {
    let mut reader = Reader::new(Flags::default(), Environment::from_pairs(pairs.iter().copied()), File::default());
    Config::read(&mut reader).unwrap()
}

#[test]
fn one_backend_comes_from_the_environment() {
    let config = read(&[
        ("BACKEND_KIND", "vllm"),
        ("BACKEND_BASE_URL", "http://vllm:8001/v1"),
        ("BACKEND_API_KEY", "hush-hush"),
        ("MODEL_NAME", "qwen"),
        ("API_KEYS", "a, b"),
        ("RATE_LIMIT_ENABLED", "true"),
        ("RATE_LIMIT_RPM", "5"),
        ("RATE_LIMIT_BURST", "3"),
    ]);
    let backend = &config.backends[0];
    assert_eq!((backend.kind.as_str(), backend.base_url.as_str()), ("vllm", "http://vllm:8001/v1"));
    assert_eq!(backend.api_key.as_ref().unwrap().expose_secret(), "hush-hush");
    assert_eq!(config.default_model.as_deref(), Some("qwen"));
    assert_eq!(config.api_keys.iter().map(ExposeSecret::expose_secret).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((config.rate.enabled, config.rate.per_minute, config.rate.burst), (true, 5, 3));
    assert!(!format!("{config:?}").contains("hush"));
}

#[test]
fn the_names_of_the_runs_gateway_name_a_backend_too() {
    let config =
        read(&[("OPENAI_COMPATIBLE_BASE_URL", "http://localhost:1234/v1"), ("OPENAI_COMPATIBLE_API_KEY", "k")]);
    assert_eq!(
        (config.backends[0].kind.as_str(), config.backends[0].base_url.as_str()),
        ("openai", "http://localhost:1234/v1")
    );
    assert!(config.backends[0].api_key.is_some());
    assert!(read(&[]).backends.is_empty());
}

#[test]
fn what_may_be_stored_is_what_the_proxy_knows() {
    use crate::backends::{ALL, Capability, DisconnectRule, OnDisconnect};
    use domain::control::BACKEND_KINDS;
    use domain::models::{ABORTERS, CAPABILITIES, DISCONNECT_RULES, SLEEPERS};
    let named = |picked: fn(&crate::backends::Kind) -> bool| {
        ALL.into_iter().filter(|kind| picked(kind)).map(|kind| kind.name).collect::<Vec<_>>()
    };
    assert_eq!(named(|_| true), BACKEND_KINDS);
    assert_eq!(named(|kind| kind.sleep.is_some()), SLEEPERS);
    assert_eq!(named(|kind| matches!(kind.on_disconnect, OnDisconnect::Abort(_))), ABORTERS);
    assert_eq!(serde_json::json!(Capability::ALL), serde_json::json!(CAPABILITIES));
    for word in DISCONNECT_RULES {
        let known: DisconnectRule = serde_json::from_value(word.into()).unwrap();
        assert_eq!(serde_json::to_value(known).unwrap(), word);
    }
}

#[test]
fn the_address_is_on_this_machine_unless_it_is_said_otherwise() {
    let address = |pairs: &[(&str, &str)]| {
        let environment = Environment::from_pairs(pairs.iter().copied());
        read_address(&mut Reader::new(Flags::default(), environment, File::default()))
    };
    assert_eq!(address(&[]).unwrap().to_string(), "127.0.0.1:8000");
    assert_eq!(address(&[("GANTRY_PROXY_HOST", "::"), ("GANTRY_PROXY_PORT", "9")]).unwrap().to_string(), "[::]:9");
    assert!(address(&[("GANTRY_PROXY_HOST", "not an address")]).is_err());
}

#[test]
fn a_file_adds_to_the_environment_and_its_secrets_may_lie_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let (file, secret) = (folder.path().join("proxy.toml"), folder.path().join("key"));
    std::fs::write(&secret, "hush\n").unwrap();
    let text = format!(
        "default_model = \"chat\"\n[[backend]]\nname = \"b\"\nkind = \"sglang\"\nbase_url = \"http://b/v1\"\napi_key_file = \"{}\"\ncapabilities = [\"chat\", \"messages\"]\n[[model]]\nname = \"chat\"\nreplicas = [{{ backend = \"b\", weight = 2 }}]\n",
        secret.display()
    );
    std::fs::write(&file, text).unwrap();
    let config = FileSettings::read(&file).unwrap().merged_into(&read(&[("BACKEND_BASE_URL", "http://a/v1")]));
    assert_eq!(config.backends.iter().map(|backend| backend.name.as_str()).collect::<Vec<_>>(), ["openai", "b"]);
    assert_eq!(config.backends[1].api_key.as_ref().unwrap().expose_secret(), "hush");
    assert_eq!((config.default_model.as_deref(), config.models[0].replicas[0].weight), (Some("chat"), Some(2)));

    std::fs::write(&file, "[[backend]]\nname = \"b\"\nkind = \"vllm\"\nbase_url = \"x\"\nconcurency = 4\n").unwrap();
    let error = FileSettings::read(&file).unwrap_err().to_string();
    assert!(error.contains("concurency"), "{error}");
}

#[test]
fn the_example_file_is_taken_and_shows_every_setting_there_is() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/proxy.toml");
    let config = FileSettings::read(path.as_ref()).unwrap().merged_into(&Config::default());
    crate::Proxy::new(config).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let fields = include_str!("file.rs").lines().filter_map(|line| {
        let (name, kind) = line.strip_prefix("    ")?.split_once(": ")?;
        let is_field = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') && kind.ends_with(',');
        (is_field && !line.contains(" one.") && !line.contains("None")).then(|| name.to_owned())
    });
    let fields: Vec<String> = fields.collect();
    assert!(fields.len() > 20, "{fields:?}");
    for name in fields.iter().filter(|name| !["path", "reason", "api_key"].contains(&name.as_str())) {
        assert!(text.contains(name.as_str()), "'{name}' is not in {path}");
    }
}
