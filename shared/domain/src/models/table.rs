//! All backends and models that were stored over the API: one value, so that every change is checked against all of it.
//!
//! Every change raises the table's revision, and an entry has the revision of its last change; whoever changes an entry
//! may say which one he saw.

use super::{BackendSpec, Fault, Kind, ModelSpec};
use crate::{Time, limits};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelTable {
    /// Raised by every change.
    #[serde(default)]
    pub revision: u64,
    /// Backends by name.
    #[serde(default)]
    pub backends: BTreeMap<String, Stored<BackendSpec>>,
    /// Models by name.
    #[serde(default)]
    pub models: BTreeMap<String, Stored<ModelSpec>>,
}

/// An entry, or what lies in its place and cannot be read: it is kept as it is, and stands in nobody's way.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored<T> {
    /// A good one.
    Read(Entry<T>),
    /// One that a newer version may have written.
    Unread {
        /// As it lies there.
        raw: Value,
        /// Why it cannot be read.
        why: String,
    },
}

/// An entry with its history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry<T> {
    /// The table's revision at its last change.
    pub revision: u64,
    /// When it was made.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
    /// What it says.
    pub spec: T,
}

/// What a writer expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Whatever there is.
    Any,
    /// No entry of that name.
    Nothing,
    /// The entry with that revision.
    Revision(u64),
}

/// Why a change was refused. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// There is no such entry.
    #[error("{} '{name}' is not stored", word(.kind))]
    Missing {
        /// What it would be.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// There is one already.
    #[error("{} '{name}' exists; change it, or choose another name", word(.kind))]
    Exists {
        /// What it is.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// Somebody else has changed it.
    #[error("{} '{name}' is at revision {revision} by now; read it again", word(.kind))]
    Changed {
        /// What it is.
        kind: Kind,
        /// Its name.
        name: String,
        /// Its revision.
        revision: u64,
    },
    /// Something cannot be said.
    #[error(transparent)]
    Invalid(#[from] Fault),
    /// Models run there.
    #[error("backend '{name}' is named by the models {}; change or remove them first", .models.join(", "))]
    InUse {
        /// The backend.
        name: String,
        /// The models.
        models: Vec<String>,
    },
    /// There are as many as may be.
    #[error("{0}")]
    Full(String),
}

fn word(kind: &Kind) -> &'static str {
    match kind {
        Kind::Backend => "backend",
        Kind::Model => "model",
    }
}

impl<T> Stored<T> {
    /// The entry, if it can be read.
    pub fn entry(&self) -> Option<&Entry<T>> {
        match self {
            Self::Read(entry) => Some(entry),
            Self::Unread { .. } => None,
        }
    }
}

impl<T: Serialize> Serialize for Stored<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Read(entry) => entry.serialize(to),
            Self::Unread { raw, .. } => raw.serialize(to),
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Stored<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw = Value::deserialize(from)?;
        Ok(match Entry::deserialize(&raw) {
            Ok(entry) => Self::Read(entry),
            Err(error) => Self::Unread { raw, why: error.to_string() },
        })
    }
}

impl ModelTable {
    /// The backend of that name.
    pub fn backend(&self, name: &str) -> Result<&Stored<BackendSpec>, TableError> {
        self.backends.get(name).ok_or_else(|| TableError::Missing { kind: Kind::Backend, name: name.to_owned() })
    }

    /// The model of that name; an alias is no name here.
    pub fn model(&self, name: &str) -> Result<&Stored<ModelSpec>, TableError> {
        self.models.get(name).ok_or_else(|| TableError::Missing { kind: Kind::Model, name: name.to_owned() })
    }

    /// Models that have a replica at that backend.
    pub fn models_at(&self, backend: &str) -> Vec<String> {
        let at = |spec: &ModelSpec| spec.replicas.iter().any(|replica| replica.backend == backend);
        let names = self.models.iter().filter(|(_, model)| model.entry().is_some_and(|entry| at(&entry.spec)));
        names.map(|(name, _)| name.clone()).collect()
    }

    /// Stores a backend, in place of the one of that name.
    pub fn put_backend(&mut self, name: &str, spec: BackendSpec, wanted: Wanted, now: Time) -> Result<(), TableError> {
        spec.check(name)?;
        expect(self.backends.get(name), Kind::Backend, name, wanted)?;
        full(&self.backends, name, limits::BACKENDS, "backends")?;
        let before = self.backends.get(name).cloned();
        let entry = self.renewed(before.as_ref().and_then(Stored::entry), spec, now);
        self.backends.insert(name.to_owned(), Stored::Read(entry));
        self.bounded().inspect_err(|_| undo(&mut self.backends, name, before))
    }

    /// Stores a model, in place of the one of that name. `others` are backends that proxies' own settings name.
    pub fn put_model(
        &mut self,
        name: &str,
        spec: ModelSpec,
        others: &BTreeSet<String>,
        wanted: Wanted,
        now: Time,
    ) -> Result<(), TableError> {
        spec.check(name)?;
        expect(self.models.get(name), Kind::Model, name, wanted)?;
        full(&self.models, name, limits::MODELS, "models")?;
        self.check_backends(&spec, others)?;
        self.check_names(name, &spec)?;
        self.check_fallbacks(name, &spec)?;
        let before = self.models.get(name).cloned();
        let entry = self.renewed(before.as_ref().and_then(Stored::entry), spec, now);
        self.models.insert(name.to_owned(), Stored::Read(entry));
        self.bounded().inspect_err(|_| undo(&mut self.models, name, before))
    }

