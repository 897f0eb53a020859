//! What the routes of backends and models take.

use crate::input::{Field, Kind};
use crate::operation::BodyKind;
use domain::limits;

const COUNT: Kind = Kind::Integer { min: Some(*limits::COUNT.start() as i64), max: Some(*limits::COUNT.end() as i64) };
const QUEUE: Kind = Kind::Integer { min: Some(0), max: Some(*limits::COUNT.end() as i64) };
const WEIGHT: Kind =
    Kind::Integer { min: Some(*limits::WEIGHT.start() as i64), max: Some(*limits::WEIGHT.end() as i64) };
const IDLE: Kind = Kind::Amount { min: 0.0, max: 999_999_999.0 };
const SECONDS: Kind = Kind::Amount { min: 0.001, max: 604_800.0 };

const REPLICA: &[Field] =
    &[Field::required("backend", Kind::Text), Field::optional("model", Kind::Text), Field::optional("weight", WEIGHT)];
const TIMEOUTS: &[Field] = &[
    Field::optional("connect_s", SECONDS),
    Field::optional("queue_s", SECONDS),
    Field::optional("start_s", SECONDS),
    Field::optional("first_token_s", SECONDS),
    Field::optional("between_tokens_s", SECONDS),
    Field::optional("total_s", SECONDS),
];

/// What is said of a backend; its kind and URL have to be, or may be.
const fn of_backend(kind: Field, base_url: Field) -> [Field; 8] {
    [
        kind,
        base_url,
        Field::optional("api_key", Kind::Text),
        Field::optional("api_key_file", Kind::Text),
        Field::optional("concurrency", COUNT),
        Field::optional("capabilities", Kind::Texts),
        Field::optional("sleep_after_s", IDLE),
        Field::optional("on_disconnect", Kind::Text),
    ]
}

const WHOLE: [Field; 8] = of_backend(Field::required("kind", Kind::Text), Field::required("base_url", Kind::Text));
const PART: [Field; 8] = of_backend(Field::given("kind", Kind::Text), Field::given("base_url", Kind::Text));

pub(super) const PUT_BACKEND: BodyKind = BodyKind::Json { name: "PutBackendRequest", fields: &WHOLE, closed: true };
pub(super) const PATCH_BACKEND: BodyKind = BodyKind::Json { name: "UpdateBackendRequest", fields: &PART, closed: true };

const OF_MODEL: &[Field] = &[
    Field::optional("aliases", Kind::Texts),
    Field::optional("replicas", Kind::Records(REPLICA)),
    Field::optional("fallbacks", Kind::Texts),
    Field::optional("queue", QUEUE),
    Field::optional("timeouts", Kind::Record(TIMEOUTS)),
];

pub(super) const MODEL: BodyKind = BodyKind::Json { name: "PutModelEntryRequest", fields: OF_MODEL, closed: true };
pub(super) const PATCH_MODEL: BodyKind =
    BodyKind::Json { name: "UpdateModelEntryRequest", fields: OF_MODEL, closed: true };
