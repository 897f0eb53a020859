//! One line of comma-separated values, quoted as RFC 4180 has it.

/// The fields of a line, without the blanks around them.
pub(super) fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let Some(field) = fields.last_mut() else { break };
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                field.push('"');
                characters.next();
            }
            '"' if quoted => quoted = false,
            '"' if field.trim().is_empty() => {
                field.clear();
                quoted = true;
            }
            ',' if !quoted => fields.push(String::new()),
            other => field.push(other),
        }
    }
    fields.iter().map(|field| field.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_commas_together() {
        assert_eq!(fields("a, b ,,"), ["a", "b", "", ""]);
        assert_eq!(fields(r#"1, "say ""hi"", you" , 2"#), ["1", r#"say "hi", you"#, "2"]);
        assert_eq!(fields(r#"5" disk, x"#), [r#"5" disk"#, "x"]);
    }
}