    /// Takes a backend away that no model names.
    pub fn remove_backend(&mut self, name: &str, wanted: Wanted) -> Result<(), TableError> {
        let found = self.backend(name)?;
        expect(Some(found), Kind::Backend, name, wanted)?;
        let models = self.models_at(name);
        if !models.is_empty() {
            return Err(TableError::InUse { name: name.to_owned(), models });
        }
        self.backends.remove(name);
        self.revision += 1;
        Ok(())
    }

    /// Takes a model away.
    pub fn remove_model(&mut self, name: &str, wanted: Wanted) -> Result<(), TableError> {
        let found = self.model(name)?;
        expect(Some(found), Kind::Model, name, wanted)?;
        self.models.remove(name);
        self.revision += 1;
        Ok(())
    }

    fn renewed<T>(&mut self, before: Option<&Entry<T>>, spec: T, now: Time) -> Entry<T> {
        self.revision += 1;
        let created_at = before.map_or(now, |before| before.created_at);
        Entry { revision: self.revision, created_at, updated_at: now, spec }
    }

    fn bounded(&self) -> Result<(), TableError> {
        let bytes = serde_json::to_vec(self).map_or(usize::MAX, |text| text.len());
        if bytes > limits::MODEL_TABLE_BYTES {
            let most = limits::MODEL_TABLE_BYTES;
            return Err(TableError::Full(format!(
                "all backends and models together would have more than {most} bytes"
            )));
        }
        Ok(())
    }

    fn check_backends(&self, spec: &ModelSpec, others: &BTreeSet<String>) -> Result<(), Fault> {
        let known = |name: &String| self.backends.contains_key(name) || others.contains(name);
        let Some(replica) = spec.replicas.iter().find(|replica| !known(&replica.backend)) else { return Ok(()) };
        let names: BTreeSet<&str> = self.backends.keys().chain(others).map(String::as_str).collect();
        let names = if names.is_empty() { "none yet".to_owned() } else { Vec::from_iter(names).join(", ") };
        Err(Fault::new("replicas", format!("there is no backend '{}'; there are: {names}", replica.backend)))
    }

    fn check_names(&self, name: &str, spec: &ModelSpec) -> Result<(), Fault> {
        for (other, stored) in self.models.iter().filter(|(other, _)| *other != name) {
            let empty = ModelSpec::default();
            let of_other = stored.entry().map_or(&empty, |entry| &entry.spec);
            let taken: BTreeSet<&str> = of_other.names(other).collect();
            if let Some(twice) = spec.names(name).find(|one| taken.contains(one)) {
                let field = if twice == name { "name" } else { "aliases" };
                return Err(Fault::new(field, format!("'{twice}' is taken by the model '{other}'")));
            }
        }
        Ok(())
    }

    /// Follows fallbacks of fallbacks: none may lead back.
    fn check_fallbacks(&self, name: &str, spec: &ModelSpec) -> Result<(), Fault> {
        let mut ways: Vec<Vec<&str>> = spec.fallbacks.iter().map(|next| vec![next.as_str()]).collect();
        let mut seen = BTreeSet::new();
        while let Some(way) = ways.pop() {
            let Some(last) = way.last().copied() else { continue };
            if spec.names(name).any(|own| own == last) {
                let way = [&[name], way.as_slice()].concat().join(" → ");
                return Err(Fault::new("fallbacks", format!("they lead back: {way}")));
            }
            if !seen.insert(last) {
                continue;
            }
            let named = self.models.iter().filter_map(|(other, stored)| Some((other, &stored.entry()?.spec)));
            let found = named
                .into_iter()
                .find(|(other, of_other)| other.as_str() != name && of_other.names(other).any(|one| one == last));
            let next = found.map(|(_, of_other)| of_other.fallbacks.as_slice()).unwrap_or_default();
            ways.extend(next.iter().map(|next| [way.as_slice(), &[next.as_str()]].concat()));
        }
        Ok(())
    }
}

fn expect<T>(found: Option<&Stored<T>>, kind: Kind, name: &str, wanted: Wanted) -> Result<(), TableError> {
    let name = name.to_owned();
    match (wanted, found) {
        (Wanted::Any, _) | (Wanted::Nothing, None) => Ok(()),
        (Wanted::Nothing, Some(_)) => Err(TableError::Exists { kind, name }),
        (Wanted::Revision(_), None) => Err(TableError::Missing { kind, name }),
        (Wanted::Revision(wanted), Some(stored)) => {
            let revision = stored.entry().map_or(0, |entry| entry.revision);
            if revision == wanted { Ok(()) } else { Err(TableError::Changed { kind, name, revision }) }
        }
    }
}

fn full<T>(entries: &BTreeMap<String, T>, name: &str, most: usize, what: &str) -> Result<(), TableError> {
    if entries.len() >= most && !entries.contains_key(name) {
        return Err(TableError::Full(format!("there are {most} {what}, which is as many as may be; remove one first")));
    }
    Ok(())
}

fn undo<T>(entries: &mut BTreeMap<String, Stored<T>>, name: &str, before: Option<Stored<T>>) {
    match before {
        Some(before) => drop(entries.insert(name.to_owned(), before)),
        None => drop(entries.remove(name)),
    }
}
