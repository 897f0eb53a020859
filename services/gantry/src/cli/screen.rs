//! Where output goes: data to one side, remarks to the other, colours only where a person sees them.

use super::{Exit, Trouble};
use service::config::Environment;
use std::io::{ErrorKind, IsTerminal, Write};

/// How a piece of text stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Went well.
    Good,
    /// Went wrong.
    Bad,
    /// Waits for something.
    Waiting,
    /// Matters less.
    Faint,
    /// Matters more.
    Strong,
}

/// Whether tones become colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether escape sequences are written.
    pub colours: bool,
}

impl Style {
    /// The text in that tone.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Waiting => "33",
            Tone::Faint => "2",
            Tone::Strong => "1",
        };
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Standard output and standard error, or what a test puts in their place.
pub struct Screen {
    data: Box<dyn Write + Send>,
    remarks: Box<dyn Write + Send>,
    /// How data is painted.
    pub style: Style,
    /// Whether a person sees the data as it is written.
    pub is_terminal: bool,
}

impl Screen {
    /// The process' own. `NO_COLOR` and a dumb terminal are obeyed.
    pub fn of_process(environment: &Environment) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let is_plain = environment.get("NO_COLOR").is_some() || environment.get("TERM") == Some("dumb");
        Self {
            data: Box::new(std::io::stdout()),
            remarks: Box::new(std::io::stderr()),
            style: Style { colours: is_terminal && !is_plain },
            is_terminal,
        }
    }

    /// Two writers, seen by nobody.
    pub fn of(data: impl Write + Send + 'static, remarks: impl Write + Send + 'static) -> Self {
        Self { data: Box::new(data), remarks: Box::new(remarks), style: Style::default(), is_terminal: false }
    }

    /// Writes a line of data.
    pub fn data(&mut self, line: &str) -> Result<(), Trouble> {
        let ends = if line.ends_with('\n') { "" } else { "\n" };
        written(write!(self.data, "{line}{ends}").and_then(|()| self.data.flush()))
    }

    /// Writes data as it is.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        written(self.data.write_all(bytes).and_then(|()| self.data.flush()))
    }

    /// Writes a remark. Nothing depends on anybody reading it.
    pub fn remark(&mut self, line: &str) {
        let _ = writeln!(self.remarks, "{line}");
    }

    /// Begins the terminal anew, where there is one.
    pub fn clear(&mut self) -> Result<(), Trouble> {
        if self.is_terminal { self.data("\u{1b}[H\u{1b}[2J\n") } else { Ok(()) }
    }

    /// Says what went wrong, why, and what to do next.
    pub fn trouble(&mut self, trouble: &Trouble) -> Exit {
        if trouble.exit != Exit::Ok {
            self.remark(&format!("error: {trouble}"));
            if let Some(next) = &trouble.next {
                self.remark(&format!("  next: {next}"));
            }
        }
        trouble.exit
    }
}

fn written(written: std::io::Result<()>) -> Result<(), Trouble> {
    written.map_err(|error| {
        let is_gone = error.kind() == ErrorKind::BrokenPipe;
        if is_gone { Trouble::nobody_listens() } else { Trouble::new("cannot write the output", error) }
    })
}

/// Text from elsewhere without what could move the cursor, change colours or break the line.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// At most so many characters of it, on one line.
pub fn short(text: &str, most: usize) -> String {
    let text = plain(text.trim());
    if text.chars().count() <= most {
        return text;
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_elsewhere_cannot_control_the_terminal() {
        assert_eq!(plain("a\u{1b}[31mb\nc\r"), "a [31mb c ");
        assert_eq!(short("  löng text  ", 4), "lön…");
    }

    #[test]
    fn colours_are_written_only_where_asked_for() {
        assert_eq!(Style { colours: false }.paint(Tone::Bad, "x"), "x");
        assert_eq!(Style { colours: true }.paint(Tone::Bad, "x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
