//! Types that a setting can have: how each is parsed, shown and described.

use super::{REDACTED, SecretString};
use std::path::PathBuf;
use std::time::Duration;

/// A type whose values can be settings.
pub trait Setting: Sized + 'static {
    /// Whether values must never be shown.
    const SECRET: bool = false;

    /// What is accepted, for error messages: `a whole number`.
    fn accepted() -> String;

    /// The value of that text, if it is one.
    fn parse(text: &str) -> Option<Self>;

    /// How `gantry config show` prints it.
    fn show(&self) -> String;
}

macro_rules! integer {
    ($($type:ty),*) => {$(
        impl Setting for $type {
            fn accepted() -> String {
                format!("a whole number from {} to {}", Self::MIN, Self::MAX)
            }

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

integer!(u8, u16, u32, u64, usize, i32, i64);

impl Setting for f64 {
    fn accepted() -> String {
        "a number".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|number: &f64| number.is_finite())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for bool {
    fn accepted() -> String {
        "1, true, yes or on, or 0, false, no or off".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Some(true),
            "0" | "false" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for String {
    fn accepted() -> String {
        "a text".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn show(&self) -> String {
        without_credentials(self)
    }
}

impl Setting for PathBuf {
    fn accepted() -> String {
        "a path".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        Some(Self::from(text))
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Setting for SecretString {
    const SECRET: bool = true;

    fn accepted() -> String {
        "a secret text".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned().into())
    }

    fn show(&self) -> String {
        REDACTED.to_owned()
    }
}

/// Items separated by commas; blanks around them and empty items do not count.
impl Setting for Vec<String> {
    fn accepted() -> String {
        "a list separated by commas".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        Some(items(text).map(str::to_owned).collect())
    }

    fn show(&self) -> String {
        self.iter().map(|item| without_credentials(item)).collect::<Vec<_>>().join(",")
    }
}

/// A number of seconds, with decimals if need be, or a number with one of the units `ms`, `s`, `m`, `h`, `d`.
impl Setting for Duration {
    fn accepted() -> String {
        "a duration such as 250ms, 10s, 5m, 2h, 1d, or a number of seconds".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let seconds = match unit.trim() {
            "ms" => 0.001,
            "" | "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        Self::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
    }

    fn show(&self) -> String {
        if self.subsec_millis() == 0 { format!("{}s", self.as_secs()) } else { format!("{}ms", self.as_millis()) }
    }
}

/// The items of a list separated by commas.
pub(super) fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// The text with the user and password of a URL hidden, so that a broker's or database's URL can be shown.
pub(super) fn without_credentials(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..authority].rfind('@') {
        Some(at) => format!("{scheme}://{REDACTED}{}", &rest[at..]),
        None => text.to_owned(),
    }
}
