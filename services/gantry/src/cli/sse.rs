//! Server-sent events out of bytes that may be cut anywhere.
//!
//! Source: the WHATWG HTML standard, "Server-sent events". `retry` is ignored: the follower has its own back-off.

/// A line longer than this many bytes ends the stream; no record is that large.
const LONGEST_LINE: usize = 16 * 1024 * 1024;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// Its kind; empty means `message`.
    pub kind: String,
    /// Its data, lines joined.
    pub data: String,
    /// The last id that the stream named, if it named any.
    pub id: Option<String>,
}

/// The stream sends a line without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event stream sent a line of more than {LONGEST_LINE} bytes")]
pub(super) struct LineTooLong;

/// Collects bytes into events.
#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    after_carriage_return: bool,
    past_first_line: bool,
    event: Event,
    has_data: bool,
}

impl Parser {
    /// Takes the next bytes and hands back the events that they complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, LineTooLong> {
        let mut events = Vec::new();
        for &byte in bytes {
            let after_carriage_return = std::mem::replace(&mut self.after_carriage_return, byte == b'\r');
            match byte {
                // The second half of a line end that was already taken.
                b'\n' if after_carriage_return => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ if self.line.len() >= LONGEST_LINE => return Err(LineTooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let is_first = !std::mem::replace(&mut self.past_first_line, true);
        let text = if is_first { text.strip_prefix('\u{feff}').unwrap_or(&text) } else { &text };
        if text.is_empty() {
            return self.end_event();
        }
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.event.kind),
            "id" if !value.contains('\0') => self.event.id = Some(value.to_owned()),
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<Event> {
        let next = Event { id: self.event.id.clone(), ..Event::default() };
        let event = std::mem::replace(&mut self.event, next);
        std::mem::take(&mut self.has_data).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(pieces: &[&[u8]]) -> Vec<Event> {
        let mut parser = Parser::default();
        pieces.iter().flat_map(|piece| parser.push(piece).unwrap()).collect()
    }

    fn event(kind: &str, data: &str, id: Option<&str>) -> Event {
        Event { kind: kind.to_owned(), data: data.to_owned(), id: id.map(str::to_owned) }
    }

    #[test]
    fn steps_comments_and_the_end_are_told_apart() {
        let text = "id: 1\nevent: step\ndata: {\"cursor\": 1}\n\n: keep-alive\n\nevent: done\ndata: {}\n\n";
        let expected = [event("step", "{\"cursor\": 1}", Some("1")), event("done", "{}", Some("1"))];
        assert_eq!(parse(&[text.as_bytes()]), expected);
    }

    #[test]
    fn lines_of_data_are_joined_and_an_event_without_data_is_none() {
        let text = "\u{feff}data: a\ndata\ndata:b\n\nevent: x\n\ndata:\n\n";
        assert_eq!(parse(&[text.as_bytes()]), [event("", "a\n\nb", None), event("", "", None)]);
    }

    #[test]
    fn an_event_that_was_cut_off_is_no_event() {
        assert_eq!(parse(&[b"data: a\n"]), []);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut parser = Parser::default();
        let chunk = vec![b'x'; LONGEST_LINE];
        assert_eq!(parser.push(&chunk), Ok(Vec::new()));
        assert_eq!(parser.push(b"x"), Err(LineTooLong));
    }

    proptest! {
        #[test]
        fn events_do_not_depend_on_where_the_bytes_are_cut(
            events in prop::collection::vec(("[a-z]{0,4}", "[a-zä :]{0,9}", 1_u32..99), 0..6),
            line_end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
            cuts in prop::collection::vec(0_usize..400, 0..12),
        ) {
            let text: String = events
                .iter()
                .map(|(kind, data, id)| {
                    format!("id: {id}{line_end}event: {kind}{line_end}: note{line_end}data: {data}{line_end}{line_end}")
                })
                .collect();
            let expected: Vec<Event> =
                events.iter().map(|(kind, data, id)| event(kind, data, Some(&id.to_string()))).collect();
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(parse(&pieces), expected);
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Parser::default().push(&bytes);
        }
    }
}
