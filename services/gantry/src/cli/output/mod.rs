//! The same answer as a table, as JSON, as YAML or as bare names.

mod table;
mod yaml;

use super::{Screen, Trouble, plain};
use clap::ValueEnum;
use serde_json::Value;

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a person
    #[default]
    Table,
    /// For a person with a wide window
    Wide,
    /// One JSON document
    Json,
    /// One JSON document a line
    Ndjson,
    /// YAML
    Yaml,
    /// Only the names
    Name,
}

type Cell = Box<dyn Fn(&Value) -> String>;

/// A column of a table.
pub(super) struct Column {
    title: &'static str,
    is_wide: bool,
    cell: Cell,
}

impl Column {
    /// A column whose cells are made by a function.
    pub(super) fn new(title: &'static str, cell: impl Fn(&Value) -> String + 'static) -> Self {
        Self { title, is_wide: false, cell: Box::new(cell) }
    }

    /// A column that only the wide form shows.
    pub(super) fn wide(title: &'static str, cell: impl Fn(&Value) -> String + 'static) -> Self {
        Self { is_wide: true, ..Self::new(title, cell) }
    }

    /// The text of a thing's cell.
    pub(super) fn text_of(&self, item: &Value) -> String {
        (self.cell)(item)
    }

    /// A column with the text of a key.
    pub(super) fn text(title: &'static str, key: &'static str) -> Self {
        Self::new(title, move |item| text_of(&item[key]))
    }
}

/// An answer of several things.
pub(super) struct List<'a> {
    /// The things, as JSON shows them.
    pub items: Vec<Value>,
    /// The table's columns.
    pub columns: &'a [Column],
    /// The key with a thing's name.
    pub name: &'static str,
}

/// An answer of one thing.
pub(super) struct One {
    /// The thing, as JSON shows it.
    pub value: Value,
    /// Its name.
    pub name: String,
    /// What a person reads.
    pub lines: Vec<String>,
}

/// Writes several things.
pub(super) fn list(screen: &mut Screen, format: Format, list: &List<'_>) -> Result<(), Trouble> {
    match format {
        Format::Table | Format::Wide => {
            let columns: Vec<&Column> =
                list.columns.iter().filter(|column| !column.is_wide || format == Format::Wide).collect();
            let titles = columns.iter().map(|column| column.title.to_owned()).collect();
            let row = |item| columns.iter().map(|column| plain(&(column.cell)(item))).collect();
            screen.data(&table::text(titles, list.items.iter().map(row).collect()))
        }
        Format::Json => screen.data(&pretty(&Value::Array(list.items.clone()))),
        Format::Ndjson => list.items.iter().try_for_each(|item| screen.data(&item.to_string())),
        Format::Yaml => screen.data(&yaml::text(&Value::Array(list.items.clone()))),
        Format::Name => list.items.iter().try_for_each(|item| screen.data(&plain(&text_of(&item[list.name])))),
    }
}

/// Writes one thing.
pub(super) fn one(screen: &mut Screen, format: Format, one: &One) -> Result<(), Trouble> {
    match format {
        Format::Table | Format::Wide => one.lines.iter().try_for_each(|line| screen.data(line)),
        Format::Json => screen.data(&pretty(&one.value)),
        Format::Ndjson => screen.data(&one.value.to_string()),
        Format::Yaml => screen.data(&yaml::text(&one.value)),
        Format::Name => screen.data(&plain(&one.name)),
    }
}

/// JSON on several lines.
pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}

/// A value as a cell shows it: texts without quotes, nothing for null.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
