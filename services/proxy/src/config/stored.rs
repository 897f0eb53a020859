//! The proxy's own settings together with what was stored over the API. The settings win, and an entry that cannot be used
//! is passed over as a whole: it takes nothing else down.

use super::{BackendConfig, Config, ModelConfig, ReplicaConfig};
use crate::backends::Capability;
use crate::routing::Backend;
use domain::models::{BackendSpec, Kind, ModelSpec, ModelTable, PassedOver, Stored};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Bytes of a file with a key.
const KEY_FILE_BYTES: u64 = 64 * 1024;

/// What of the table is in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct InForce {
    /// The table's revision.
    pub(crate) revision: u64,
    /// Names of stored backends.
    pub(crate) backends: BTreeSet<String>,
    /// What is not in force, and why.
    pub(crate) passed_over: Vec<PassedOver>,
    /// Files that keys were read from, as they were then.
    key_files: BTreeMap<PathBuf, Option<SystemTime>>,
}

impl InForce {
    /// Whether a file with a key is another one by now.
    pub(crate) fn is_stale(&self) -> bool {
        self.key_files.iter().any(|(file, seen)| changed_at(file) != *seen)
    }

    fn pass_over(&mut self, kind: Kind, name: &str, because: String) {
        self.passed_over.push(PassedOver { kind, name: name.to_owned(), because });
    }
}

/// The configuration that holds.
pub(crate) fn merge(settings: &Config, table: &ModelTable) -> (Config, InForce) {
    let mut config = settings.clone();
    let mut in_force = InForce { revision: table.revision, ..InForce::default() };
    for (name, stored) in &table.backends {
        match backend(name, stored, settings, &mut in_force) {
            Ok(backend) => {
                in_force.backends.insert(name.clone());
                config.backends.push(backend);
            }
            Err(because) => in_force.pass_over(Kind::Backend, name, because),
        }
    }
    for (name, stored) in &table.models {
        match model(name, stored, &config, settings) {
            Ok(model) => config.models.push(model),
            Err(because) => in_force.pass_over(Kind::Model, name, because),
        }
    }
    (config, in_force)
}

fn read<T>(stored: &Stored<T>) -> Result<&T, String> {
    match stored {
        Stored::Read(entry) => Ok(&entry.spec),
        Stored::Unread { why, .. } => Err(format!("it cannot be read: {why}")),
    }
}

fn backend(
    name: &str,
    stored: &Stored<BackendSpec>,
    settings: &Config,
    in_force: &mut InForce,
) -> Result<BackendConfig, String> {
    let spec = read(stored)?;
    if settings.backends.iter().any(|own| own.name == name) {
        return Err("the proxy's own settings have a backend of that name".to_owned());
    }
    spec.check(name).map_err(|fault| fault.to_string())?;
    let config = BackendConfig {
        name: name.to_owned(),
        kind: spec.kind.clone(),
        base_url: spec.base_url.clone(),
        api_key: key(spec, &settings.key_dir, in_force)?,
        concurrency: spec.concurrency.map(|count| count as usize),
        capabilities: spec.capabilities.as_deref().map(capabilities).transpose()?,
        sleep_after: spec.sleep_after_s.map(Duration::from_secs_f64),
        on_disconnect: spec.on_disconnect.as_deref().map(|word| parse("on_disconnect", word)).transpose()?,
    };
    Backend::new(config.clone()).map(|_| config)
}

fn capabilities(words: &[String]) -> Result<Vec<Capability>, String> {
    words.iter().map(|word| parse("capabilities", word)).collect()
}

/// What a word means.
fn parse<T: DeserializeOwned>(field: &str, word: &str) -> Result<T, String> {
    serde_json::from_value(word.into()).map_err(|error| format!("{field}: {error}"))
}

fn key(spec: &BackendSpec, folder: &Path, in_force: &mut InForce) -> Result<Option<SecretString>, String> {
    let Some(file) = &spec.api_key_file else {
        return Ok(spec.api_key.as_ref().map(|key| key.secret().clone()));
    };
    let refuse = |why: &dyn std::fmt::Display| format!("api_key_file {file}: {why}");
    let path = inside(folder, Path::new(file)).map_err(|why| refuse(&why))?;
    in_force.key_files.insert(path.clone(), changed_at(&path));
    // Links may lead about within the folder, as those of mounted secrets do, but not out of it.
    let real = |path: &Path| path.canonicalize().map_err(|error| refuse(&error));
    if !real(&path)?.starts_with(real(folder)?) {
        return Err(refuse(&format_args!("it leads out of {}", folder.display())));
    }
    let mut text = String::new();
    let opened = std::fs::File::open(&path).and_then(|file| file.take(KEY_FILE_BYTES).read_to_string(&mut text));
    opened.map_err(|error| refuse(&error))?;
    match text.trim() {
        "" => Err(refuse(&"it is empty")),
        key => Ok(Some(key.to_owned().into())),
    }
}

/// Whoever may store a backend may name a file, and has its content sent to a server of his choice: so only files of one
/// folder count.
fn inside(folder: &Path, file: &Path) -> Result<PathBuf, String> {
    if folder.as_os_str().is_empty() {
        return Err("this proxy reads no such files; set GANTRY_PROXY_KEY_DIR".to_owned());
    }
    let path = folder.join(file);
    if !path.starts_with(folder) || path.components().any(|part| part == Component::ParentDir) {
        return Err(format!("only files in {} are read (GANTRY_PROXY_KEY_DIR)", folder.display()));
    }
    Ok(path)
}

fn changed_at(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|file| file.modified()).ok()
}

fn model(name: &str, stored: &Stored<ModelSpec>, config: &Config, settings: &Config) -> Result<ModelConfig, String> {
    let spec = read(stored)?;
    spec.check(name).map_err(|fault| fault.to_string())?;
    let own = settings.models.len();
    for (at, other) in config.models.iter().enumerate() {
        let names = std::iter::once(&other.name).chain(&other.aliases);
        let taken: BTreeSet<&str> = names.map(String::as_str).collect();
        if let Some(twice) = spec.names(name).find(|one| taken.contains(one)) {
            let whose = if at < own { "in the proxy's own settings" } else { "that is stored" };
            return Err(format!("the name '{twice}' belongs to the model '{}' {whose}", other.name));
        }
    }
    let known = |name: &String| config.backends.iter().any(|backend| backend.name == *name);
    if let Some(replica) = spec.replicas.iter().find(|replica| !known(&replica.backend)) {
        return Err(format!("its backend '{}' is not in force here", replica.backend));
    }
    let replica = |one: &domain::models::ReplicaSpec| ReplicaConfig {
        backend: one.backend.clone(),
        model: one.model.clone(),
        weight: one.weight,
    };
    Ok(ModelConfig {
        name: name.to_owned(),
        aliases: spec.aliases.clone(),
        replicas: spec.replicas.iter().map(replica).collect(),
        fallbacks: spec.fallbacks.clone(),
        queue: spec.queue.map(|queue| queue as usize),
        timeouts: spec.timeouts,
    })
}
