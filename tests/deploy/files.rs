//! Every profile, unit and manifest says what it must, in the words of the program that it starts.

use crate::compose::{Deployment, kinds, output, root};
use std::collections::BTreeSet;
use std::process::Command;

fn program() -> Command {
    let built = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("gantry");
    assert!(built.exists(), "{} is missing; build it: cargo build -p gantry", built.display());
    Command::new(built)
}

/// Every variable that the program knows.
fn known() -> BTreeSet<String> {
    let shown = output(program().env_clear().args(["config", "show", "--output", "json"]));
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let items = shown.as_array().or_else(|| shown["items"].as_array()).unwrap();
    let names = |item: &serde_json::Value| {
        let aliases = item["aliases"].as_array().cloned().unwrap_or_default();
        std::iter::once(item["name"].clone()).chain(aliases).map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let names: BTreeSet<String> = items.iter().flat_map(|item| -> Vec<String> { names(item) }).collect();
    assert!(names.len() > 50, "the settings are not read: {shown}");
    names
}

/// Words of the text that look like a variable of the program.
fn variables(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let ours = |word: &&str| word.starts_with("GANTRY_") || word.starts_with("BACKEND_");
    words.filter(ours).map(str::to_owned).collect()
}

/// The lines of one service in Compose's own output.
fn service(config: &str, name: &str) -> String {
    let services = config.split_once("services:\n").unwrap().1;
    let start = services.find(&format!("  {name}:\n")).unwrap_or_else(|| panic!("no service {name} in\n{config}"));
    let inner = services[start..].lines().skip(1).take_while(|line| line.starts_with("   "));
    inner.map(|line| format!("{line}\n")).collect()
}

#[test]
fn compose_reads_every_profile_and_its_settings_fit_the_program() {
    let known = known();
    assert_eq!(
        kinds(),
        ["control-plane", "external", "llamacpp", "localai", "none", "ollama", "sglang", "tgi", "vllm"]
    );
    for kind in kinds() {
        let deployment = Deployment::new(&kind);
        let config = output(&mut deployment.compose(&["config"]));
        let gateway = if kind == "control-plane" { "control-plane" } else { "gateway" };
        let gateway = service(&config, gateway);
        assert!(gateway.contains(&format!("- {kind}\n")), "{kind} is no profile of the gateway:\n{gateway}");
        let unknown: Vec<String> = variables(&gateway).difference(&known).cloned().collect();
        assert_eq!(unknown, Vec::<String>::new(), "{kind} gives the gateway what it does not know");
        let url = deployment.setting("BACKEND_BASE_URL").unwrap_or_default();
        let host = url.trim_start_matches("http://").split(':').next().unwrap().to_owned();
        if deployment.setting("BACKEND_KIND").is_some_and(|of| of == kind) {
            assert!(service(&config, &host).contains(&format!("- {kind}\n")), "{url} is not started by {kind}");
        }
        let key = deployment.setting("API_KEYS").unwrap();
        assert!(key.len() > 40 && config.contains(&key), "{kind} has no key of its own");
    }
}

#[test]
fn other_settings_keep_the_keys() {
    let deployment = Deployment::new("ollama");
    let (key, token) = (deployment.setting("API_KEYS"), deployment.setting("GANTRY_TOKEN"));
    deployment.become_kind("vllm");
    assert_eq!((deployment.setting("API_KEYS"), deployment.setting("GANTRY_TOKEN")), (key, token));
    assert_eq!(deployment.setting("BACKEND_KIND").as_deref(), Some("vllm"));
}

#[test]
fn units_and_manifests_start_what_there_is_with_settings_that_are_known() {
    let known = known();
    let help = output(program().arg("--help"));
    let mut read = 0;
    for directory in ["deploy/systemd", "deploy/kubernetes"] {
        for entry in std::fs::read_dir(root().join(directory)).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let unknown: Vec<String> = variables(&text).difference(&known).cloned().collect();
            assert_eq!(unknown, Vec::<String>::new(), "{}", path.display());
            let started = text.lines().filter_map(|line| {
                let line = line.trim();
                line.strip_prefix("ExecStart=/usr/bin/gantry ")
                    .or_else(|| Some(line.strip_prefix("args: [")?.trim_end_matches(']')))
            });
            for command in started.filter(|command| *command != "%i") {
                let listed = help.lines().any(|line| line.split_whitespace().next() == Some(command));
                assert!(listed, "{} starts '{command}', which the program does not know", path.display());
            }
            read += 1;
        }
    }
    assert_eq!(read, 4);
}
