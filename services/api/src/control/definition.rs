//! A container's definition as it is registered: what no engine would take, or no path, is refused.

use domain::nodes::{Definition, Volume};
use serde_json::{Value, json};

/// Entries of each list.
const MOST: usize = 128;

/// What is wrong with a definition, if something is.
pub(super) fn flaw(definition: &Definition) -> Option<String> {
    if !is_image(&definition.image) {
        return Some("image must be a name such as ghcr.io/owner/name:tag".to_owned());
    }
    let longest = [definition.command.len(), definition.env.len(), definition.volumes.len(), definition.ports.len()];
    if longest.iter().any(|length| *length > MOST) {
        return Some(format!("command, env, volumes and ports take at most {MOST} entries each"));
    }
    if let Some(name) = definition.env.keys().find(|name| !is_variable(name)) {
        return Some(format!("env: '{name}' cannot name a variable"));
    }
    if let Some(volume) = definition.volumes.iter().find(|volume| !is_volume(volume)) {
        return Some(format!(
            "volumes: '{}' to '{}' needs a name or absolute path, and an absolute path",
            volume.source, volume.target
        ));
    }
    if definition.ports.iter().any(|port| port.container == 0 || port.host == 0) {
        return Some("ports: a port is 1 to 65535".to_owned());
    }
    None
}

/// Takes volumes as container engines' command lines have them, too: `source:target`, with `:ro` or `:rw` behind it; and
/// `all` or `none` for GPUs.
pub(super) fn spell_out(all: &mut Value) {
    if let Some(gpus) = all.pointer_mut("/definition/gpus").filter(|gpus| gpus.is_string()) {
        *gpus = json!({"gpus": gpus.take()});
    }
    let volumes = all.pointer_mut("/definition/volumes").and_then(Value::as_array_mut);
    for volume in volumes.into_iter().flatten() {
        let parts: Vec<&str> = volume.as_str().unwrap_or_default().split(':').collect();
        let read_only = match parts.get(2) {
            None | Some(&"rw") => false,
            Some(&"ro") => true,
            Some(_) => continue,
        };
        if let [source, target] | [source, target, _] = parts[..] {
            *volume = json!({"source": source, "target": target, "read_only": read_only});
        }
    }
}

fn is_image(text: &str) -> bool {
    (1..=512).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-/:@".contains(&byte))
}

fn is_variable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'=')
}

fn is_volume(volume: &Volume) -> bool {
    let path =
        |text: &str| text.starts_with('/') && !text.split('/').any(|part| part == "..") && !text.contains([':', '\0']);
    let name = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    (path(&volume.source) || name(&volume.source)) && path(&volume.target) && volume.target != "/"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_and_a_wish_for_gpus_may_be_one_text() {
        let mut all =
            json!({"definition": {"gpus": "all", "volumes": ["/m:/models:ro", "cache:/c", "/x:/y:odd", "x"]}});
        spell_out(&mut all);
        assert_eq!(all["definition"]["gpus"], json!({"gpus": "all"}));
        assert_eq!(
            all["definition"]["volumes"],
            json!([
                {"source": "/m", "target": "/models", "read_only": true},
                {"source": "cache", "target": "/c", "read_only": false},
                "/x:/y:odd",
                "x",
            ])
        );
    }

    #[test]
    fn a_definition_that_no_engine_takes_is_refused_by_name() {
        let of = |more: Value| {
            let mut whole = json!({"image": "ghcr.io/a/b:1"});
            whole.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
            flaw(&serde_json::from_value(whole).unwrap())
        };
        assert_eq!(of(json!({"volumes": [{"source": "models", "target": "/m"}], "env": {"A": "b"}})), None);
        for (bad, word) in [
            (json!({"image": "-x"}), "image"),
            (json!({"env": {"A=B": ""}}), "env"),
            (json!({"volumes": [{"source": "../x", "target": "/m"}]}), "volumes"),
            (json!({"volumes": [{"source": "m", "target": "m"}]}), "volumes"),
            (json!({"ports": [{"container": 0, "host": 1}]}), "ports"),
        ] {
            assert!(of(bad.clone()).is_some_and(|flaw| flaw.contains(word)), "{bad}");
        }
    }
}
