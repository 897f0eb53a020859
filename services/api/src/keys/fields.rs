//! What the routes of keys take.

use crate::input::{Field, Kind};
use crate::operation::BodyKind;

const COUNT: Kind = Kind::Integer { min: Some(1), max: Some(u32::MAX as i64) };
const BUDGET: Kind = Kind::Integer { min: Some(0), max: Some(i64::MAX) };
const PRIORITY: Kind = Kind::Integer { min: Some(-100), max: Some(100) };
const WEIGHT: Kind = Kind::Integer { min: Some(1), max: Some(1_000) };

pub(super) const CREATE: BodyKind = BodyKind::Json {
    name: "CreateKeyRequest",
    fields: &[
        Field::required("name", Kind::Text),
        Field::optional("tenant", Kind::Text),
        Field::optional("scopes", Kind::Texts),
        Field::optional("models", Kind::Texts),
        Field::optional("requests_per_minute", COUNT),
        Field::optional("tokens_per_minute", COUNT),
        Field::optional("concurrent", COUNT),
        Field::optional("token_budget", BUDGET),
        Field::optional("weight", WEIGHT),
        Field::optional("priority", PRIORITY),
    ],
    closed: true,
};

pub(super) const UPDATE: BodyKind = BodyKind::Json {
    name: "UpdateKeyRequest",
    fields: &[
        Field::optional("tenant", Kind::Text),
        Field::optional("scopes", Kind::Texts),
        Field::optional("models", Kind::Texts),
        Field::optional("requests_per_minute", COUNT),
        Field::optional("tokens_per_minute", COUNT),
        Field::optional("concurrent", COUNT),
        Field::optional("token_budget", BUDGET),
        Field::optional("weight", WEIGHT),
        Field::optional("priority", PRIORITY),
    ],
    closed: true,
};

pub(super) const LIST: &[Field] = &[Field::defaults("include_revoked", Kind::Flag, "false")];
